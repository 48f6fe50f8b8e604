import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold_bench.tasks.base import Task
from scaffold_bench.types import EPISODE_STEPS, Camera, InvalidScaffoldError, Scaffold, TaskSpec

FRAMES = EPISODE_STEPS + 1
ATTACHMENTS = ("hammer", "world")


def plan(**changes):
    # a straight line away from zero, so that every bit of every number matters
    line = np.linspace(0.25, 0.5, FRAMES)
    fields = {
        "task": "hammer",
        "keypoints": np.broadcast_to(line[:, None, None], (FRAMES, 2, 3)),
        "wrist": np.broadcast_to(line[:, None], (FRAMES, 6)),
        "attachments": ATTACHMENTS,
    }
    return Scaffold(**{**fields, **changes})


def changed(name, index, value):
    array = np.array(getattr(plan(), name), dtype=np.float64)
    array[index] = value
    return {name: array}


def moved_from(name, frame, index, distance):
    """The plan's array with everything from ``frame`` on shifted."""
    array = np.array(getattr(plan(), name), dtype=np.float64)
    array[(slice(frame, None), *index)] += distance
    return {name: array}


REFUSED = {
    "one-keypoint-too-few": ({"keypoints": np.zeros((FRAMES, 1, 3))}, "keypoints", "(301, 1, 3), expected (any, 2, 3)"),
    "one-frame-too-few": ({"keypoints": np.zeros((300, 2, 3))}, "wrist", "shape (301, 6), expected (300, 6)"),
    "no-frames": ({"keypoints": np.zeros((0, 2, 3))}, "keypoints", "has 0 frames, expected 2 to"),
    "one-frame-too-many": ({"wrist": np.zeros((302, 6))}, "wrist", "shape (302, 6), expected (301, 6)"),
    "flat-keypoints": ({"keypoints": np.zeros((FRAMES, 6))}, "keypoints", "shape (301, 6)"),
    "quaternion-wrist": ({"wrist": np.zeros((FRAMES, 7))}, "wrist", "shape (301, 7)"),
    "nan": (changed("keypoints", (5, 1, 2), np.nan), "keypoints", "not finite at index (5, 1, 2)"),
    "inf": (changed("wrist", (300, 4), np.inf), "wrist", "not finite at index (300, 4)"),
    "minus-inf": (changed("keypoints", (0, 0, 0), -np.inf), "keypoints", "not finite at index (0, 0, 0)"),
    "beyond-float32": (changed("keypoints", (7, 0, 0), 1e200), "keypoints", "leaves the workspace"),
    "beyond-float64": ({"wrist": [[10**400] * 6] * FRAMES}, "wrist", "not an array of numbers"),
    "words": ({"wrist": [["up"] * 6] * FRAMES}, "wrist", "not an array of numbers"),
    "ragged": ({"keypoints": [[[0.0] * 3] * 2] * 300 + [[[0.0] * 2] * 2]}, "keypoints", "not an array of numbers"),
    "objects": ({"wrist": [[object()] * 6] * FRAMES}, "wrist", "not an array of numbers"),
    "keypoint-jump": (moved_from("keypoints", 100, (1, 2), 0.2), "keypoints", "0.201 m between frames 99 and 100"),
    "wrist-jump": (moved_from("wrist", 40, (0,), -0.2), "wrist", "m between frames 39 and 40"),
    "wrist-turn": (moved_from("wrist", 8, (5,), 0.6), "wrist", "jumps by 0.601 rad between frames 7 and 8"),
    "wrist-turn-back": (moved_from("wrist", 8, (3,), -0.6), "wrist", "rad between frames 7 and 8"),
    "keypoints-outside": ({"keypoints": np.full((FRAMES, 2, 3), -5.01)}, "keypoints", "leaves the workspace of 5.0 m"),
    "wrist-outside": (moved_from("wrist", 0, (2,), 5.0), "wrist", "leaves the workspace of 5.0 m"),
    "future-version": ({"version": 2}, "version", "is 2, this release reads 1"),
    "no-attachments": ({"attachments": ()}, "attachments", "must name a body"),
    "empty-attachment": ({"attachments": ("hammer", "")}, "attachments", "must name a body"),
    "numbered-attachment": ({"attachments": ("hammer", 3)}, "attachments", "must name a body"),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("changes", "field", "reason"), REFUSED.values(), ids=REFUSED)
def test_bad_plan_is_refused_by_field_and_reason(changes, field, reason):
    with pytest.raises(InvalidScaffoldError) as caught:
        plan(**changes)
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert field in str(caught.value)
    assert caught.value.reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "index", "distance"),
    [
        pytest.param("keypoints", (1, 2), 0.148, id="keypoint-below-15-cm"),
        pytest.param("wrist", (0,), 0.098, id="wrist-below-10-cm"),
        pytest.param("wrist", (3,), -0.498, id="turn-below-half-a-radian"),
        pytest.param("wrist", (slice(3, 6),), 0.498, id="turn-counts-per-axis"),
    ],
)
def test_credible_move_is_accepted(name, index, distance):
    assert plan(**moved_from(name, 100, index, distance)).valid


