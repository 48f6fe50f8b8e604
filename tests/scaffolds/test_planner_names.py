"""Planners' names are taken apart the same way for whoever resolves and whoever judges them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold_bench.planner_names import PlannerName, parse
from scaffold_bench.submissions.planners import can_be_made_again, noise_of, usual_track

PIECES = (
    "oracle",
    "recorded",
    "train",
    "noise(0.1)",
    "noise",
    "mix",
    "vlm",
    ":",
    "+",
    "?",
    "&",
    "=",
    ",",
    "(",
    ")",
    "5",
)


@pytest.mark.parametrize(
    "found",
    [
        PlannerName("oracle", "oracle"),
        PlannerName("oracle?waypoints=5", "oracle", (("waypoints", "5"),)),
        PlannerName("vlm?a=b=c&a&&d=", "vlm", (("a", "b=c"), ("a", ""), ("d", ""))),
        PlannerName("recorded:a?b&c=d", "recorded", source="a?b&c=d"),
        PlannerName("recorded:train?set=a", "recorded:train", (("set", "a"),)),
        PlannerName("noise(0.1, seed=3):x:y", "noise", (("seed", "3"),), sigma="0.1", parts=(("x:y",),)),
        PlannerName("noise(0.1)x", "noise(0.1)x"),
        PlannerName("mix:a+b", "mix", parts=(("a", "b"),)),
        PlannerName("mix:a+b+c", "mix", parts=(("a", "b+c"), ("a+b", "c"))),
        PlannerName("mix:a", "mix"),
        PlannerName("plans/x.npz", "plans/x.npz"),
    ],
    ids=lambda found: found.text,
)
def test_a_name_is_taken_apart(found):
    assert parse(found.text) == found


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text())
def test_every_text_can_be_judged(name):
    parse(name).canonical  # noqa: B018
    assert usual_track(name) in ("oracle", "pre-recorded", "vlm-zero-shot", "vlm-few-shot", "simulated-vlm", "open")
    if noise_of(name) is not None:
        assert can_be_made_again(name) or "seed" in name


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("oracle?&waypoints=5", "oracle?waypoints=5"),
        ("noise( 0.1 , flip=x):oracle", "noise(0.1,flip=x):oracle"),
        ("recorded:oracle-5", "recorded:oracle-5"),
    ],
)
def test_a_name_has_one_plain_spelling(name, canonical):
    assert parse(name).canonical == canonical
    assert parse(canonical).canonical == canonical
