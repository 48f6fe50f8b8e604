"""The plan-conditioned MDP as pure functions on tensors with the number of environments ``n`` in front.

Sums over keypoints, fingertips and coordinates are made in a fixed order rather than left to a reduction kernel, so
that an environment's numbers do not depend on how many run beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from scaffold_bench.control.geometry import norm, rotate
from scaffold_bench.robots.base import Robot
from scaffold_bench.spec import POSE_DIM, WRIST_DIM

DEFAULT_FRAME_OFFSETS = (1, 5, 10, 20, 40)
"""Future frames of the plan in the observation (count: paper, Table 4; choice: ours). Offset 1 is the frame the next
step is rewarded against; the wrist lags its target by about 12 steps (measured)."""
AUTHORS_FRAME_OFFSETS = (*range(10), 20, 30, 40, 50)
"""The 14 frames of the authors' code."""

TRACKING_SCALE = 20.0  # 1/m (paper, eq. 3; authors' code)
CONTACT_FORCE_CAP = 1.0  # N per fingertip (authors' code)
CONTACT_EPSILON = 1e-6  # N (authors' code)
ACTION_COST = 0.001  # (authors' code)
LOST = 1000.0  # metres (ours): the tracking error of a keypoint whose body the physics lost
REWARD_WEIGHTS = {"tracking": 1.0, "contact": 1.0, "action": -ACTION_COST}


@dataclass(frozen=True)
class Sizes:
    """What the sizes of an observation's pieces depend on.

    Attributes:
        joints, fingers: D and number of fingers of the robot. keypoints: K of the task. frames: F future plan frames.
    """

    joints: int
    fingers: int
    keypoints: int
    frames: int

    @classmethod
    def of(cls, robot: type[Robot], keypoints: int, frames: int) -> Sizes:
        """The sizes for a robot, K keypoints and F future frames."""
        return cls(len(robot.joints), len(robot.fingers), keypoints, frames)


@dataclass(frozen=True)
class Observed:
    """What n episodes show at a step: a tensor (n, ...) for every piece of the observation."""

    joint_position: torch.Tensor
    joint_velocity: torch.Tensor
    smoothed_target: torch.Tensor
    fingertip_poses: torch.Tensor
    initial_keypoints: torch.Tensor
    keypoints: torch.Tensor
    planned_keypoints: torch.Tensor
    wrist: torch.Tensor
    planned_wrist: torch.Tensor


@dataclass(frozen=True)
class Piece:
    """One named part of the observation.

    Attributes:
        name: of its slice, and of the field of :class:`Observed` that it shows.
        shape: per environment: numbers, and names of :class:`Sizes`.
        unit: of its numbers.
        bound: numbers are clipped to plus or minus this; only a lost object or an exploded joint reaches it.
    """

    name: str
    shape: tuple[str | int, ...]
    unit: str
    bound: float

    def count(self, sizes: Sizes) -> int:
        """How many numbers it has."""
        return math.prod(getattr(sizes, size) if isinstance(size, str) else size for size in self.shape)


PIECES = (
    Piece("joint_position", ("joints",), "m, rad", 20.0),
    Piece("joint_velocity", ("joints",), "m/s, rad/s", 200.0),
    Piece("smoothed_target", ("joints",), "normalised joint range, -1 to 1", 1.0),
    Piece("fingertip_poses", ("fingers", POSE_DIM), "m, quaternion wxyz", 20.0),
    Piece("initial_keypoints", ("keypoints", 3), "m", 20.0),
    Piece("keypoints", ("keypoints", 3), "m", 20.0),
    Piece("planned_keypoints", ("frames", "keypoints", 3), "m", 20.0),
    Piece("wrist", (WRIST_DIM,), "m, rad", 20.0),
    Piece("planned_wrist", ("frames", WRIST_DIM), "m, rad", 20.0),
)
"""The observation, in order (paper, Table 4): 130 + 21 K numbers for the Allegro hand and five frames. A new piece is a
row here and a field of :class:`Observed`."""


def observation_layout(sizes: Sizes) -> dict[str, slice]:
    """The slice of every piece of the observation by name, in order; pieces are flattened."""
    layout, start = {}, 0
    for piece in PIECES:
        layout[piece.name] = slice(start, start + piece.count(sizes))
        start += piece.count(sizes)
    return layout


def observation_bounds(layout: Mapping[str, slice]) -> np.ndarray:
    """Return the upper bound (D,) of every observed number; the lower bound is its negative."""
    bounds = np.empty(max(piece.stop for piece in layout.values()), dtype=np.float32)
    for piece in PIECES:
        bounds[layout[piece.name]] = piece.bound
    return bounds


