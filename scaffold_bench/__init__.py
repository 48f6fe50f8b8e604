"""scaffold_bench: eight plan-conditioned dexterous manipulation tasks behind ``gymnasium.make``.

Importing this package registers the eight ids. The public names are imported on first use, so that
``import scaffold_bench`` stays quick::

    import gymnasium as gym
    import scaffold_bench

    env = gym.make("Scaffold-Hammer-v0")
    results = scaffold_bench.evaluate("reference", tasks=["hammer"], preset="quick")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaffold_bench.version import __version__

if TYPE_CHECKING:
    from scaffold_bench.evaluation import Policy, Results, evaluate
    from scaffold_bench.plan import InvalidScaffoldError, Scaffold, ScaffoldRequest, Waypoints
    from scaffold_bench.registration import register_task, task_names, task_spec
    from scaffold_bench.scaffolds import (
        OracleProvider,
        RecordedProvider,
        ScaffoldEntry,
        failed_scaffold,
        load_scaffolds,
        save_scaffolds,
        scaffold_from_waypoints,
    )
    from scaffold_bench.spec import StartState, TaskSpec

_PUBLIC = {
    "evaluate": "evaluation",
    "Policy": "evaluation",
    "Results": "evaluation",
    "register_task": "registration",
    "task_names": "registration",
    "task_spec": "registration",
    "OracleProvider": "scaffolds",
    "RecordedProvider": "scaffolds",
    "load_scaffolds": "scaffolds",
    "save_scaffolds": "scaffolds",
    "ScaffoldEntry": "scaffolds",
    "failed_scaffold": "scaffolds",
    "scaffold_from_waypoints": "scaffolds",
    "InvalidScaffoldError": "types",
    "Scaffold": "types",
    "ScaffoldRequest": "types",
    "StartState": "types",
    "TaskSpec": "types",
    "Waypoints": "types",
}

__all__ = [
    "InvalidScaffoldError",
    "OracleProvider",
    "Policy",
    "RecordedProvider",
    "Results",
    "Scaffold",
    "ScaffoldEntry",
    "ScaffoldRequest",
    "StartState",
    "TaskSpec",
    "Waypoints",
    "__version__",
    "evaluate",
    "failed_scaffold",
    "load_scaffolds",
    "register_task",
    "save_scaffolds",
    "scaffold_from_waypoints",
    "task_names",
    "task_spec",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def _register() -> None:
    from scaffold_bench.registration import register_builtin_tasks

    register_builtin_tasks()


_register()
