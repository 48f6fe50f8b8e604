"""What the scaffold buys: the same learner without the planned wrist.

    python baselines/ppo_no_scaffold.py --env-id Scaffold-MoveApple-v0

The keypoints' plan stays, in the observation and in the reward; the wrist begins where it is, and an action moves it by
at most 1 cm and 0.1 rad per axis and step (``wrist_plan=False``). There is nothing to look ahead in and no plan of the
hand to grasp by, so the cpu preset's lead and grasp are off, and the policy's noise is the paper's again. Everything
else is ``residual_ppo.py``, whose arguments this takes.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import residual_ppo

from scaffold_bench import task_spec

CHANGES = ["--no-wrist-plan", "--lead", "0", "--grasp", "0", "--initial-std", "1", "--initial-finger-std", "1"]


def main(argv: list[str] | None = None) -> None:
    """Train without a wrist plan; arguments given override the changes."""
    given = sys.argv[1:] if argv is None else argv
    named = [] if any(word == "--name" or word.startswith("--name=") for word in given) else ["--name", _name(given)]
    residual_ppo.main(["--preset", "cpu", *CHANGES, *named, *given])


def _name(given: list[str]) -> str:
    args = residual_ppo.parse(["--preset", "cpu", *CHANGES, *given])
    return f"{task_spec(args.env_id).name}-no-scaffold-{args.seed}"


if __name__ == "__main__":
    main()
