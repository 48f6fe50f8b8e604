"""What a board compares: which tasks in which version, on which start states, how often.

A change of an environment's behaviour bumps its ``-vN`` and adds a suite. Scores of different suites never share a
board; an old suite stays here, so that its submissions can still be checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

SPLIT = "eval"
"""Boards are about start states that no policy was trained on."""
FULL_STATES, FULL_TRIALS, FULL_SEEDS = 100, 20, 3
"""The paper's protocol (4.1): states, trials of each, and training seeds of a trained policy."""


@dataclass(frozen=True)
class Suite:
    """The tasks of a board.

    Attributes:
        env_ids: versioned id of every task, by short name, in the paper's order.
        start_states: SHA-256 of every task's evaluation states.
    """

    env_ids: Mapping[str, str]
    start_states: Mapping[str, str]


SUITES = {
    1: Suite(
        env_ids={
            "apple": "Scaffold-MoveApple-v0",
            "bottle": "Scaffold-MoveBottle-v0",
            "drawer": "Scaffold-OpenDrawer-v0",
            "fridge": "Scaffold-OpenFridge-v0",
            "hammer": "Scaffold-Hammer-v0",
            "sponge": "Scaffold-WipeSponge-v0",
            "scissors": "Scaffold-CloseScissors-v0",
            "pliers": "Scaffold-ClosePliers-v0",
        },
        start_states={
            "apple": "72978a72d9b7049ff8973c3ff61a90941e0b400d804597f7d7a21a66609e6840",
            "bottle": "ab6366782357d6388255194dc2a5f842a3e89fd90b53441f8984594bc7cf23df",
            "drawer": "2113094a67a8c48c8e751dbc840bd3498e293f091590d884754e5a93e3a159a0",
            "fridge": "0104bee4d60d7b327c9b76486214aa1a068dea93c3c0f055841da72d809199f4",
            "hammer": "ca0025445de661c04e45a30923c29619e43a3b8345f71390280a7c0e066f096c",
            "sponge": "c0eedb243aa83d3ffa46ecdb8437568c40b7f981e427fab714e147cf5aeb2eff",
            "scissors": "783e619df09eb06f5248b7e1111f07bb0d7159e3e5066a52d3b9d9a8808c01ca",
            "pliers": "68eb3522af170de43bc0ea9de643edb103695e72fd2679d24242fc7d872297a6",
        },
    ),
}
"""All suites by version; the last is the one that takes submissions, the others are frozen."""
CURRENT = max(SUITES)


def trial_seed(task: str, state: int, trial: int) -> int:
    """The seed that an evaluation episode must have; written down here a second time, to check the environments."""
    digest = hashlib.sha256(f"{task}/{SPLIT}|{state}|{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
