"""Runs episodes and reduces them to records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scaffold_bench.metrics import NEVER
from scaffold_bench.plan import Scaffold
from scaffold_bench.policies.base import Episode, Policy
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.spec import CONTACT_FORCE, FloatArray, TaskSpec

if TYPE_CHECKING:  # they bring the simulator
    from scaffold_bench.envs.env import ScaffoldEnv
    from scaffold_bench.envs.vector_env import ScaffoldVectorEnv


@dataclass
class EpisodeTally:
    """Collects what the records of n episodes that run side by side need, step by step."""

    spec: TaskSpec
    steps: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, reward: FloatArray, info: Mapping[str, Any]) -> None:
        """Note one step: reward (n,) and the environments' infos, with n in front."""
        self.steps.append({**info, "reward": reward})

    def record(
        self, row: int, split: str, state: int, trial: int, seed: int, plan: Scaffold, oracle: FloatArray
    ) -> EpisodeRecord:
        """Reduce the steps of one episode to its record.

        Args:
            row: which of the episodes. plan: what it followed. oracle: (K, 3) the oracle's keypoints at the start.
        """
        epsilon, last = self.spec.tracking_threshold, self.steps[-1]
        errors, forces, rewards = (
            np.stack([step[name][row] for step in self.steps]).astype(np.float64)
            for name in ("tracking_error", "tip_forces", "reward")
        )
        successes = [bool(step["success"][row]) for step in self.steps]
        touching = forces > CONTACT_FORCE
        held = np.asarray(touching.any(axis=1))
        tracked = np.asarray((errors <= epsilon).all(axis=1))
        success_once = any(successes)
        if success_once:
            failure = ""
        elif not last["plan_valid"][row]:
            failure = "plan"
        else:
            failure = "task" if tracked.all() else "tracking"
        return EpisodeRecord(
            task=self.spec.name,
            env_id=self.spec.id,
            split=split,
            state=int(state),
            trial=int(trial),
            seed=int(seed),
            success_once=success_once,
            success_at_end=successes[-1],
            first_success=successes.index(True) + 1 if success_once else -1,
            length=len(self.steps),
            tracking_error_mean=float(errors.mean()),
            tracking_error_max=float(errors.max()),
            tracked_fraction=float(tracked.mean()),
            tips_in_contact=float(touching[held].sum(axis=1).mean()) if held.any() else 0.0,
            grip_force=float(forces[held].max(axis=1).mean()) if held.any() else 0.0,
            reward=float(rewards.sum()),
            measures={
                name.removeprefix("measure/"): float(value[row])
                for name, value in last.items()
                if name.startswith("measure/") and math.isfinite(value[row])
            },
            failure=failure,
            plan=plan.sha256[:16],
            lost_step=_first(~tracked) + 1 or NEVER,
            contact_step=_first(held) + 1 or NEVER,
            leave_step=_first((np.linalg.norm(plan.keypoints - plan.keypoints[:1], axis=2) > epsilon).any(axis=1)),
            keypoint_error=float(np.linalg.norm(plan.keypoints[0] - oracle, axis=1).max()) if plan.valid else None,
        )


def _first(happens: np.ndarray) -> int:
    """Index of the first True, or NEVER (-1)."""
    return int(happens.argmax()) if happens.any() else NEVER


def _episode(env: ScaffoldEnv | ScaffoldVectorEnv, plan: Scaffold, seed: int) -> Episode:
    """What a policy gets to know about an episode of an environment."""
    return Episode(
        spec=env.task.spec,
        scaffold=plan,
        layout=env.observation_layout,
        seed=seed,
        scripted_action=lambda step: env.task.reference_action(step, plan),
    )


def _oracle_keypoints(env: ScaffoldEnv | ScaffoldVectorEnv, state: int) -> FloatArray:
    """Where the task's own plan has its keypoints (K, 3) in a frozen start state."""
    return np.asarray(env.task.reference_plan(env.start_state_set[state]).keypoints[0])


def run_episodes(
    env: ScaffoldVectorEnv, policies: Sequence[Policy], episodes: Sequence[tuple[int, int]]
) -> list[EpisodeRecord]:
    """Run evaluation episodes side by side, each to the task's horizon.

    Args:
        env: a ``ScaffoldVectorEnv`` with a frozen split, no tracking termination and no autoreset.
        policies: what acts, an object of its own for each episode.
        episodes: (state, trial) of each episode. Environments that are left over go on with what they did before.
    """
    seeds = [env.start_state_set.trial_seed(state, trial) for state, trial in episodes]
    idle = [0] * (env.num_envs - len(episodes))
    options = {
        "state": [state for state, _ in episodes] + idle,
        "trial": [trial for _, trial in episodes] + idle,
        "reset_mask": np.arange(env.num_envs) < len(episodes),
    }
    observation, _ = env.reset(seed=seeds + idle, options=options)
    plans = [plan for plan in env.scaffolds[: len(episodes)] if plan is not None]  # after a reset all have one
    for policy, plan, seed in zip(policies, plans, seeds, strict=True):
        policy.reset(_episode(env, plan, seed))
    tally, actions = EpisodeTally(env.task.spec), np.zeros((env.num_envs, env.task.spec.action_dim), np.float32)
    for _ in range(env.task.spec.horizon):
        for row, policy in enumerate(policies):
            actions[row] = policy.act(observation[row])
        observation, reward, *_, infos = env.step(actions)
        tally.add(reward, infos)
    oracle = {state: _oracle_keypoints(env, state) for state in dict.fromkeys(state for state, _ in episodes)}
    return [
        tally.record(row, env.split, state, trial, seed, plan, oracle[state])
        for row, ((state, trial), seed, plan) in enumerate(zip(episodes, seeds, plans, strict=True))
    ]


def run_episode(
    env: ScaffoldEnv,
    policy: Policy,
    state: int,
    trial: int,
    on_step: Callable[[ScaffoldEnv], None] | None = None,
) -> EpisodeRecord:
    """Run one evaluation episode in an environment that can take pictures.

    Args:
        env: a ``ScaffoldEnv`` with a frozen split and no tracking termination.
        on_step: called with the environment after the reset and after every step.
    """
    seed = env.start_state_set.trial_seed(state, trial)
    observation, _ = env.reset(seed=seed, options={"state": state, "trial": trial})
    plan = env.scaffold
    policy.reset(_episode(env, plan, seed))
    if on_step is not None:
        on_step(env)
    tally = EpisodeTally(env.task.spec)
    for _ in range(env.task.spec.horizon):
        observation, reward, terminated, truncated, info = env.step(policy.act(observation))
        tally.add(np.array([reward]), {name: np.asarray(value)[None] for name, value in info.items()})
        if on_step is not None:
            on_step(env)
        if terminated or truncated:
            break
    return tally.record(0, env.split, state, trial, seed, plan, _oracle_keypoints(env, state))
