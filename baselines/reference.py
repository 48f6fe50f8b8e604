"""The scripted reference policy as one file: what a low-level policy has to do, without learning.

    python baselines/reference.py --env-id Scaffold-Hammer-v0 --episodes 10

A plan says where the wrist should be at every step. Two things are missing for a grasp, and this script adds both: the
wrist lags its smoothed target by about twelve steps, so it asks for the plan twelve steps ahead; and fingers are not
part of a plan, so it closes them on a schedule. A learned policy replaces ``act``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import tyro

import scaffold_bench  # noqa: F401  # registers the ids
from scaffold_bench import Scaffold
from scaffold_bench.control import RESIDUAL_LIMITS


@dataclass
class Args:
    env_id: str = "Scaffold-Hammer-v0"
    """the task"""
    split: str = "eval"
    """whose start states: train or eval"""
    episodes: int = 10
    """start states to run, from the first on"""
    lead: int = 12
    """control steps the wrist runs ahead of its plan"""
    seed: int = 0
    """seed of the environment"""


def finger_command(schedule: Any, step: int) -> np.ndarray:
    """Interpolate a task's ``(step, command)`` schedule; one or four commands, 0 is open and 1 closed."""
    steps = [at for at, _ in schedule]
    columns = np.array([np.atleast_1d(command) for _, command in schedule]).T
    return np.array([np.interp(step, steps, column) for column in columns])


def act(plan: Scaffold, schedule: Any, step: int, lead: int) -> np.ndarray:
    """The action (A,): wrist residual towards the plan ``lead`` steps ahead, then the finger commands."""
    last = len(plan.wrist) - 1
    residual = plan.wrist[min(step + 1 + lead, last)] - plan.wrist[min(step + 1, last)]
    action = np.concatenate([residual / np.array(RESIDUAL_LIMITS), finger_command(schedule, step)])
    clipped: np.ndarray = np.clip(action, -1.0, 1.0).astype(np.float32)
    return clipped


def main(args: Args) -> float:
    """Run the episodes; return the share that succeeded."""
    env = gym.make(args.env_id, split=args.split, tracking_threshold=None)
    base: Any = env.unwrapped
    successes = []
    for state in range(args.episodes):
        env.reset(seed=args.seed, options={"state": state})
        truncated, step, total = False, 0, 0.0
        while not truncated:
            action = act(base.scaffold, base.task.finger_schedule, step, args.lead)
            _, reward, _, truncated, info = env.step(action)
            step, total = step + 1, total + float(reward)
        successes.append(info["success_once"])
        print(f"state {state:3d}  success {info['success_once']!s:5}  return {total:6.1f}")
    env.close()
    print(f"{args.env_id}: {100 * np.mean(successes):.0f} % of {args.episodes} episodes")
    return float(np.mean(successes))


if __name__ == "__main__":
    main(tyro.cli(Args))
