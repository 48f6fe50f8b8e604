"""From plan and action to joint targets: pure functions on tensors."""

from scaffold_bench.control.geometry import wrist_rotation
from scaffold_bench.control.interpolation import interpolate
from scaffold_bench.control.residual import (
    RESIDUAL_LIMITS,
    SMOOTHING,
    JointLimits,
    denormalize,
    joint_targets,
    normalize,
    smooth,
)

__all__ = [
    "RESIDUAL_LIMITS",
    "SMOOTHING",
    "JointLimits",
    "denormalize",
    "interpolate",
    "joint_targets",
    "normalize",
    "smooth",
    "wrist_rotation",
]
