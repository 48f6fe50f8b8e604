"""From a pixel to a point in the world, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaffold_bench.plan import CameraView
from scaffold_bench.spec import WORLD, FloatArray

SNAP_PIXELS = 40
"""A pixel that shows none of the tracked bodies is moved to the nearest one that does, at most this far (of 800)."""


class LiftingError(ValueError):
    """A pixel shows nothing a keypoint can be attached to."""


@dataclass(frozen=True)
class Lifted:
    """A pixel's point on a surface.

    Attributes:
        position: (3,) world, metres. body: the tracked body it lies on, or ``"world"``.
        pixel: (u, v) it was finally read at.
    """

    position: FloatArray
    body: str
    pixel: tuple[float, float]


def project(view: CameraView, points: FloatArray) -> FloatArray:
    """Pixels (..., 2) of world points (..., 3); NaN for points behind the camera."""
    world_to_camera = np.linalg.inv(view.camera_to_world)
    local = np.asarray(points, dtype=np.float64) @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    image = local @ view.intrinsics.T
    depth = np.where(image[..., 2:] > 0, image[..., 2:], np.nan)
    return np.asarray(image[..., :2] / depth)


def unproject(view: CameraView, pixel: tuple[float, float], depth: float) -> FloatArray:
    """The world point (3,) at ``depth`` metres along the optical axis behind a pixel (u, v)."""
    local = np.linalg.solve(view.intrinsics, np.array([*pixel, 1.0])) * depth
    return np.asarray(view.camera_to_world[:3, :3] @ local + view.camera_to_world[:3, 3])


def lift(view: CameraView, pixel: tuple[float, float], bodies: tuple[str, ...], snap: bool = True) -> Lifted:
    """The surface point a pixel shows, with the tracked body it belongs to.

    Args:
        pixel: (u, v), anywhere in the picture. bodies: the names ``view.body`` counts through.
        snap: move a pixel beside a tracked body onto it (nearest pixel, at most :data:`SNAP_PIXELS` of 800 away).

    Raises:
        LiftingError: the pixel lies outside the picture, or nothing was hit there.
    """
    height, width = view.depth.shape
    u, v = pixel
    if not (0 <= u <= width and 0 <= v <= height):
        raise LiftingError(f"pixel ({u:.0f}, {v:.0f}) is outside the picture of {width} x {height}")
    column, row = min(int(u), width - 1), min(int(v), height - 1)
    if snap and view.body[row, column] < 0:
        rows, columns = np.nonzero(view.body >= 0)
        if len(rows):
            away = np.hypot(columns - column, rows - row)
            nearest = int(away.argmin())
            if away[nearest] <= SNAP_PIXELS * width / 800:
                row, column = int(rows[nearest]), int(columns[nearest])
                u, v = column + 0.5, row + 0.5
    depth = float(view.depth[row, column])
    if depth <= 0:
        raise LiftingError(f"nothing is seen at pixel ({u:.0f}, {v:.0f})")
    index = int(view.body[row, column])
    return Lifted(unproject(view, (u, v), depth), bodies[index] if index >= 0 else WORLD, (u, v))
