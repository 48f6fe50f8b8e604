"""Where episodes come from: a start state of the split and a plan for it; and the settings all environments share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaffold_bench.envs.episodes import Episodes, check_plan
from scaffold_bench.envs.start_states import StartStates, check_start_options, choose_start
from scaffold_bench.plan import CameraView, Planner, PrivilegedRequest, Scaffold, ScaffoldRequest
from scaffold_bench.spec import StartState, TaskSpec
from scaffold_bench.tasks.base import Task

VECTOR_RESET_OPTIONS = ("state", "trial", "start", "scaffold", "reset_mask")


class EpisodeSource:
    """Draws start states and asks a planner for their plans.

    Args:
        task: the task object. provider: the planner.
        states: the frozen start states of the split, or None to draw fresh ones.
        split: "train", "eval" or "fresh"; the planner knows it.
    """

    def __init__(self, task: Task, provider: Planner, states: StartStates | None, split: str) -> None:
        self.task, self.provider, self.states, self.split = task, provider, states, split

    @property
    def frozen_states(self) -> StartStates:
        """The frozen start states of the split.

        Raises:
            ValueError: the split is "fresh", which has none.
        """
        if self.states is None:
            raise ValueError('split="fresh" has no frozen start states')
        return self.states

    @staticmethod
    def refuse_unknown(options: Mapping[str, Any], known: Sequence[str]) -> None:
        """Refuse reset options that an environment does not have.

        Raises:
            ValueError: names them and the known ones.
        """
        if unknown := set(options) - set(known):
            raise ValueError(f"unknown reset options {sorted(unknown)}; known are {', '.join(known)}")

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that give no usable start state or plan.

        Raises:
            ValueError: names the option. InvalidScaffoldError: the plan does not fit the task.
        """
        if options.get("scaffold") is not None:
            check_plan(options["scaffold"], self.task.spec)
        check_start_options(self.task, self.states, options)

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> tuple[StartState, int | None]:
        """A start state, and its index in the frozen set if it comes from there."""
        return choose_start(self.task, self.states, rng, options)

    @property
    def sees(self) -> bool:
        """Whether the planner wants a picture with every request."""
        return bool(getattr(self.provider, "sees", False))

    def plan(
        self, start: StartState, state: int | None, options: Mapping[str, Any], view: CameraView | None = None
    ) -> Scaffold:
        """The injected plan, or the planner's for that start state."""
        injected: Scaffold | None = options.get("scaffold")
        return self.provider.plan(self.request(start, state, view)) if injected is None else injected

    def request(self, start: StartState, state: int | None, view: CameraView | None = None) -> ScaffoldRequest:
        """What the planner is asked for a start state."""
        spec: TaskSpec = self.task.spec
        common: dict[str, Any] = dict(
            task=spec.name,
            instruction=spec.instruction,
            keypoint_names=spec.keypoints,
            wrist=np.array(start.wrist),
            state=state,
            horizon=spec.horizon,
            split=self.split,
            bodies=spec.bodies,
            keypoint_hints=spec.keypoint_hints or spec.keypoints,
            motion_hint=spec.motion_hint,
            hand_turn=spec.wrist_start[3:],
            grasp_point=spec.grasp_point,
            view=view,
        )
        if not self.provider.privileged:
            return ScaffoldRequest(**common)
        return PrivilegedRequest(**common, start=start, reference=self.task.reference_waypoints(start))


def refuse_seeing(provider: Any) -> None:
    """Refuse a planner that wants pictures.

    Raises:
        ValueError: it does; says how to get its plans into a batch.
    """
    if getattr(provider, "sees", False):
        raise ValueError(
            f"{type(provider).__name__} plans from pictures, and environments that run side by side have no camera; "
            "make a plan file first (scaffold-bench plans make --provider ... --out FILE) and give that"
        )


