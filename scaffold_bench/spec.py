"""What is fixed about a task, its states and its measures, and the units of everything; imports no simulator.

Conventions: metres, radians, seconds, newtons; world frame with z up; quaternions are (w, x, y, z), poses are
position then quaternion; a wrist is the six values of the hand's dummy joints, (x, y, z, a, b, c) with the
rotation Rx(a) Ry(b) Rz(c). Tensors that describe simulations have the number of environments ``n`` in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch  # tensors appear in annotations only, so that reading records and plans needs no torch

FloatArray = npt.NDArray[np.floating[Any]]

EPISODE_STEPS = 300
"""Control steps in an episode of the eight tasks, T (paper, 3.1; authors' code): 5 s at 60 Hz."""
MAX_HORIZON = 6000
"""Control steps in the longest episode (ours): 100 s."""
CONTROL_DT = 1 / 60
"""Seconds per control step (paper, Table 2)."""
WRIST_DIM, POSE_DIM = 6, 7
"""Numbers of a wrist (a position and three angles) and of a pose (a position and a quaternion)."""
CONTACT_FORCE = 0.05
"""Newtons above which a fingertip counts as touching (ours)."""
FINGERTIPS = ("index", "middle", "ring", "thumb")
"""Order of everything that has one entry per finger of the Allegro hand."""
PALM_POINT = (0.045, 0.015, 0.06)
"""A point in front of the palm where a grasped object sits, hand frame, metres (grasping study)."""
WORLD = "world"
"""The name of the body a keypoint is attached to when it marks a fixed place."""


@dataclass(frozen=True)
class Camera:
    """Where a task is looked at from: eye and target in metres, vertical field of view in radians."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float = 0.9


@dataclass(frozen=True)
class TaskSpec:
    """What is fixed about a task, readable without a simulator.

    Attributes:
        id: Gymnasium id, e.g. ``"Scaffold-Hammer-v0"``. Any change of behaviour bumps its version.
        name: short name for commands and file names, e.g. ``"hammer"``.
        instruction: the sentence given to a planner (paper, Appendix D).
        capability: the group the paper files the task under.
        keypoints: names of the K keypoints, in plan order.
        success: the success criterion in words.
        tracking_threshold: initial termination threshold epsilon_0, metres (paper, Table 5).
        finger_commands: 1 (all fingers together) or one for each finger of the robot (paper, B.2).
        wrist_start: default wrist at the start of an episode, (x, y, z, a, b, c).
        bodies: names of the tracked rigid bodies; keypoints and fingertip contacts refer to them.
        joints: names of the tracked joints of articulated objects.
        horizon: control steps T in an episode; a plan has T + 1 frames.
        camera: the view used for pictures and videos, and given to planners that see.
        keypoint_hints: what each keypoint is, in words for a planner; the names if empty.
        motion_hint: what a planner should know about the motion, one or two sentences.
        grasp_point: where a held object sits in the hand frame, metres; a planner's "hand" is this point.
        notes: deviations from the paper, one sentence each.
    """

    id: str
    name: str
    instruction: str
    capability: str
    keypoints: tuple[str, ...]
    success: str
    tracking_threshold: float
    finger_commands: int
    wrist_start: tuple[float, float, float, float, float, float]
    bodies: tuple[str, ...]
    camera: Camera
    joints: tuple[str, ...] = ()
    horizon: int = EPISODE_STEPS
    keypoint_hints: tuple[str, ...] = ()
    motion_hint: str = ""
    grasp_point: tuple[float, float, float] = PALM_POINT
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.keypoint_hints and len(self.keypoint_hints) != len(self.keypoints):
            raise ValueError(f"{self.id}: keypoint_hints must have an entry for every keypoint, or none")
        if self.finger_commands < 1:
            raise ValueError(f"{self.id}: finger_commands must be at least 1, got {self.finger_commands}")
        if not 1 <= self.horizon <= MAX_HORIZON:
            raise ValueError(f"{self.id}: horizon must be from 1 to {MAX_HORIZON} control steps, got {self.horizon}")
        if not self.keypoints:
            raise ValueError(f"{self.id}: a task needs at least one keypoint")

    @property
    def action_dim(self) -> int:
        """Wrist residual plus finger commands."""
        return WRIST_DIM + self.finger_commands


@dataclass(frozen=True)
class StartState:
    """Everything that sets up an episode of one environment.

    Attributes:
        wrist: (6,) wrist joints of the hand, which starts with open fingers.
        objects: pose (7,) of every movable object, by name.
        joints: position of every articulated object's joint, by name.
    """

    wrist: FloatArray
    objects: Mapping[str, FloatArray]
    joints: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SceneState:
    """What the simulation says after a control step; the input of every task's pure functions.

    Attributes:
        wrist: (n, 6) wrist joints.
        bodies: pose (n, 7) of each tracked body, by name.
        joints: position (n,) of each tracked joint, by name.
        tip_forces: (n, fingers, 3) contact force of each fingertip (the robot's order) on each tracked body,
            by name, newtons, world frame.
    """

    wrist: torch.Tensor
    bodies: Mapping[str, torch.Tensor]
    joints: Mapping[str, torch.Tensor]
    tip_forces: Mapping[str, torch.Tensor]


Memory: TypeAlias = "dict[str, torch.Tensor]"
"""What a task must remember within an episode, e.g. a swing counter: tensors (n,) or (n, d), by name."""
Measures: TypeAlias = "dict[str, torch.Tensor]"
"""Measured facts (n,), by name; success is a comparison on them."""
