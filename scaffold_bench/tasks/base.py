"""What a task is: an object handed to the environment, and the shared vocabulary of the eight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import torch

from scaffold_bench.control import RESIDUAL_LIMITS, interpolate
from scaffold_bench.control.geometry import (
    distance,
    norm,
    place,
    pose,
    turned,
    wrist_at,
    yaw_of,
)
from scaffold_bench.plan import PLAN_WAYPOINTS, Scaffold, Waypoints
from scaffold_bench.robots.base import Robot
from scaffold_bench.robots.floating_allegro import FloatingAllegro
from scaffold_bench.spec import CONTACT_FORCE, FloatArray, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.counter import (
    COUNTER_HEIGHT,
    COUNTER_X,
    COUNTER_Y,
    SINK_X,
    SINK_Y,
    over_counter,
)

if TYPE_CHECKING:
    from mani_skill.envs.scene import ManiSkillScene

Scene: TypeAlias = "ManiSkillScene"
"""What tasks build into. A name only, so that reading a task's facts loads no simulator."""

__all__ = [
    "COUNTER_HEIGHT",
    "COUNTER_X",
    "COUNTER_Y",
    "LEAD_STEPS",
    "PALM_DOWN",
    "SINK_X",
    "SINK_Y",
    "BuiltTask",
    "Scene",
    "Task",
    "distance",
    "norm",
    "over_counter",
    "path",
    "place",
    "pose",
    "resample",
    "touching",
    "turned",
    "wrist_at",
    "yaw_of",
]
"""What a task file needs; the geometry comes from ``control.geometry`` and ``counter``."""

OBJECT_XY_NOISE = 0.1
"""Objects start at their default plus U(0, this) in x and in y, metres (authors' code)."""
OBJECT_YAW_NOISE = 0.2
"""... and turned by U(-this, this) about the vertical, radians (authors' code)."""
HAND_XYZ_NOISE = 0.1
"""The hand starts within this of its default, per axis, metres (authors' code)."""
HAND_TURN_NOISE = math.pi / 8
"""... and within this per Euler axis, radians (authors' code)."""
JITTER_OBJECT_XY, JITTER_OBJECT_YAW, JITTER_HAND = 0.002, math.radians(1.0), 0.002
"""What tells the trials of one frozen state apart, metres and radians (ours)."""
LEAD_STEPS = 12
"""A moving wrist lags its smoothed target by 11.5 control steps (measured); scripts run the plan ahead by this."""

PALM_DOWN = (math.pi / 2, 0.0, -math.pi / 2)
"""Palm down, fingers towards -y, thumb side towards +x; +b is a yaw about +z. Away from gimbal lock, where the
authors' start poses sit (ours; grasping study)."""


@dataclass
class BuiltTask:
    """What a task put into the scene, by name.

    Attributes:
        objects: actors and articulations whose pose a start state sets.
        bodies: tracked actors and links; keys are ``spec.bodies``.
        joints: (articulation, joint index) of the tracked joints; keys are ``spec.joints``.
    """

    objects: dict[str, Any]
    bodies: dict[str, Any]
    joints: dict[str, tuple[Any, int]] = field(default_factory=dict)


