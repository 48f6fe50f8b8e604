"""From a coarse plan to a plan with a frame for every control step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from scaffold_bench.control import interpolate
from scaffold_bench.plan import InvalidScaffoldError, Scaffold, ScaffoldRequest, Waypoints
from scaffold_bench.spec import EPISODE_STEPS


def _rounded(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """A read-only float32 copy."""
    copy = np.array(values, dtype=np.float32)
    copy.setflags(write=False)
    return copy


def frames_of(
    waypoints: Waypoints, horizon: int = EPISODE_STEPS
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Keypoints (T + 1, K, 3) and wrist (T + 1, 6) of a coarse plan for a horizon T.

    Raises:
        ValueError: there is no waypoint, or the times do not increase from 0 to 1.
    """
    keypoints, wrist = (
        interpolate(values, waypoints.times, horizon).astype(np.float32)
        for values in (waypoints.keypoints, waypoints.wrist)
    )
    return keypoints, wrist


def scaffold_from_waypoints(
    task: str,
    waypoints: Waypoints,
    provenance: Mapping[str, str | int | float | bool],
    valid: bool = True,
    reason: str = "",
    horizon: int = EPISODE_STEPS,
) -> Scaffold:
    """Interpolate waypoints to a plan with one frame per control step.

    Waypoints are rounded to float32 first, so that a plan read back from a file has the same bits.

    Args:
        valid, reason: False and why for a plan that could not be made.
        horizon: control steps T to plan for: a request's ``horizon``.

    Raises:
        InvalidScaffoldError: the result is not a valid plan.
    """
    coarse = Waypoints(
        _rounded(waypoints.keypoints),
        _rounded(waypoints.wrist),
        tuple(waypoints.attachments),
        None if waypoints.times is None else _rounded(waypoints.times),
    )
    if len(coarse.keypoints) != len(coarse.wrist):
        raise InvalidScaffoldError(
            "waypoints", f"has {len(coarse.keypoints)} for the keypoints and {len(coarse.wrist)} for the wrist"
        )
    try:
        keypoints, wrist = frames_of(coarse, horizon)
    except ValueError as error:
        raise InvalidScaffoldError("waypoints", str(error)) from None
    return Scaffold(
        task=task,
        keypoints=keypoints,
        wrist=wrist,
        attachments=coarse.attachments,
        provenance=provenance,
        valid=valid,
        reason=reason,
        waypoints=coarse,
    )


def check_waypoints(count: int) -> None:
    """Refuse a number of waypoints no plan can have.

    Raises:
        ValueError: fewer than 2, or more than frames.
    """
    if count < 2:
        raise ValueError(f"a plan needs at least 2 waypoints, got {count}")
    if count > EPISODE_STEPS + 1:
        raise ValueError(f"a plan has at most {EPISODE_STEPS + 1} waypoints, got {count}")


def failed_scaffold(
    request: ScaffoldRequest, reason: str, provenance: Mapping[str, str | int | float | bool] | None = None
) -> Scaffold:
    """What a planner returns when it could not make a plan: the hand stays, the episode counts as failed by its plan.

    Args:
        request: what was asked for. reason: why there is no plan.
    """
    names = request.keypoint_names
    return Scaffold.failed(request.task, len(names), request.wrist, reason, provenance, request.horizon)
