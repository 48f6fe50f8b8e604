"""Answers of a model are untrusted: what can be read is read, anything else is an AnswerError."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaffold_bench.scaffolds.vlm.answers import AnswerError, json_list, read_keypoints, read_trajectory
from scaffold_bench.scaffolds.vlm.model import MAX_ANSWER_CHARACTERS

NAMES = ("handle", "head")
KEYPOINTS, HAND = np.array([[0.0, 0, 0], [0.1, 0, 0]]), np.array([0.0, 0.2, 0.3])


def waypoints(count: int = 3, **changes: Any) -> list[Any]:
    rows = [{"handle": [0.0, 0.0, 0.01 * i], "head": [0.1, 0.0, 0.0], "hand": [0.0, 0.2, 0.3]} for i in range(count)]
    rows[-1].update(changes)
    return rows


def read(text: str, count: int = 3) -> Any:
    return read_trajectory(text, NAMES, count, KEYPOINTS, HAND)


# ------------------------------------------------------------------------------------------------ what is read
def test_points_are_y_then_x_in_thousandths() -> None:
    text = '[{"name": "Head ", "point": [250, 500]}, {"name": "handle", "point": [0, 1000], "label": "x"}]'
    assert read_keypoints(text, NAMES) == {"head": (0.5, 0.25), "handle": (1.0, 0.0)}


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "Here you are:\n```json\n[1, 2]\n```\nGood luck!",
        "```python\nprint([3])\n```\nwhich prints\n```\n[1, 2]\n```",
        " \n[1,\n2] trailing",
    ],
)
def test_a_list_is_found_within_other_text(text: str) -> None:
    assert json_list(text) == [1, 2]


def test_a_trajectory_begins_where_things_are() -> None:
    rows = waypoints()
    rows[0]["handle"] = [0.01, 0.0, 0.0]  # a centimetre off: put right
    keypoints, hands = read(json.dumps(rows))
    assert keypoints.shape == (3, 2, 3)
    np.testing.assert_array_equal(keypoints[0], KEYPOINTS)
    np.testing.assert_array_equal(hands, np.tile(HAND, (3, 1)))
    assert keypoints[2, 0, 2] == 0.02


# ------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no JSON list"),
        ("I cannot help with that.", "holds no JSON list"),
        ('{"handle": 1}', "holds no JSON list"),
        ('[{"name": "handle", "point": [1, 2', "no whole and valid JSON list"),
        ("[" * 100_000 + "]" * 100_000, "no whole and valid"),
        ("[NaN]", "no whole and valid"),
        ("[]", "lacks 'handle', 'head'"),
        ('[{"name": "handle", "point": [1, 2]}]', "lacks 'head'"),
        ('[{"name": "handle", "point": [1, 2]}, {"name": "HANDLE", "point": [3, 4]}]', "has 'handle' twice"),
        ('[{"name": "handle", "point": [1, 1001]}]', "less than or equal to 1000"),
        ('[{"name": "handle", "point": [-1, 2]}]', "greater than or equal to 0"),
        ('[{"name": "handle", "point": [1]}]', "Field required"),
        ('[{"name": "handle", "point": "1, 2"}]', "valid tuple"),
        ('[{"name": "' + "x" * 1000 + '", "point": [1, 2]}]', "at most 200"),
        ('[{"point": [1, 2]}]', "Field required"),
        ("[1, 2]", "dictionary or instance"),
        (json.dumps([{"name": "handle", "point": [1, 2]}] * 65), "at most 64"),
    ],
)
def test_keypoints_are_refused_with_a_reason(text: str, told: str) -> None:
    with pytest.raises(AnswerError, match=told) as error:
        read_keypoints(text, NAMES)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (waypoints(2), "has 2 waypoints, 3 were asked for"),
        (waypoints(4), "has 4 waypoints"),
        ([*waypoints(2), [1, 2, 3]], "waypoint 2 is no object"),
        ([*waypoints(2), {"handle": [0, 0, 0], "hand": [0, 0, 0]}], "waypoint 2 lacks 'head'"),
        (waypoints(hand=[0, 0]), "waypoint 2, 'hand': 2: Field required"),
        (waypoints(hand=[0, 0, 3.5]), "less than or equal to 3"),
        (waypoints(hand=[0, 0, 10**400]), "no whole and valid|valid number|finite|less than"),
        (waypoints(hand="up"), "valid tuple"),
        (waypoints(hand=[0, 0, None]), "valid number"),
        (waypoints(hand={"x": 1}), "valid tuple"),
        ([{"handle": [0, 0, 0], "head": [0.2, 0, 0], "hand": [0, 0.2, 0.3]}, *waypoints(2)], "'head' 10 cm from where"),
    ],
)
def test_trajectories_are_refused_with_a_reason(rows: Any, told: str) -> None:
    with pytest.raises(AnswerError, match=told):
        read(json.dumps(rows))


def test_numbers_beyond_all_bounds_are_refused() -> None:
    for number in ("1e999", "-1e999", "Infinity", "9" * 5000):
        with pytest.raises(AnswerError):
            read(json.dumps(waypoints(hand=[0, 0, 7])).replace("7", number))


def test_an_endless_answer_takes_bounded_memory() -> None:
    text = "[" + "[[[[1,2,3]]]]," * 2_000_000
    tracemalloc.start()
    with pytest.raises(AnswerError):
        read_keypoints(text, NAMES)
    with pytest.raises(AnswerError):
        read("```[" * 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * MAX_ANSWER_CHARACTERS


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
places = st.sampled_from(["handle", "head", "hand", "Head", "", "x" * 300])
nearly_keypoints = st.lists(
    st.fixed_dictionaries({}, optional={"name": places | json_values, "point": st.lists(st.floats(), max_size=3)}),
    max_size=4,
)
nearly_waypoints = st.lists(
    st.dictionaries(places, st.lists(st.floats(-4, 4) | json_values, max_size=4), max_size=4), max_size=4
)
texts = st.one_of(
    st.text(max_size=300),
    st.text(alphabet='[]{}"`,:0123456789.eE-+ naNIfity\\', max_size=200),
    json_values.map(lambda value: json.dumps(value, default=str)),
    nearly_keypoints.map(json.dumps),
    nearly_waypoints.map(json.dumps),
)


@settings(max_examples=6000, deadline=None)
@given(texts, st.integers(0, 300))
@example('[{"name": null, "point": [1, 2]}]', 0)
def test_any_text_is_read_or_refused(text: str, cut: int) -> None:
    """Two readers, whole and cut off: 24,000 readings; no other exception."""
    for piece in (text, text[:cut]):
        try:
            found = read_keypoints(piece, NAMES)
            assert all(0 <= u <= 1 and 0 <= v <= 1 for u, v in found.values())
        except AnswerError:
            pass
        try:
            keypoints, hands = read(piece)
            assert np.isfinite(keypoints).all()
            assert np.abs(np.concatenate([keypoints.ravel(), hands.ravel()])).max() <= 3.0
        except AnswerError:
            pass
