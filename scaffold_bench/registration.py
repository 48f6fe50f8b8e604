"""The only place where tasks meet environments: ids, and what ``gym.make`` does with them."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from scaffold_bench.plan import Planner
from scaffold_bench.spec import EPISODE_STEPS, TaskSpec
from scaffold_bench.tasks import BUILTIN_TASKS

if TYPE_CHECKING:
    from scaffold_bench.envs.env import ScaffoldEnv
    from scaffold_bench.envs.start_states import StartStates
    from scaffold_bench.envs.vector_env import ScaffoldVectorEnv
    from scaffold_bench.tasks.base import Task

SPLITS = ("train", "eval", "fresh")
_tasks: dict[str, str | type[Task]] = {}


def register_builtin_tasks() -> None:
    """Register the eight ids; called on import of the package."""
    for env_id, reference in BUILTIN_TASKS.items():
        if env_id not in _tasks:
            _register(env_id, reference, EPISODE_STEPS)


def register_task(task: type[Task]) -> None:
    """Register a task class under its ``spec.id``, e.g. from outside the package.

    Raises:
        ValueError: the id or the short name is taken.
    """
    spec = task.spec
    if spec.id in _tasks or spec.id in gym.registry:
        raise ValueError(f"{spec.id} is already registered; bump the version or choose another id")
    if spec.name in task_names():
        raise ValueError(f"a task named {spec.name!r} is already registered; choose another spec.name")
    _register(spec.id, task, spec.horizon)


def _register(env_id: str, reference: str | type[Task], horizon: int) -> None:
    gym.register(
        env_id,
        entry_point="scaffold_bench.registration:make_bridged_env",
        vector_entry_point="scaffold_bench.registration:make_vector_env",
        kwargs={"task": env_id},
        max_episode_steps=horizon,
    )
    _tasks[env_id] = reference


def task_ids() -> tuple[str, ...]:
    """The registered ids, in the paper's order."""
    return tuple(_tasks)


def task_names() -> tuple[str, ...]:
    """Short names of the registered tasks, in the paper's order."""
    return tuple(get_task(env_id).spec.name for env_id in _tasks)


def get_task(name: str) -> Task:
    """The task object for an id or a short name.

    Raises:
        ValueError: there is no such task; suggests the nearest.
    """
    reference = _tasks.get(name)
    if reference is None:
        by_name = {get_task(env_id).spec.name: env_id for env_id in _tasks}
        if name not in by_name:
            nearest = difflib.get_close_matches(name, [*by_name, *_tasks], n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise ValueError(f"there is no task {name!r}; {hint}The tasks are {', '.join(by_name)}")
        return get_task(by_name[name])
    if isinstance(reference, str):
        module, _, attribute = reference.partition(":")
        reference = getattr(import_module(module), attribute)
        _tasks[name] = reference
    return reference()


def task_spec(name: str) -> TaskSpec:
    """The fixed facts of a task, by id or short name."""
    return get_task(name).spec


def start_states(task: Task, split: str) -> StartStates | None:
    """The frozen states of a split; None for "fresh". Tasks from outside the package get theirs from fixed seeds."""
    from scaffold_bench.envs.start_states import frozen_states, generated_states

    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if split == "fresh":
        return None
    if task.spec.id in BUILTIN_TASKS:
        return frozen_states(task.spec.name, split)
    return generated_states(task, split)


def make_bridged_env(task: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """What ``gym.make`` calls: :func:`make_env` behind the wrapper that ManiSkill's own wrappers look for."""
    from scaffold_bench.envs.bridge import ManiSkillBridge

    return ManiSkillBridge(make_env(task, **kwargs))


def make_env(task: str, scaffolds: str | Path | Planner = "oracle", split: str = "train", **kwargs: Any) -> ScaffoldEnv:
    """Make one environment without any wrapper.

    Args:
        task: id or short name.
        scaffolds: "oracle", the path of a plan file, or a planner object.
        split: "train" or "eval" (frozen start states) or "fresh" (drawn on reset).
        kwargs: see :class:`scaffold_bench.envs.env.ScaffoldEnv`.
    """
    from scaffold_bench.envs.env import ScaffoldEnv
    from scaffold_bench.scaffolds import resolve_provider

    made = get_task(task)
    states = start_states(made, split)
    return ScaffoldEnv(task=made, provider=resolve_provider(scaffolds), states=states, split=split, **kwargs)


def make_vector_env(
    task: str,
    num_envs: int,
    scaffolds: str | Path | Planner = "oracle",
    split: str = "train",
    max_episode_steps: int | None = None,
    sim_backend: str = "physx_cpu",
    **kwargs: Any,
) -> ScaffoldVectorEnv:
    """What ``gym.make_vec`` calls: all environments in this process, on the CPU or on a GPU.

    Args:
        task, scaffolds, split: as for :func:`make_env`.
        num_envs: number of environments.
        max_episode_steps: Gymnasium passes the spec's; an episode is as long as its plan, so no other is accepted.
        sim_backend: "physx_cpu", or "physx_cuda" for PhysX' GPU simulation, which was never run.
        kwargs: see :class:`scaffold_bench.envs.vector_env.ScaffoldVectorEnv`.

    Raises:
        ValueError: an argument out of range. RuntimeError: no GPU.
    """
    made = get_task(task)
    if max_episode_steps not in (None, made.spec.horizon):
        raise ValueError(
            f"an episode has {made.spec.horizon} steps, as its plan; got max_episode_steps={max_episode_steps}"
        )
    if sim_backend not in ("physx_cpu", "physx_cuda"):
        raise ValueError(f"sim_backend must be 'physx_cpu' or 'physx_cuda', got {sim_backend!r}")
    from scaffold_bench.envs.requests import check_vector_arguments
    from scaffold_bench.envs.vector_env import ScaffoldVectorEnv
    from scaffold_bench.scaffolds import resolve_provider

    if sim_backend == "physx_cuda":
        from scaffold_bench.envs.gpu_simulation import GpuSimulation

        check_vector_arguments(num_envs, kwargs.get("array", "numpy"))
        kwargs["simulation"] = GpuSimulation(made, num_envs)
    provider, states = resolve_provider(scaffolds), start_states(made, split)
    return ScaffoldVectorEnv(made, provider, num_envs, states=states, split=split, **kwargs)
