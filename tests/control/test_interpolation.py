import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scaffold_bench.control import interpolate
from scaffold_bench.types import EPISODE_STEPS

COORDINATES = st.floats(-5, 5, width=32)
PROPERTY = settings(deadline=None)
WAYPOINTS = st.integers(1, 12).flatmap(lambda count: arrays(np.float32, (count, 2, 3), elements=COORDINATES))


@PROPERTY
@given(WAYPOINTS)
def test_ends_are_exact_and_length_is_one_frame_per_step_plus_one(waypoints):
    frames = interpolate(waypoints)
    assert frames.shape == (EPISODE_STEPS + 1, 2, 3)
    np.testing.assert_array_equal(frames[0], waypoints[0])
    np.testing.assert_array_equal(frames[-1], waypoints[-1])


@PROPERTY
@given(st.integers(1, 50), st.integers(1, 10), st.data())
def test_every_waypoint_is_passed_when_it_falls_on_a_frame(segments, frames_per_segment, data):
    waypoints = data.draw(arrays(np.float64, (segments + 1, 3), elements=COORDINATES))
    frames = interpolate(waypoints, steps=segments * frames_per_segment)
    np.testing.assert_allclose(frames[::frames_per_segment], waypoints, atol=1e-12)


@PROPERTY
@given(WAYPOINTS, arrays(np.float32, (2, 3), elements=COORDINATES), st.floats(-3, 3))
def test_interpolation_is_linear_in_the_waypoints(waypoints, shift, scale):
    moved = interpolate(scale * waypoints.astype(np.float64) + shift)
    np.testing.assert_allclose(moved, scale * interpolate(waypoints) + shift, atol=1e-9)


@PROPERTY
@given(WAYPOINTS)
def test_frames_never_leave_the_waypoints_range(waypoints):
    frames = interpolate(waypoints)
    assert np.all(frames >= waypoints.min(axis=0) - 1e-12)
    assert np.all(frames <= waypoints.max(axis=0) + 1e-12)


def test_two_waypoints_give_a_straight_line_of_equal_steps():
    np.testing.assert_allclose(interpolate(np.array([1.0, 3.0]), steps=4), [1.0, 1.5, 2.0, 2.5, 3.0])


def test_one_waypoint_holds_still():
    np.testing.assert_array_equal(interpolate(np.array([[1.0, 2.0]]), steps=3), [[1.0, 2.0]] * 4)


def test_uneven_times_set_the_pace():
    # 0 -> 1 in the first tenth, 1 -> 10 in the rest
    frames = interpolate(np.array([0.0, 1.0, 10.0]), times=np.array([0.0, 0.1, 1.0]), steps=10)
    np.testing.assert_allclose(frames, np.arange(11.0), atol=1e-12)


def test_even_times_are_the_default():
    waypoints = np.array([0.0, 4.0, 1.0])
    np.testing.assert_array_equal(interpolate(waypoints), interpolate(waypoints, times=np.array([0.0, 0.5, 1.0])))


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([0.0, 0.5], id="too-few"),
        pytest.param([0.0, 0.3, 0.6, 1.0], id="too-many"),
        pytest.param([0.1, 0.5, 1.0], id="starts-late"),
        pytest.param([-0.1, 0.5, 1.0], id="starts-early"),
        pytest.param([0.0, 0.5, 0.9], id="ends-early"),
        pytest.param([0.0, 0.5, 1.1], id="ends-late"),
        pytest.param([0.0, 0.0, 1.0], id="stands-still"),
        pytest.param([0.0, 2.0, 1.0], id="goes-back"),
        pytest.param([0.0, 0.5, np.nan], id="nan-at-the-end"),
        pytest.param([0.0, np.nan, 1.0], id="nan-in-the-middle"),
    ],
)
def test_bad_times_are_refused(times):
    with pytest.raises(ValueError, match="increase from 0 to 1"):
        interpolate(np.zeros((3, 2)), times=np.array(times))


def test_no_waypoints_are_refused():
    with pytest.raises(ValueError, match="at least one waypoint"):
        interpolate(np.zeros((0, 3)))
