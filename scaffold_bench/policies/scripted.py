"""Policies that need no learning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scaffold_bench.policies.base import Episode, Policy
from scaffold_bench.spec import FloatArray


class ReferencePolicy:
    """Follow the plan a little ahead of time and close the fingers by the task's script. No learning."""

    def reset(self, episode: Episode) -> None:
        self._scripted_action = episode.scripted_action
        self._step = -1

    def act(self, observation: FloatArray) -> FloatArray:  # noqa: ARG002  # the script looks at the clock only
        self._step += 1
        return self._scripted_action(self._step)


class PlanOnlyPolicy:
    """Zero action: the planned wrist, open fingers."""

    def reset(self, episode: Episode) -> None:
        self._action = np.zeros(episode.spec.action_dim, dtype=np.float32)

    def act(self, observation: FloatArray) -> FloatArray:  # noqa: ARG002
        return self._action


class PlanGraspPolicy:
    """Follow the plan ten steps ahead and close the fingers to 0.7 where it takes hold. No learning.

    What residual PPO's cpu preset begins with; the same for every task.
    """

    def __init__(self) -> None:
        from scaffold_bench.policies.plan_following import PlanFollowing  # brings torch

        self._base = PlanFollowing(lead=10, grasp=0.7)

    def reset(self, episode: Episode) -> None:
        self._layout, self._size = episode.layout, episode.spec.action_dim

    def act(self, observation: FloatArray) -> FloatArray:
        import torch

        seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))[None]
        action: FloatArray = self._base(seen, self._layout, self._size)[0].numpy()
        return action


class RandomPolicy:
    """Uniform actions."""

    def reset(self, episode: Episode) -> None:
        self._rng = np.random.default_rng(episode.seed)
        self._size = episode.spec.action_dim

    def act(self, observation: FloatArray) -> FloatArray:  # noqa: ARG002
        return self._rng.uniform(-1.0, 1.0, self._size).astype(np.float32)


POLICIES: dict[str, Callable[[], Policy]] = {
    "reference": ReferencePolicy,
    "plan-only": PlanOnlyPolicy,
    "plan-grasp": PlanGraspPolicy,
    "random": RandomPolicy,
}
