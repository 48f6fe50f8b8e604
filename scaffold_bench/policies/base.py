"""What can be evaluated: the policy protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from scaffold_bench.plan import Scaffold
from scaffold_bench.spec import FloatArray, TaskSpec


@dataclass(frozen=True)
class Episode:
    """What a policy is given when an episode begins.

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
