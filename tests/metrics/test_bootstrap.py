import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scaffold_bench.metrics import (
    Interval,
    hierarchical_bootstrap,
    hierarchical_interval,
    interquartile_mean,
)
from scaffold_bench.metrics.bootstrap import interquartile_means

VALUES = st.floats(-100, 100)


def width(interval):
    return interval.high - interval.low


# --- interquartile mean


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 4, 6, 8, 50, 100], 5.0),  # (2 + 4 + 6 + 8) / 4
        ([0, 1, 2, 4, 100], 2.3),  # 1.25 cut off at either end: (0.75 * 1 + 2 + 0.75 * 4) / 2.5
        ([1, 2, 9], 3.0),  # 0.75 cut off: (0.25 * 1 + 2 + 0.25 * 9) / 1.5
        ([1, 9], 5.0),  # half of each
        ([0, 1, 2, 9], 1.5),
        ([7], 7.0),
    ],
)
def test_interquartile_mean_by_hand(values, expected):
    assert interquartile_mean(values) == pytest.approx(expected)
    assert interquartile_mean(values[::-1]) == interquartile_mean(values)


@given(st.lists(VALUES, min_size=1, max_size=20), st.randoms())
def test_interquartile_mean_ignores_order_and_stays_within_the_values(values, random):
    shuffled = random.sample(values, len(values))
    assert interquartile_mean(shuffled) == interquartile_mean(values)
    assert min(values) - 1e-9 <= interquartile_mean(values) <= max(values) + 1e-9


def test_interquartile_mean_leaves_its_input_alone():
    values = np.array([3.0, 1.0, 2.0])
    interquartile_mean(values)
    assert values.tolist() == [3.0, 1.0, 2.0]


def test_interquartile_mean_needs_a_value():
    with pytest.raises(ValueError, match="at least one value"):
        interquartile_mean([])


# --- hierarchical bootstrap: seeds, states, trials


def resampled(values, seed=0, **arguments):
    return hierarchical_interval(np.asarray(values, dtype=float), np.random.default_rng(seed), **arguments)


def one_seed(states, **arguments):
    """Of one training seed: the values of each state's trials."""
    return resampled([states], **arguments)


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=VALUES))
def test_interval_is_ordered_and_stays_within_the_values(values):
    interval = resampled(values, samples=50)
    assert interval.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert values.min() - 1e-9 <= interval.low <= interval.high <= values.max() + 1e-9


def test_the_generator_decides():
    values = np.random.default_rng(1).uniform(size=(2, 10, 3))
    assert resampled(values, seed=5) == resampled(values, seed=5)
    assert resampled(values, seed=5) != resampled(values, seed=6)


def test_identical_trials_of_a_state_are_no_evidence():
    states = [0, 1] * 10
    clustered = width(one_seed([[value] * 20 for value in states]))
    # 20 independent values of standard deviation 0.5, whatever the number of trials
    assert clustered == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(20), rel=0.15)
    naive = width(one_seed([[value] for value in states * 20]))
    assert clustered > 3 * naive


def test_trials_are_resampled_within_their_state():
    # states all have the mean 0.5; the 200 trials do not: 2 * 1.96 * 0.5 / sqrt(200)
    interval = one_seed([[0, 1]] * 100)
    assert width(interval) == pytest.approx(0.1386, rel=0.15)
    assert interval.low < interval.mean < interval.high


def test_a_single_state_still_has_trials_to_resample():
    assert width(one_seed([[0, 1] * 50])) == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(100), rel=0.15)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_unanimous_trials_leave_no_interval(value):
    assert one_seed([[value] * 3] * 5) == Interval(value, value, value)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((50, 4, 4), 0), ((4, 50, 4), 1), ((4, 4, 50), 2)],
    ids=["seeds", "states", "trials"],
)
def test_what_varies_on_one_level_counts_by_that_level(shape, axis):
    # values alternate along one axis and are alike along the others: resampling it is the first chance to vary
    alternating = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(3)]) % 2
    values = np.broadcast_to(alternating, shape)
    independent = shape[axis] * math.prod(shape[:axis])  # drawn anew below every drawn cluster above
    assert width(resampled(values, samples=20000)) == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(independent), rel=0.1)


def test_every_way_to_resample_two_seeds_with_two_states_is_equally_likely():
    # seeds a and b with states (0, 1) and (2, 4): drawn twice a seed, then twice a state of each
    values = np.array([[[[0.0], [1.0]], [[2.0], [4.0]]]])
    means = hierarchical_bootstrap(values, np.random.default_rng(0), 40000)[0]
    expected = {}
    for seeds in itertools.product([(0, 1), (2, 4)], repeat=2):
        for drawn in itertools.product(*(itertools.product(states, repeat=2) for states in seeds)):
            mean = sum(map(sum, drawn)) / 4
            expected[mean] = expected.get(mean, 0) + 1 / 64
    found, counts = np.unique(means, return_counts=True)
    assert dict(zip(found, counts / len(means), strict=True)) == pytest.approx(expected, abs=0.01)


def test_quantities_of_the_same_episodes_share_their_draws():
    values = np.random.default_rng(1).uniform(size=(3, 10, 4))
    first, double = hierarchical_bootstrap(np.stack([values, 2 * values]), np.random.default_rng(2), 200)
    np.testing.assert_allclose(double, 2 * first)


def test_more_trials_than_a_byte_counts_are_all_drawn():
    values = np.zeros((1, 1, 1, 300))
    values[..., 299] = 300.0
    assert hierarchical_bootstrap(values, np.random.default_rng(0), 200).mean() == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 0, 2), (0, 1, 1, 1)])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="values must have the shape"):
        hierarchical_bootstrap(np.zeros(shape), np.random.default_rng(0))


@given(st.lists(st.lists(VALUES, min_size=5, max_size=5), min_size=1, max_size=4))
def test_interquartile_means_of_rows_are_those_of_each_row(rows):
    assert interquartile_means(np.array(rows)).tolist() == [interquartile_mean(row) for row in rows]
