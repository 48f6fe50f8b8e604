"""The oracle: the task's hand-specified keypoints and waypoints for the true start state."""

from __future__ import annotations

from scaffold_bench.plan import PLAN_WAYPOINTS, PrivilegedRequest, Scaffold
from scaffold_bench.scaffolds.from_waypoints import check_waypoints, scaffold_from_waypoints


class OracleProvider:
    """Plans from the task's own reference (paper: oracle plans), using the simulator's truth.

    Args:
        waypoints: number N of waypoints; 20 as in the paper.
    """

    privileged = True

    def __init__(self, waypoints: int = PLAN_WAYPOINTS) -> None:
        check_waypoints(waypoints)
        self.waypoints = waypoints

    def plan(self, request: PrivilegedRequest) -> Scaffold:
        facts: dict[str, str | int | float | bool] = {"provider": "oracle", "waypoints": self.waypoints}
        return scaffold_from_waypoints(request.task, request.reference(self.waypoints), facts, horizon=request.horizon)
