"""Residual composition and smoothing (spec: paper B.2, Table 2; authors' code).

An action is a residual on the planned wrist plus an absolute finger command. The robot turns both into targets in
*normalised* joint range, [-1, 1] between a joint's limits, and they are smoothed there by an exponential average.
"""

from __future__ import annotations

import torch

from scaffold_bench.spec import WRIST_DIM

SMOOTHING = 0.9
"""Weight gamma of the previous target in the exponential average (paper, Table 2)."""
RESIDUAL_LIMITS = (0.1, 0.1, 0.1, 1.0, 1.0, 1.0)
"""Largest wrist residual per axis: metres, then radians about each Euler axis (authors' code)."""


def compose(plan_wrist: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the wrist should go, and the finger commands.

    Args:
        plan_wrist: (n, 6) planned wrist at the frame being tracked.
        action: (n, 6 + F) in [-1, 1] (clipped): wrist residual, finger commands.

    Returns:
        Wrist targets (n, 6) and finger commands (n, F). A zero action gives the plan with an open hand.
    """
    action = action.clamp(-1.0, 1.0)
    residual = action[:, :WRIST_DIM] * action.new_tensor(RESIDUAL_LIMITS)
    return plan_wrist + residual, action[:, WRIST_DIM:]


def smooth(previous: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One step of the exponential average of normalised targets (n, D)."""
    return SMOOTHING * previous + (1.0 - SMOOTHING) * target
