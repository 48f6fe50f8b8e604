"""Residual composition and smoothing (spec: paper B.2, Table 2; authors' code).

An action is a residual on the planned wrist plus an absolute finger command. Targets live in *normalised* joint
range, [-1, 1] between a joint's limits, and are smoothed there by an exponential average.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from scaffold_bench.spec import FINGERTIPS, WRIST_DIM

SMOOTHING = 0.9
"""Weight gamma of the previous target in the exponential average (paper, Table 2)."""
RESIDUAL_LIMITS = (0.1, 0.1, 0.1, 1.0, 1.0, 1.0)
"""Largest wrist residual per axis: metres, then radians about each Euler axis (authors' code)."""


@dataclass(frozen=True)
class JointLimits:
    """Joint limits of the hand, (22,) each: six wrist joints, then sixteen finger joints in joint order.

    ``finger_of_joint`` (16,) says which finger (order of FINGERTIPS) each finger joint belongs to.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    finger_of_joint: torch.Tensor

    def to(self, device: torch.device) -> JointLimits:
        return JointLimits(self.lower.to(device), self.upper.to(device), self.finger_of_joint.to(device))


def normalize(joints: torch.Tensor, limits: JointLimits) -> torch.Tensor:
    """Map joint positions (n, 22) to normalised joint range, [-1, 1] between the limits."""
    return 2.0 * (joints - limits.lower) / (limits.upper - limits.lower) - 1.0


def denormalize(target: torch.Tensor, limits: JointLimits) -> torch.Tensor:
    """Inverse of :func:`normalize`."""
    return limits.lower + 0.5 * (target + 1.0) * (limits.upper - limits.lower)


def joint_targets(plan_wrist: torch.Tensor, action: torch.Tensor, limits: JointLimits) -> torch.Tensor:
    """Compose the planned wrist and an action into a normalised joint target.

    Args:
        plan_wrist: (n, 6) planned wrist joints at the frame being tracked.
        action: (n, 6 + 1) or (n, 6 + 4) in [-1, 1] (clipped): wrist residual, finger command(s). A command
            a <= 0 is fully open, a = 1 fully closed: target = open + 2a, clipped (paper, B.2).
        limits: the hand's joint limits.

    Returns:
        (n, 22) normalised target within [-1, 1]. A zero action gives the plan with an open hand.
    """
    action = action.clamp(-1.0, 1.0)
    residual = action[:, :WRIST_DIM] * action.new_tensor(RESIDUAL_LIMITS)
    commands = (
        action[:, WRIST_DIM:].expand(-1, len(FINGERTIPS)) if action.shape[1] == WRIST_DIM + 1 else action[:, WRIST_DIM:]
    )
    lower, upper = limits.lower[:WRIST_DIM], limits.upper[:WRIST_DIM]
    wrist = 2.0 * (plan_wrist + residual - lower) / (upper - lower) - 1.0
    fingers = (-1.0 + 2.0 * commands)[:, limits.finger_of_joint]
    return torch.cat([wrist, fingers], dim=1).clamp(-1.0, 1.0)


def smooth(previous: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One step of the exponential average of normalised targets (n, 22)."""
    return SMOOTHING * previous + (1.0 - SMOOTHING) * target
