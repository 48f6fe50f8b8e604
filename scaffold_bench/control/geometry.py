"""Rotations and poses. Wrist angles are those of Rx Ry Rz, quaternions (w, x, y, z), poses position and quaternion.

Functions on tensors add up coordinates in a fixed order, so that a row's numbers do not depend on the batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from scaffold_bench.spec import FloatArray


def wrist_rotation(euler: Sequence[float] | FloatArray) -> FloatArray:
    """Rotation matrix Rx(a) Ry(b) Rz(c) of the hand's base for wrist angles (a, b, c)."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(euler), np.sin(euler)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


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


def norm(vectors: torch.Tensor) -> torch.Tensor:
    """Euclidean norm over the last axis (..., 3) -> (...)."""
    x, y, z = vectors.unbind(-1)
    return torch.sqrt(x * x + y * y + z * z)


def rotate(quaternion: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Rotate vectors (..., 3) by unit quaternions (..., 4), w first."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    twice: torch.Tensor = 2.0 * torch.linalg.cross(axis, vector)
    turned: torch.Tensor = vector + w * twice + torch.linalg.cross(axis, twice)
    return turned


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Distance (...) between points (..., 3)."""
    return norm(a - b)
