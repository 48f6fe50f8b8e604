"""From plan and action to joint targets: pure functions on tensors."""

from scaffold_bench.control.compose import (
    RESIDUAL_LIMITS,
    SMOOTHING,
    JointLimits,
    denormalize,
    joint_targets,
    normalize,
    smooth,
)
from scaffold_bench.control.interpolation import interpolate
from scaffold_bench.control.kinematics import wrist_rotation

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