def check_vector_arguments(num_envs: Any, array: Any) -> None:
    """Refuse what no vector environment can be made of.

    Raises:
        ValueError: ``num_envs`` is no whole number of at least 1, or ``array`` neither "numpy" nor "torch".
    """
    if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
        raise ValueError(f"num_envs must be a whole number of at least 1, got {num_envs!r}")
    if array not in ("numpy", "torch"):
        raise ValueError(f"array must be 'numpy' or 'torch', got {array!r}")


def options_of_each(options: Mapping[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """The reset options of each environment: a list holds one for each, anything else is for all.

    Raises:
        ValueError: a list of another length.
    """
    for name, value in options.items():
        if isinstance(value, list | tuple | np.ndarray) and len(value) != num_envs:
            raise ValueError(f'options["{name}"] has {len(value)} entries for {num_envs} environments')
    return [
        {name: value[env] if isinstance(value, list | tuple | np.ndarray) else value for name, value in options.items()}
        for env in range(num_envs)
    ]


class FollowsPlans:
    """What every environment tells about its episodes."""

    task: Task
    _source: EpisodeSource
    _episodes: Episodes

    @property
    def tracking_threshold(self) -> float:
        """Distance from the plan at which an episode terminates, metres; ``inf`` when it does not."""
        return self._episodes.threshold

    def set_tracking_threshold(self, threshold: float | str | None) -> None:
        """Set the termination threshold: metres, "task" for the task's epsilon_0, or None for no termination."""
        self._episodes.threshold = resolve_threshold(threshold, self.task.spec)

    @property
    def split(self) -> str:
        """Whose start states: "train", "eval" or "fresh"."""
        return self._source.split

    @property
    def start_state_set(self) -> StartStates:
        """The frozen start states of the split.

        Raises:
            ValueError: the split is "fresh", which has none.
        """
        return self._source.frozen_states

    @property
    def scaffolds(self) -> tuple[Scaffold | None, ...]:
        """The plan each environment is following."""
        return tuple(self._episodes.plans)


def check_reset_mask(mask: Any, num_envs: int) -> np.ndarray:
    """The mask (n,) of environments to reset, as booleans.

    Raises:
        ValueError: another shape.
    """
    flags = np.asarray(mask, dtype=bool)
    if flags.shape != (num_envs,):
        raise ValueError(f"reset_mask has shape {flags.shape}, expected ({num_envs},)")
    return flags


def resolve_threshold(threshold: float | str | None, spec: TaskSpec) -> float:
    """The termination threshold in metres for "task" (epsilon_0), None (``inf``: never) or a number.

    Raises:
        ValueError: anything else.
    """
    if threshold == "task":
        return float(spec.tracking_threshold)
    if threshold is None:
        return math.inf
    if isinstance(threshold, int | float | np.floating) and not isinstance(threshold, bool) and threshold > 0:
        return float(threshold)
    raise ValueError(f"tracking_threshold must be positive metres, 'task' or None, got {threshold!r}")


def resolve_offsets(frame_offsets: Any, spec: TaskSpec) -> tuple[int, ...]:
    """The future plan frames in the observation.

    Raises:
        ValueError: not a sequence of whole frames within the episode.
    """
    offsets = tuple(frame_offsets) if isinstance(frame_offsets, Sequence) else ()
    if not offsets or not all(type(offset) is int and 0 <= offset <= spec.horizon for offset in offsets):
        raise ValueError(f"frame_offsets must be whole frames from 0 to {spec.horizon}, got {frame_offsets!r}")
    return offsets


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """One seed per environment: those given, or ``seed``, ``seed + 1``, ... as Gymnasium's vector environments do.

    Raises:
        ValueError: another number of seeds than environments.
    """
    if isinstance(seed, int | np.integer):
        return [int(seed) + index for index in range(count)]
    seeds = [int(one) for one in seed]
    if len(seeds) == 1:
        return seeds_of(seeds[0], count)
    if len(seeds) != count:
        raise ValueError(f"got {len(seeds)} seeds for {count} environments")
    return seeds
