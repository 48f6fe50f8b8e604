"""What can be evaluated: the policy protocol and the policies that need no learning."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scaffold_bench.types import FloatArray, Scaffold, TaskSpec


@dataclass(frozen=True)
class Episode:
    """What a policy is told when an episode begins.

    Attributes:
        spec: the task's fixed facts.
        scaffold: the plan, which the observation shows in pieces anyway.
        layout: names of the observation's slices.
        seed: drives a stochastic policy's sampling, so that an episode can be repeated bit for bit.
        scripted_action: the task's scripted action (A,) at a step, for the reference policy.
    """

    spec: TaskSpec
    scaffold: Scaffold
    layout: Mapping[str, slice]
    seed: int
    scripted_action: Callable[[int], FloatArray]


class Policy(Protocol):
    """Anything that turns observations into actions. One object serves many episodes, one after the other."""

    def reset(self, episode: Episode) -> None:
        """Begin an episode."""
        ...

    def act(self, observation: FloatArray) -> FloatArray:
        """Return the action (A,) for an observation (D,)."""
        ...


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
        from scaffold_bench.evaluation.plan_following import PlanFollowing  # brings torch

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


STORED = ("zoo:", "file:")
"""Prefixes of trained policies: those that ship with the package, and files or folders of one's own."""


def make_policy(policy: str | Policy | Callable[[], Policy]) -> Policy:
    """The policy object for a name, ``zoo:NAME``, ``file:PATH``, a ``module:Class`` reference, a class or an object.

    Modules are also looked for in the current directory.

    Raises:
        ValueError: an unknown name, or a reference that does not lead to a policy.
    """
    made: Any = policy
    if isinstance(policy, str):
        if policy in POLICIES:
            return POLICIES[policy]()
        if policy.startswith(STORED):
            from scaffold_bench.evaluation.zoo import stored_policy

            return stored_policy(policy)
        module, colon, attribute = policy.partition(":")
        if not colon or not module or not attribute:
            raise ValueError(
                f"there is no policy {policy!r}; use {', '.join(POLICIES)}, zoo:NAME, file:PATH or a reference like "
                "my_module:MyPolicy"
            )
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            made = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError) as error:
            raise ValueError(f"cannot load the policy {policy!r}: {error}") from error
    if isinstance(made, type) or not hasattr(made, "act"):
        if not callable(made):
            raise ValueError(f"{policy!r} is not a policy: it needs reset(self, episode) and act(self, observation)")
        try:
            made = made()
        except TypeError as error:
            raise ValueError(f"cannot make the policy {policy_name(policy)!r} without arguments: {error}") from error
    for method in ("reset", "act"):
        if not callable(getattr(made, method, None)):
            raise ValueError(
                f"{policy!r} is not a policy: it has no {method}; it needs reset(self, episode) and "
                "act(self, observation)"
            )
    return made  # type: ignore[no-any-return]


def environment_of(policy: Policy) -> dict[str, Any]:
    """What a policy asks of the environment (its attribute ``environment``), e.g. ``{"wrist_plan": False}``."""
    return dict(getattr(policy, "environment", {}))


def policy_source(policy: Any, made: Policy) -> str | None:
    """Hash of the file a policy's class is written in, or of its weights; None for policies without, which have the
    package's version.

    Args:
        policy: as it was named. made: the object that :func:`make_policy` made of it.
    """
    if isinstance(policy, str) and policy in POLICIES:
        return None
    if isinstance(policy, str) and policy.startswith(STORED):
        return str(made.sha256())  # type: ignore[attr-defined]
    try:
        file = inspect.getsourcefile(type(made))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except (TypeError, OSError):
        return None


def policy_name(policy: Any) -> str:
    """How a policy is called in manifests and tables."""
    if isinstance(policy, str):
        return policy
    named = policy if hasattr(policy, "__qualname__") else type(policy)
    return f"{named.__module__}:{named.__qualname__}"