def test_a_jump_is_measured_over_all_coordinates():
    with pytest.raises(InvalidScaffoldError, match="jumps"):
        plan(**moved_from("keypoints", 100, (0,), 0.1))  # 0.1 * sqrt(3) = 0.173 m


def test_the_edge_of_the_workspace_and_any_angle_are_accepted():
    wrist = np.concatenate([np.full((FRAMES, 3), 5.0), np.full((FRAMES, 3), 9.0)], axis=1)
    assert plan(keypoints=np.full((FRAMES, 2, 3), -5.0), wrist=wrist).wrist[0, 3] == 9


@pytest.mark.parametrize("name", ["keypoints", "wrist"])
def test_arrays_are_read_only_float32_copies(name):
    given_array = np.array(getattr(plan(), name))
    scaffold = plan(**{name: given_array})
    kept = getattr(scaffold, name)
    given_array += 1
    assert kept.dtype == np.float32
    assert kept.flat[0] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 0


def test_fields_cannot_be_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan().valid = False


def test_provenance_is_copied():
    provenance = {"provider": "oracle"}
    scaffold = plan(provenance=provenance)
    provenance["provider"] = "vlm"
    assert scaffold.provenance == {"provider": "oracle"}


def test_lists_are_accepted():
    scaffold = plan(keypoints=np.zeros((FRAMES, 2, 3)).tolist(), attachments=["hammer", "world"])
    assert scaffold.attachments == ATTACHMENTS
    assert scaffold.num_keypoints == 2
    assert scaffold.keypoints.shape == (FRAMES, 2, 3)


@settings(deadline=None)
@given(st.sampled_from(["keypoints", "wrist"]), st.integers(0, FRAMES * 6 - 1), st.integers(0, 15))
def test_hash_changes_with_any_bit_of_the_arrays(name, index, bit):
    array = np.array(getattr(plan(), name))
    array.reshape(-1).view(np.uint32)[index] ^= np.uint32(1 << bit)
    assert plan(**{name: array}).sha256 != plan().sha256


@pytest.mark.parametrize(
    "changes", [{"task": "sponge"}, {"attachments": ("hammer", "nail")}, {"valid": False}], ids=str
)
def test_hash_changes_with_what_the_plan_says(changes):
    assert plan(**changes).sha256 != plan().sha256


def test_hash_ignores_where_the_plan_came_from():
    assert plan(provenance={"provider": "vlm", "temperature": 0.5}).sha256 == plan().sha256


def test_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(InvalidScaffoldError("wrist", "is bent")))
    assert (error.field, error.reason) == ("wrist", "is bent")


# --- TaskSpec


def spec(**changes):
    fields = {
        "id": "Scaffold-Test-v0",
        "name": "test",
        "instruction": "Test.",
        "capability": "precise",
        "keypoints": ("a",),
        "success": "always",
        "tracking_threshold": 0.1,
        "finger_commands": 1,
        "wrist_start": (0.0,) * 6,
        "bodies": ("a",),
        "camera": Camera((1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
    }
    return TaskSpec(**{**fields, **changes})


@pytest.mark.parametrize(("commands", "size"), [(1, 7), (4, 10)])
def test_action_is_six_wrist_residuals_and_the_finger_commands(commands, size):
    assert spec(finger_commands=commands).action_dim == size


@pytest.mark.parametrize("commands", [0, -1])
def test_a_task_needs_a_finger_command(commands):
    with pytest.raises(ValueError, match=r"Scaffold-Test-v0: finger_commands must be at least 1"):
        spec(finger_commands=commands)


@pytest.mark.parametrize("commands", [2, 3, 5])
def test_only_one_or_four_finger_commands_for_the_allegro_hand(commands):
    with pytest.raises(ValueError, match=r"Scaffold-Test-v0: finger_commands must be 1 or 4, one for each finger"):
        type("Wrong", (Task,), {"spec": spec(finger_commands=commands)})


@pytest.mark.parametrize("horizon", [0, -1, 6001])
def test_a_horizon_out_of_range_is_refused(horizon):
    with pytest.raises(ValueError, match=r"Scaffold-Test-v0: horizon must be from 1 to 6000"):
        spec(horizon=horizon)


def test_a_task_needs_a_keypoint():
    with pytest.raises(ValueError, match=r"Scaffold-Test-v0: a task needs at least one keypoint"):
        spec(keypoints=())
