"""What a task is: an object handed to the environment, and the shared vocabulary of the eight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from scaffold_bench.control import RESIDUAL_LIMITS, interpolate, wrist_rotation
from scaffold_bench.plan import PLAN_WAYPOINTS, Scaffold, Waypoints
from scaffold_bench.spec import (
    CONTACT_FORCE,
    EPISODE_STEPS,
    FloatArray,
    Measures,
    Memory,
    SceneState,
    StartState,
    TaskSpec,
)
from scaffold_bench.tasks.counter import (  # noqa: F401  # tasks from outside import them from here
    COUNTER_HEIGHT,
    COUNTER_X,
    COUNTER_Y,
    SINK_X,
    SINK_Y,
    over_counter,
)

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
        scene: "counter" or "floor".
        finger_schedule: the reference policy's finger commands, ``(step, command(s))`` pairs, linear in between.
    """

    spec: ClassVar[TaskSpec]
    scene: ClassVar[str] = "counter"
    finger_schedule: ClassVar[Sequence[tuple[float, float | tuple[float, ...]]]]

    @abstractmethod
    def build(self, scene: Any) -> BuiltTask:
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
                pose + np.array([*rng.uniform(0, OBJECT_XY_NOISE, 2), 0, 0, 0, 0, 0]),
                rng.uniform(-OBJECT_YAW_NOISE, OBJECT_YAW_NOISE),
            )
            for name, pose in default.objects.items()
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
                pose + np.array([*rng.uniform(-JITTER_OBJECT_XY, JITTER_OBJECT_XY, 2), 0, 0, 0, 0, 0]),
                rng.uniform(-JITTER_OBJECT_YAW, JITTER_OBJECT_YAW),
            )
            for name, pose in start.objects.items()
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
        now, ahead = min(step + 1, EPISODE_STEPS), min(step + 1 + LEAD_STEPS, EPISODE_STEPS)
        residual = (plan.wrist[ahead] - plan.wrist[now]) / np.array(RESIDUAL_LIMITS)
        steps = [at for at, _ in self.finger_schedule]
        commands = np.array([np.atleast_1d(command) for _, command in self.finger_schedule], dtype=np.float64)
        fingers = [np.interp(step, steps, column) for column in commands.T]
        action: FloatArray = np.clip(np.concatenate([residual, fingers]), -1.0, 1.0).astype(np.float32)
        return action


# ------------------------------------------------------------------------------------------------ shared vocabulary
def pose(position: Sequence[float], yaw: float = 0.0) -> FloatArray:
    """A pose (7,) upright at ``position``, turned by ``yaw`` about the vertical."""
    return np.array([*position, math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)])


def turned(original: FloatArray, yaw: float) -> FloatArray:
    """A pose (7,) turned by ``yaw`` about the vertical through its own origin."""
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    w, x, y, z = original[3:]
    return np.array([*original[:3], c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w])


def yaw_of(pose_: FloatArray) -> float:
    """Yaw of an upright pose (7,)."""
    w, x, y, z = pose_[3:]
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def place(pose_: FloatArray, local: Sequence[float]) -> FloatArray:
    """World position (3,) of a point given in the frame of a pose (7,)."""
    axis, vector = pose_[4:], np.asarray(local, dtype=np.float64)
    twice = 2 * np.cross(axis, vector)
    return np.asarray(pose_[:3] + vector + pose_[3] * twice + np.cross(axis, twice))


def wrist_at(point: FloatArray, euler: Sequence[float], offset: Sequence[float]) -> FloatArray:
    """The wrist (6,) that puts the hand-frame point ``offset`` onto the world point ``point`` (3,)."""
    return np.concatenate([point - wrist_rotation(euler) @ np.asarray(offset), euler])


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


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Distance (n,) between points (n, 3), in a fixed order of summation."""
    x, y, z = (a - b).unbind(-1)
    return torch.sqrt(x * x + y * y + z * z)


def touching(state: SceneState, body: str, threshold: float = CONTACT_FORCE) -> torch.Tensor:
    """Which fingertips (n, 4) push on a body with more than ``threshold`` newtons."""
    x, y, z = state.tip_forces[body].unbind(-1)
    return torch.sqrt(x * x + y * y + z * z) > threshold
