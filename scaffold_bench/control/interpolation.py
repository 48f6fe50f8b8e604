"""Waypoints to frames."""

from __future__ import annotations

import numpy as np

from scaffold_bench.spec import EPISODE_STEPS, FloatArray


def interpolate(waypoints: FloatArray, times: FloatArray | None = None, steps: int = EPISODE_STEPS) -> FloatArray:
    """Linearly interpolate waypoints to the frames of an episode (paper, 3.2).

    Args:
        waypoints: (N, ...) values, N >= 1.
        times: (N,) increasing fractions of the episode from 0 to 1; evenly spaced when None.
        steps: control steps T.

    Returns:
        (T + 1, ...) values; frame 0 is the first waypoint, frame T the last.

    Raises:
        ValueError: there is no waypoint, or ``times`` does not increase from 0 to 1.
    """
    waypoints = np.asarray(waypoints, dtype=np.float64)
    count = len(waypoints)
    if count == 0:
        raise ValueError("a plan needs at least one waypoint")
    if times is None:
        times = np.linspace(0.0, 1.0, count)
    elif len(times) != count or not np.all(np.diff(times) > 0) or times[0] != 0 or (count > 1 and times[-1] != 1):
        raise ValueError("waypoint times must increase from 0 to 1, one per waypoint")
    frames = np.linspace(0.0, 1.0, steps + 1)
    flat = waypoints.reshape(count, -1)
    result = np.stack([np.interp(frames, times, column) for column in flat.T], axis=-1)
    return result.reshape(steps + 1, *waypoints.shape[1:])
