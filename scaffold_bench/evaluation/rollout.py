"""Runs one episode and reduces it to a record."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scaffold_bench.evaluation.policies import Episode, Policy
from scaffold_bench.types import EPISODE_STEPS, EpisodeRecord, FloatArray, TaskSpec

CONTACT_FORCE = 0.05
"""Newtons above which a fingertip counts as touching (ours)."""


@dataclass
class EpisodeTally:
    """Collects what a record needs, step by step."""

    spec: TaskSpec
    errors: list[FloatArray] = field(default_factory=list)
    tip_forces: list[FloatArray] = field(default_factory=list)
    successes: list[bool] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)

    def add(self, reward: float, info: dict[str, Any]) -> None:
        """Note one step."""
        self.errors.append(info["tracking_error"])
        self.tip_forces.append(info["tip_forces"])
        self.successes.append(bool(info["success"]))
        self.rewards.append(reward)
        self.info = info

    def record(self, split: str, state: int, trial: int, seed: int, plan: str) -> EpisodeRecord:
        """Reduce the steps to a record."""
        errors, forces = np.stack(self.errors).astype(np.float64), np.stack(self.tip_forces).astype(np.float64)
        touching = forces > CONTACT_FORCE
        held = touching.any(axis=1)
        tracked = (errors <= self.spec.tracking_threshold).all(axis=1)
        success_once = any(self.successes)
        if success_once:
            failure = ""
        elif not self.info["plan_valid"]:
            failure = "plan"
        else:
            failure = "task" if tracked.all() else "tracking"
        return EpisodeRecord(
            task=self.spec.name,
            env_id=self.spec.id,
            split=split,
            state=state,
            trial=trial,
            seed=seed,
            success_once=success_once,
            success_at_end=self.successes[-1],
            first_success=self.successes.index(True) + 1 if success_once else -1,
            length=len(self.rewards),
            tracking_error_mean=float(errors.mean()),
            tracking_error_max=float(errors.max()),
            tracked_fraction=float(tracked.mean()),
            tips_in_contact=float(touching[held].sum(axis=1).mean()) if held.any() else 0.0,
            grip_force=float(forces[held].max(axis=1).mean()) if held.any() else 0.0,
            reward=float(np.sum(np.asarray(self.rewards, dtype=np.float64))),
            measures={
                name.removeprefix("measure/"): float(value)
                for name, value in self.info.items()
                if name.startswith("measure/") and math.isfinite(value)
            },
            failure=failure,
            plan=plan,
        )


def run_episode(
    env: Any, policy: Policy, state: int, trial: int, on_step: Callable[[Any], None] | None = None
) -> EpisodeRecord:
    """Run one evaluation episode to its end (300 steps).

    Args:
        env: a ``NumpyScaffoldEnv`` with a frozen split and no tracking termination.
        policy: what acts.
        state, trial: which episode.
        on_step: called with the environment after the reset and after every step, e.g. to take pictures.
    """
    seed = env.start_state_set.trial_seed(state, trial)
    observation, _ = env.reset(seed=seed, options={"state": state, "trial": trial})
    plan = env.scaffold
    policy.reset(
        Episode(
            spec=env.task.spec,
            scaffold=plan,
            layout=env.observation_layout,
            seed=seed,
            scripted_action=lambda step: env.task.reference_action(step, plan),
        )
    )
    if on_step is not None:
        on_step(env)
    tally = EpisodeTally(env.task.spec)
    for _ in range(EPISODE_STEPS):
        observation, reward, terminated, truncated, info = env.step(policy.act(observation))
        tally.add(reward, info)
        if on_step is not None:
            on_step(env)
        if terminated or truncated:
            break
    return tally.record(env.split, state, trial, seed, plan.sha256[:16])