def observation_table() -> str:
    """The pieces as a Markdown table, for docstrings."""
    rows = [f"| {piece.name} | {' x '.join(map(str, piece.shape))} | {piece.unit} |" for piece in PIECES]
    return "\n".join(["| slice | numbers | unit |", "|---|---|---|", *rows])


def observe(observed: Observed, bounds: torch.Tensor) -> torch.Tensor:
    """Concatenate the observation's pieces, flattened and in order, and clip to ``bounds`` (D,)."""
    flat = torch.cat([getattr(observed, piece.name).flatten(1) for piece in PIECES], dim=1)
    return torch.nan_to_num(torch.minimum(torch.maximum(flat, -bounds), bounds))


def ordered_sum(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum over an axis by halving it, always in the same order."""
    carried: torch.Tensor | None = None
    while (width := values.shape[dim]) > 1:
        half = width // 2
        if width % 2:
            last = values.narrow(dim, width - 1, 1)
            carried = last if carried is None else carried + last
        values = values.narrow(dim, 0, half) + values.narrow(dim, half, half)
    return (values if carried is None else values + carried).squeeze(dim)


def track_keypoints(body_poses: torch.Tensor, attached_to: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """World positions of keypoints that ride on bodies.

    Args:
        body_poses: (n, B, 7) poses of the tracked bodies; the last one is the world (identity).
        attached_to: (n, K) index of each keypoint's body.
        offsets: (n, K, 3) keypoint positions in their body's frame.

    Returns:
        (n, K, 3) positions, metres.
    """
    poses = torch.gather(body_poses, 1, attached_to[..., None].expand(-1, -1, POSE_DIM))
    return poses[..., :3] + rotate(poses[..., 3:], offsets)


def attach_keypoints(body_poses: torch.Tensor, attached_to: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`track_keypoints`: offsets (n, K, 3) of world positions (n, K, 3) in their body's frame."""
    poses = torch.gather(body_poses, 1, attached_to[..., None].expand(-1, -1, POSE_DIM))
    conjugate = poses[..., 3:] * poses.new_tensor([1.0, -1.0, -1.0, -1.0])
    return rotate(conjugate, positions - poses[..., :3])


def tracking_errors(keypoints: torch.Tensor, planned: torch.Tensor) -> torch.Tensor:
    """Distance (n, K) of each keypoint (n, K, 3) from its plan, metres; a keypoint lost to infinity is LOST away."""
    return torch.nan_to_num(norm(keypoints - planned), nan=LOST, posinf=LOST).clamp(max=LOST)


def contact_forces(tip_forces: torch.Tensor, touchable: torch.Tensor) -> torch.Tensor:
    """Force magnitude (n, fingers) of each fingertip on the bodies the keypoints sit on, newtons.

    Args:
        tip_forces: (n, fingers, B, 3) force of each fingertip on each tracked body.
        touchable: (n, B) 1 where a keypoint sits on the body, else 0. A body counts once (the authors' code counts
            it once per keypoint).
    """
    weighted = tip_forces * touchable[:, None, :, None]
    return torch.nan_to_num(norm(ordered_sum(weighted, 2)))


def reward_terms(errors: torch.Tensor, tip_force: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """The unweighted reward terms (n,); see :data:`REWARD_WEIGHTS` (paper, eq. 3; authors' code).

    Args:
        errors: (n, K) tracking errors, metres.
        tip_force: (n, fingers) fingertip forces on the keypoints' bodies, newtons.
        target: (n, D) smoothed normalised joint target u.

    Returns:
        ``tracking`` exp(-20 mean error), ``contact`` exp(-1 / (c + 1e-6)) with c the sum of the tips' forces capped
        at 1 N each, and ``action`` the squared norm of u.
    """
    mean_error = ordered_sum(errors, 1) / errors.shape[1]
    contact = ordered_sum(tip_force.clamp(max=CONTACT_FORCE_CAP), 1)
    return {
        "tracking": torch.exp(-TRACKING_SCALE * mean_error),
        "contact": torch.exp(-1.0 / (contact + CONTACT_EPSILON)),
        "action": ordered_sum(target * target, 1),
    }


def total_reward(terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Weighted sum (n,) of the reward terms."""
    total = torch.zeros_like(terms["tracking"])
    for name, weight in REWARD_WEIGHTS.items():
        total = total + weight * terms[name]
    return total