class Task(ABC):
    """One manipulation task. Subclasses are stateless: what changes in an episode lives in tensors.

    Class attributes:
        spec: the task's fixed facts.
        robot: what acts.
        scene: "counter" or "floor".
        finger_schedule: the reference policy's finger commands, ``(step, command(s))`` pairs, linear in between.
    """

    spec: ClassVar[TaskSpec]
    robot: ClassVar[type[Robot]] = FloatingAllegro
    scene: ClassVar[str] = "counter"
    finger_schedule: ClassVar[Sequence[tuple[float, float | tuple[float, ...]]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        spec, fingers = cls.__dict__.get("spec"), len(cls.robot.fingers)
        if spec is not None and spec.finger_commands not in (1, fingers):
            raise ValueError(
                f"{spec.id}: finger_commands must be 1 or {fingers}, one for each finger of {cls.robot.uid}"
            )

    @abstractmethod
    def build(self, scene: Scene) -> BuiltTask:
        """Build the task's objects in a ManiSkill scene."""

    @abstractmethod
    def default_start(self) -> StartState:
        """The start state without noise."""

    @abstractmethod
    def reference_plan(self, start: StartState) -> Waypoints:
        """The hand-specified plan for a start state: keypoints and wrist (usually 20 waypoints)."""

    @abstractmethod
    def measures(self, state: SceneState, memory: Memory) -> Measures:
        """Measured facts (n,) about the state; independent of the plan."""

    @abstractmethod
    def success(self, measures: Measures) -> torch.Tensor:
        """Whether the task is solved (n,): comparisons on measures only."""

    def initial_memory(self, state: SceneState) -> Memory:
        """What to remember at the start of an episode; empty for tasks judged by the current state alone."""
        return {}

    def remember(self, state: SceneState, memory: Memory) -> Memory:
        """The memory after a control step. Must not modify its arguments."""
        return memory

    def sample_start(self, rng: np.random.Generator) -> StartState:
        """Draw a start state: the default plus the authors' noise."""
        default = self.default_start()
        objects = {
            name: turned(
                place_ + np.array([*rng.uniform(0, OBJECT_XY_NOISE, 2), 0, 0, 0, 0, 0]),
                rng.uniform(-OBJECT_YAW_NOISE, OBJECT_YAW_NOISE),
            )
            for name, place_ in default.objects.items()
        }
        return StartState(self._noisy_wrist(rng, default.wrist), objects, default.joints)

    @staticmethod
    def _noisy_wrist(rng: np.random.Generator, wrist: FloatArray) -> FloatArray:
        shift = rng.uniform(-HAND_XYZ_NOISE, HAND_XYZ_NOISE, 3)
        turn = rng.uniform(-HAND_TURN_NOISE, HAND_TURN_NOISE, 3)
        return np.asarray(wrist + np.concatenate([shift, turn]))

    def jitter_start(self, start: StartState, rng: np.random.Generator) -> StartState:
        """Move a start state slightly, so that the trials of a deterministic policy differ (ours)."""
        objects = {
            name: turned(
                place_ + np.array([*rng.uniform(-JITTER_OBJECT_XY, JITTER_OBJECT_XY, 2), 0, 0, 0, 0, 0]),
                rng.uniform(-JITTER_OBJECT_YAW, JITTER_OBJECT_YAW),
            )
            for name, place_ in start.objects.items()
        }
        wrist = start.wrist + np.concatenate([rng.uniform(-JITTER_HAND, JITTER_HAND, 3), np.zeros(3)])
        return StartState(wrist, objects, start.joints)

    def reference_waypoints(self, start: StartState) -> Callable[[int], Waypoints]:
        """What an oracle is given: the reference plan for a start state with any number of waypoints."""
        return lambda waypoints: resample(self.reference_plan(start), waypoints)

    def reference_action(self, step: int, plan: Scaffold) -> FloatArray:
        """The scripted action (A,) at a control step: the wrist runs the plan ahead, the fingers a schedule.

        Args:
            step: control steps taken so far; the action leads to frame ``step + 1``.
            plan: the plan being followed.
        """
        last = len(plan.wrist) - 1
        now, ahead = min(step + 1, last), min(step + 1 + LEAD_STEPS, last)
        residual = (plan.wrist[ahead] - plan.wrist[now]) / np.array(RESIDUAL_LIMITS)
        steps = [at for at, _ in self.finger_schedule]
        commands = np.array([np.atleast_1d(command) for _, command in self.finger_schedule], dtype=np.float64)
        fingers = [np.interp(step, steps, column) for column in commands.T]
        action: FloatArray = np.clip(np.concatenate([residual, fingers]), -1.0, 1.0).astype(np.float32)
        return action


def path(*knots: tuple[float, FloatArray], waypoints: int = PLAN_WAYPOINTS) -> FloatArray:
    """Waypoints (N, ...) through ``(waypoint index, value)`` knots, linear in between and held at the ends."""
    index = [at for at, _ in knots]
    values = np.stack([np.asarray(value, dtype=np.float64) for _, value in knots])
    flat = values.reshape(len(knots), -1)
    columns = [np.interp(np.arange(waypoints), index, column) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(waypoints, *values.shape[1:])


def resample(plan: Waypoints, waypoints: int) -> Waypoints:
    """The same plan with another number of evenly spaced waypoints."""
    if waypoints == len(plan.wrist) and plan.times is None:
        return plan
    if waypoints < 2:
        raise ValueError(f"a plan needs at least 2 waypoints, got {waypoints}")

    def at(values: FloatArray) -> FloatArray:
        return interpolate(values, plan.times, steps=waypoints - 1)

    return Waypoints(at(plan.keypoints), at(plan.wrist), plan.attachments)


def touching(state: SceneState, body: str, threshold: float = CONTACT_FORCE) -> torch.Tensor:
    """Which fingertips (n, fingers) push on a body with more than ``threshold`` newtons."""
    return norm(state.tip_forces[body]) > threshold
