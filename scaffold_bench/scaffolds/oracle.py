"""The oracle: the task's hand-specified keypoints and waypoints for the true start state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scaffold_bench.control import interpolate
from scaffold_bench.types import PLAN_WAYPOINTS, PrivilegedRequest, Scaffold, Waypoints


def scaffold_from_waypoints(
    task: str,
    waypoints: Waypoints,
    provenance: Mapping[str, str | int | float | bool],
    valid: bool = True,
    reason: str = "",
) -> Scaffold:
    """Interpolate waypoints to a plan with one frame per control step.

    Waypoints are rounded to float32 first, so that a plan read back from a file has the same bits.

    Raises:
        InvalidScaffoldError: the result is not a valid plan.
    """
    coarse = Waypoints(
        np.asarray(waypoints.keypoints, dtype=np.float32),
        np.asarray(waypoints.wrist, dtype=np.float32),
        tuple(waypoints.attachments),
        None if waypoints.times is None else np.asarray(waypoints.times, dtype=np.float32),
    )
    return Scaffold(
        task=task,
        keypoints=interpolate(coarse.keypoints, coarse.times).astype(np.float32),
        wrist=interpolate(coarse.wrist, coarse.times).astype(np.float32),
        attachments=coarse.attachments,
        provenance=provenance,
        valid=valid,
        reason=reason,
        waypoints=coarse,
    )


class OracleProvider:
    """Plans from the task's own reference (paper: oracle plans), using the simulator's truth.

    Args:
        waypoints: number N of waypoints; 20 as in the paper.
    """

    privileged = True

    def __init__(self, waypoints: int = PLAN_WAYPOINTS) -> None:
        if waypoints < 2:
            raise ValueError(f"a plan needs at least 2 waypoints, got {waypoints}")
        self.waypoints = waypoints

    def plan(self, request: PrivilegedRequest) -> Scaffold:
        return scaffold_from_waypoints(
            request.task, request.reference(self.waypoints), {"provider": "oracle", "waypoints": self.waypoints}
        )
