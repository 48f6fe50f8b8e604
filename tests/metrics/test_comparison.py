import json
from pathlib import Path

import numpy as np
import pytest

from scaffold_bench.metrics import (
    Interval,
    hierarchical_bootstrap,
    interquartile_mean,
    performance_profile,
    places,
    probability_of_improvement,
)
from scaffold_bench.metrics.bootstrap import interquartile_means, percentile_interval

RLIABLE = json.loads(Path(__file__).with_name("rliable.json").read_text(encoding="utf-8"))
"""Made by make_rliable_fixture.py with rliable 1.2.0."""
SAMPLES = 20000
CLOSE = {"abs": 0.006}
"""Two bootstraps of 20,000 samples of intervals that are 0.1 wide."""


def rng():
    return np.random.default_rng(8)


def method(name):
    """The fixture's runs (R, tasks) as a method with one state: task to (R, 1)."""
    return {f"task {i}": column[:, None] for i, column in enumerate(np.array(RLIABLE[name]).T)}


def improvement(first, second, **arguments):
    return probability_of_improvement({"t": np.array(first)}, {"t": np.array(second)}, rng(), **arguments)


# --- rliable


def test_the_pooled_interquartile_mean_is_rliable_s():
    assert interquartile_mean(np.array(RLIABLE["first"]).ravel()) == pytest.approx(RLIABLE["pooled_iqm"], abs=1e-12)


@pytest.mark.parametrize("name", ["mean", "iqm"])
def test_aggregates_and_intervals_are_rliable_s(name):
    runs, source = np.array(RLIABLE["first"]), rng()
    means = np.array([hierarchical_bootstrap(task[None, :, None, None], source, SAMPLES)[0] for task in runs.T])
    if name == "mean":
        ours = percentile_interval(float(runs.mean()), means.mean(axis=0))
    else:
        ours = percentile_interval(interquartile_mean(runs.mean(axis=0)), interquartile_means(means.T))
    for part in ("mean", "low", "high"):
        assert getattr(ours, part) == pytest.approx(
            RLIABLE[name][part], **({"abs": 1e-12} if part == "mean" else CLOSE)
        )


def test_probability_of_improvement_is_rliable_s():
    ours, theirs = (
        probability_of_improvement(method("first"), method("second"), rng(), SAMPLES),
        RLIABLE["improvement"],
    )
    assert ours.mean == pytest.approx(theirs["mean"], abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs["low"], theirs["high"]), **CLOSE)


def test_performance_profile_is_rliable_s():
    ours, theirs = performance_profile(method("first"), RLIABLE["thresholds"], rng(), SAMPLES), RLIABLE["profile"]
    np.testing.assert_allclose(ours.share, theirs["share"], atol=1e-12)
    # the shares are multiples of 1/64, so a quantile may fall on the next one
    np.testing.assert_allclose([ours.low, ours.high], [theirs["low"], theirs["high"]], atol=1 / 64 + 1e-9)


# --- probability of improvement


def test_improvement_by_hand():
    # state 0: 0.5 beats 0.2 and ties with 0.5; state 1: 0.1 loses to both
    assert improvement([[0.5, 0.1]], [[0.2, 0.3], [0.5, 0.4]]).mean == pytest.approx((1 + 0.5 + 0 + 0) / 4)


def test_improvement_compares_the_same_start_state():
    # better by a little on every state, although states differ by much more
    states = np.linspace(0, 0.9, 40)
    assert improvement([states + 0.01], [states]) == Interval(1.0, 1.0, 1.0)


def test_improvement_of_one_over_the_other_is_the_rest_of_the_reverse():
    first, second = np.random.default_rng(3).uniform(size=(2, 3, 20))
    assert improvement(first, second).mean == pytest.approx(1 - improvement(second, first).mean)


def test_equal_methods_improve_on_each_other_half_the_time():
    scores = np.ones((3, 10))
    assert improvement(scores, scores) == Interval(0.5, 0.5, 0.5)


def test_only_common_tasks_are_compared():
    first, second = {"a": np.ones((1, 2)), "b": np.zeros((1, 2))}, {"a": np.zeros((1, 2)), "c": np.ones((1, 2))}
    assert probability_of_improvement(first, second, rng()).mean == 1.0


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"other": np.ones((1, 2))}, "no task in common"),
        ({"t": np.ones((1, 3))}, "t: scores must be"),
        ({"t": np.ones(2)}, "t: scores must be"),
    ],
)
def test_what_cannot_be_compared_is_refused(second, told):
    with pytest.raises(ValueError, match=told):
        probability_of_improvement({"t": np.ones((1, 2))}, second, rng())


# --- places


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ({"a": (0.9, 0.8, 1.0), "b": (0.5, 0.4, 0.6)}, {"a": 1, "b": 2}),
        ({"b": (0.5, 0.4, 0.6), "a": (0.9, 0.8, 1.0)}, {"a": 1, "b": 2}),
        ({"a": (0.9, 0.8, 1.0), "b": (0.7, 0.6, 0.8)}, {"a": 1, "b": 1}),  # they touch
        ({"a": (0.9, 0.8, 1.0), "b": (0.85, 0.7, 0.9), "c": (0.5, 0.4, 0.6)}, {"a": 1, "b": 1, "c": 3}),
        # b overlaps both; only a is surely better than c
        ({"a": (0.9, 0.8, 1.0), "b": (0.7, 0.5, 0.85), "c": (0.6, 0.5, 0.7)}, {"a": 1, "b": 1, "c": 2}),
        ({}, {}),
    ],
)
def test_places_by_hand(intervals, expected):
    found = places({name: Interval(*numbers) for name, numbers in intervals.items()})
    assert found == expected
    assert list(found) == list(expected)


def test_a_shared_place_is_ordered_by_the_mean():
    intervals = {"low": Interval(0.5, 0.1, 0.9), "high": Interval(0.6, 0.1, 0.9)}
    assert list(places(intervals)) == ["high", "low"]


# --- profiles


def test_a_profile_by_hand():
    scores = {"a": np.array([[0.0, 0.5, 1.0, 1.0]]), "b": np.array([[0.2, 0.2]])}
    profile = performance_profile(scores, [0.0, 0.5, 1.0], rng())
    assert profile.share.tolist() == [(0.75 + 1) / 2, (0.5 + 0) / 2, 0.0]  # more than, not as much as
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    assert profile.low[0] < profile.high[0]
    assert profile.low[2] == profile.high[2] == 0.0
