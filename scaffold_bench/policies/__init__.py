"""What acts: policies without learning, stored actors and how they are saved. Names are imported on first use, as some
need torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaffold_bench.policies.actor import ActorPolicy, about, load_actor, save_actor
    from scaffold_bench.policies.base import Episode, Policy
    from scaffold_bench.policies.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
    from scaffold_bench.policies.names import make_policy
    from scaffold_bench.policies.plan_following import PlanFollowing

__all__ = [
    "ActorPolicy",
    "Episode",
    "PlanFollowing",
    "Policy",
    "about",
    "latest_checkpoint",
    "load_actor",
    "load_checkpoint",
    "make_policy",
    "save_actor",
    "save_checkpoint",
]


_MODULES = ("base", "names", "plan_following", "checkpoints", "actor")
"""Where a name is looked for; those that need no torch come first."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            if (found := getattr(import_module(f"{__name__}.{module}"), name, None)) is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
