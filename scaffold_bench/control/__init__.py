"""From plan and action to where a robot should go: pure functions."""

from scaffold_bench.control.geometry import wrist_rotation
from scaffold_bench.control.interpolation import interpolate
from scaffold_bench.control.residual import RESIDUAL_LIMITS, SMOOTHING, compose, smooth

__all__ = ["RESIDUAL_LIMITS", "SMOOTHING", "compose", "interpolate", "smooth", "wrist_rotation"]
