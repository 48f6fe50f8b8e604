"""Methods side by side: who is likely better, who shares a place, and how scores are distributed.

Scores are arrays (R, S) per task: of R training seeds on S start states, each the mean over its trials. All methods see
the same start states, so states are resampled together and seeds on their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaffold_bench.metrics.bootstrap import BLOCK, BOOTSTRAP_SAMPLES, CONFIDENCE, Interval, Spread, percentile_interval
from scaffold_bench.spec import FloatArray

Scores = Mapping[str, FloatArray]
"""Scores (R, S) of a method, by task."""


def _shared_tasks(methods: Sequence[Scores]) -> list[str]:
    """The tasks that all methods have; raises ValueError if there are none, or scores have another shape."""
    tasks = sorted(set.intersection(*(set(method) for method in methods))) if methods else []
    if not tasks:
        raise ValueError("the methods have no task in common")
    for task in tasks:
        shapes = [np.shape(method[task]) for method in methods]
        if any(len(shape) != 2 or 0 in shape for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
            raise ValueError(f"{task}: scores must be (seeds, states) with the same states, got {shapes}")
    return tasks


def _share_better(first: FloatArray, second: FloatArray) -> FloatArray:
    """How often ``first`` (..., R1, S) beats ``second`` (..., R2, S) on a state, over pairs of seeds; ties are half."""
    difference = first[..., :, None, :] - second[..., None, :, :]
    share: FloatArray = (0.5 * (np.sign(difference) + 1)).mean(axis=(-3, -2, -1))
    return share


def probability_of_improvement(
    first: Scores, second: Scores, rng: np.random.Generator, samples: int = BOOTSTRAP_SAMPLES
) -> Interval:
    """Probability that ``first`` does better than ``second``: on a random start state of a random task, with a random
    training seed of each. Equal scores count half, so 0.5 means that neither is better.

    With one state this is the definition of Agarwal et al. (2021), who compare runs.

    Args:
        first, second: scores of the two methods; the tasks that both have are compared.
        rng: source of the resampling of seeds and states.
        samples: bootstrap samples.

    Raises:
        ValueError: no common task, or other start states.
    """
    tasks = _shared_tasks([first, second])
    estimate = float(np.mean([_share_better(first[task], second[task]) for task in tasks]))
    resampled = np.zeros(samples)
    for task in tasks:
        a, b = np.asarray(first[task]), np.asarray(second[task])
        for start in range(0, samples, BLOCK):
            count = min(BLOCK, samples - start)
            states = rng.integers(a.shape[1], size=(count, 1, a.shape[1]))
            seeds_a = rng.integers(len(a), size=(count, len(a), 1))
            seeds_b = rng.integers(len(b), size=(count, len(b), 1))
            resampled[start : start + count] += _share_better(a[seeds_a, states], b[seeds_b, states])
    return percentile_interval(estimate, resampled / len(tasks))


def places(intervals: Mapping[str, Spread]) -> dict[str, int]:
    """Ranks that are shared unless the intervals tell methods apart.

    A method's place is one more than the number of methods whose whole interval lies above its own. So the place says
    how many are better for certain, and does not hang on a mean's last digit.

    Returns:
        Places by name, best first; a shared place is ordered by the mean.
    """
    order = sorted(intervals, key=lambda name: (-intervals[name].mean, name))
    place = {name: 1 + sum(other.low > intervals[name].high for other in intervals.values()) for name in order}
    return dict(sorted(place.items(), key=lambda item: item[1]))  # stable: means stay in order within a place


@dataclass(frozen=True)
class Profile:
    """Share of (task, seed, state) that score more than each threshold: arrays (N,), with a 95 % interval."""

    thresholds: FloatArray
    share: FloatArray
    low: FloatArray
    high: FloatArray


def performance_profile(
    scores: Scores, thresholds: Sequence[float] | FloatArray, rng: np.random.Generator, samples: int = BOOTSTRAP_SAMPLES
) -> Profile:
    """The distribution of a method's scores; tasks weigh alike.

    Args:
        scores: scores of the method.
        thresholds: (N,) scores that must be exceeded.
        rng: source of the resampling of seeds and states.
        samples: bootstrap samples.

    Raises:
        ValueError: no scores.
    """
    tasks, limits = _shared_tasks([scores]), np.asarray(thresholds, dtype=np.float64)
    share, resampled = np.zeros(len(limits)), np.zeros((samples, len(limits)))
    for task in tasks:
        above = np.asarray(scores[task])[..., None] > limits  # (R, S, N)
        share += above.mean(axis=(0, 1))
        seeds, states = above.shape[:2]
        for start in range(0, samples, BLOCK):
            count = min(BLOCK, samples - start)
            seed = rng.integers(seeds, size=(count, seeds, 1))
            state = rng.integers(states, size=(count, seeds, states))
            resampled[start : start + count] += above[seed, state].mean(axis=(1, 2))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled / len(tasks), [tail, 1 - tail], axis=0)
    return Profile(limits, share / len(tasks), low, high)
