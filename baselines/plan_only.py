"""What the plan alone does: a zero residual and an open hand.

    python baselines/plan_only.py --env-id Scaffold-OpenDrawer-v0 --states 20

The floor under every learned policy: the wrist follows its plan and nobody closes the fingers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import tyro

import scaffold_bench  # noqa: F401  # registers the ids


@dataclass
class Args:
    env_id: str = "Scaffold-Hammer-v0"
    """the task"""
    split: str = "eval"
    """whose start states: train or eval"""
    states: int = 20
    """start states to run, from the first on, all side by side"""


def main(args: Args) -> float:
    """Run the episodes; return the share that succeeded."""
    envs: Any = gym.make_vec(
        args.env_id, num_envs=args.states, split=args.split, tracking_threshold=None, autoreset=False
    )
    envs.reset(seed=0, options={"state": list(range(args.states))})
    still = np.zeros(envs.action_space.shape, np.float32)
    for _ in range(envs.task.spec.horizon):
        *_, infos = envs.step(still)
    envs.close()
    share = float(infos["success_once"].mean())
    print(f"{args.env_id}: {100 * share:.0f} % of {args.states} episodes")
    return share


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
