"""Intervals for clustered episodes: trials share a start state and states a trained policy, so those are resampled
first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scaffold_bench.spec import FloatArray

BOOTSTRAP_SAMPLES = 2000
CONFIDENCE = 0.95
BLOCK = 32
"""Bootstrap samples drawn at once: enough to keep NumPy busy, few enough to need little memory."""


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class Spread(Protocol):
    """What has a mean and its interval: an :class:`Interval`, or one that a submission declares."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def rng_of(text: str) -> np.random.Generator:
    """Resampling that depends on nothing but what is resampled, so that everybody recomputes the same last bit."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def percentile_interval(mean: float, samples: FloatArray) -> Interval:
    """The middle 95 % of bootstrap samples (B,) around an estimate."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(mean, float(low), float(high))


def hierarchical_bootstrap(
    values: npt.ArrayLike, rng: np.random.Generator, samples: int = BOOTSTRAP_SAMPLES
) -> FloatArray:
    """Resampled means of episodes that are nested: training seeds, then start states, then trials.

    Each sample draws seeds with replacement, then states for each drawn seed, then trials for each drawn state.

    Args:
        values: (F, R, S, T): F quantities of the same episodes of R seeds, S states and T trials; a draw serves all F.
        rng: source of the resampling.
        samples: number B of bootstrap samples.

    Returns:
        (F, B) means.

    Raises:
        ValueError: another shape, or an empty axis.
    """
    array = np.asarray(values)
    if array.ndim != 4 or array.size == 0:
        raise ValueError(f"values must have the shape (quantities, seeds, states, trials), got {array.shape}")
    quantities, seeds, states, trials = array.shape
    flat = array.reshape(quantities, -1)
    small = np.uint8 if trials <= 256 else np.int64  # a byte is four times as fast to draw
    means = np.empty((quantities, samples))
    for start in range(0, samples, BLOCK):
        count = min(BLOCK, samples - start)
        seed = rng.integers(seeds, size=(count, seeds, 1, 1))
        state = rng.integers(states, size=(count, seeds, states, 1))
        trial = rng.integers(trials, size=(count, seeds, states, trials), dtype=small)
        episode = ((seed * states + state) * trials + trial).reshape(count, -1)
        for quantity in range(quantities):
            means[quantity, start : start + count] = flat[quantity][episode].mean(axis=1)
    return means


def hierarchical_interval(
    values: npt.ArrayLike, rng: np.random.Generator, samples: int = BOOTSTRAP_SAMPLES
) -> Interval:
    """Mean of episodes (R, S, T) with a 95 % interval from :func:`hierarchical_bootstrap`."""
    array = np.asarray(values)
    return percentile_interval(float(array.mean()), hierarchical_bootstrap(array[None], rng, samples)[0])


def interquartile_mean(values: Sequence[float] | FloatArray) -> float:
    """Mean of the middle half: a quarter of the weight is cut off at either end.

    Raises:
        ValueError: no values.
    """
    return float(interquartile_means(np.asarray(values, dtype=np.float64)[None])[0])


def interquartile_means(values: FloatArray) -> FloatArray:
    """:func:`interquartile_mean` of every row of values (B, N); returns (B,).

    Raises:
        ValueError: no values.
    """
    ordered = np.sort(values, axis=1)
    count = ordered.shape[1]
    if count == 0:
        raise ValueError("the interquartile mean needs at least one value")
    # value i carries the weight of the interval [i, i + 1] of [0, count] inside the middle half
    edges = np.arange(count + 1)
    inside = np.clip(edges, count / 4, 3 * count / 4)
    weights = np.diff(inside)
    means: FloatArray = (ordered * weights).sum(axis=1) / weights.sum()
    return means
