"""Where the floating hand's joints put it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaffold_bench.spec import FloatArray


def wrist_rotation(euler: Sequence[float] | FloatArray) -> FloatArray:
    """Rotation matrix Rx(a) Ry(b) Rz(c) of the hand's base for wrist angles (a, b, c)."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(euler), np.sin(euler)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)
