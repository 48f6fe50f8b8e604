"""How the time of one step of a batch is spent, by stage.

    python benchmarks/profile_step.py --num-envs 64

Prints microseconds per environment step for every task, over a scripted episode with contact, as a Markdown table; the
stages are timed inside the running environment, so their sum is its step.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym
import numpy as np
import torch
import tyro

from scaffold_bench.registration import get_task, task_names

STAGES = {
    "physics": "both `px.step()`",
    "targets": "drive targets: 22 calls",
    "reading": "joints, poses, contact impulses",
    "stacking": "arrays of the batch",
    "command": "compose, smooth",
    "measures": "keypoints, measures, reward terms",
    "observation": "observation",
}


@dataclass
class Args:
    """What to profile."""

    num_envs: int = 64
    """environments in the batch"""
    steps: int = 299
    """control steps"""


def timed(owner: Any, method: str, stage: str, spent: Counter[str]) -> None:
    """Add the time inside a method to a stage."""
    inner = getattr(owner, method)

    def outer(*args: Any) -> Any:
        start = time.perf_counter()
        result = inner(*args)
        spent[stage] += time.perf_counter() - start  # type: ignore[assignment]
        return result

    setattr(owner, method, outer)


def profile(task: str, args: Args) -> Counter[str]:
    """Microseconds per environment step by stage, and ``total``."""
    env: Any = gym.make_vec(get_task(task).spec.id, num_envs=args.num_envs, split="eval", tracking_threshold=None)
    env.reset(seed=0, options={"state": [index % 100 for index in range(args.num_envs)]})
    actions = [
        np.stack([env.task.reference_action(step, plan) for plan in env.scaffolds]) for step in range(args.steps)
    ]
    spent: Counter[str] = Counter()
    for world in env._simulation.worlds:
        for method, stage in (("step", "physics"), ("apply_targets", "targets"), ("read", "reading")):
            timed(world, method, stage, spent)
    timed(env._simulation, "_stacked", "stacking", spent)
    for method, stage in (
        ("command", "command"),
        ("step", "measures"),
        ("info", "measures"),
        ("observation", "observation"),
    ):
        timed(env._episodes, method, stage, spent)
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    spent["total"] = time.perf_counter() - start  # type: ignore[assignment]
    env.close()
    scale = 1e6 / (args.num_envs * args.steps)
    return Counter({stage: value * scale for stage, value in spent.items()})


def main(args: Args) -> None:
    torch.set_num_threads(1)
    found = {task: profile(task, args) for task in task_names()}
    print(f"| stage | {' | '.join(found)} |")
    print(f"|---|{'---:|' * len(found)}")
    for stage, meaning in STAGES.items():
        print(f"| {stage}: {meaning} | {' | '.join(f'{row[stage]:.0f}' for row in found.values())} |")
    rest = [row["total"] - sum(row[stage] for stage in STAGES) for row in found.values()]
    totals = [row["total"] for row in found.values()]
    shares = [row["physics"] / row["total"] for row in found.values()]
    print(f"| rest: loop, infos, checks | {' | '.join(f'{value:.0f}' for value in rest)} |")
    print(f"| **total** | {' | '.join(f'{value:.0f}' for value in totals)} |")
    print(f"| physics / total | {' | '.join(f'{value:.2f}' for value in shares)} |")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
