"""From a policy's name, class or object to a policy, and what is known of where it comes from."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaffold_bench.policies.base import Policy
from scaffold_bench.policies.scripted import POLICIES

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
            from scaffold_bench.policies.actor import stored_policy

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
    if isinstance(made, type) or (callable(made) and not hasattr(made, "act")):
        try:
            made = made()
        except TypeError as error:
            raise ValueError(f"cannot make the policy {policy_name(policy)!r} without arguments: {error}") from error
    missing = [method for method in ("reset", "act") if not callable(getattr(made, method, None))]
    if missing:
        has = f"it has no {missing[0]}; " if len(missing) == 1 else ""
        raise ValueError(f"{policy!r} is not a policy: {has}it needs reset(self, episode) and act(self, observation)")
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
