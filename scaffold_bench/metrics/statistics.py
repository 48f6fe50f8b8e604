"""Intervals for clustered episodes: trials share a start state, so states are resampled first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaffold_bench.types import FloatArray

BOOTSTRAP_SAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def cluster_bootstrap(
    clusters: Sequence[Sequence[float]], rng: np.random.Generator, samples: int = BOOTSTRAP_SAMPLES
) -> Interval:
    """Mean over clusters' members with a two-level percentile bootstrap.

    Each sample draws clusters (start states) with replacement, then members (trials) within each drawn cluster.

    Args:
        clusters: the values of each cluster; every cluster has at least one.
        rng: source of the resampling.
        samples: bootstrap samples.

    Raises:
        ValueError: no clusters, or an empty one.
    """
    if not clusters or any(len(cluster) == 0 for cluster in clusters):
        raise ValueError("every cluster needs at least one value")
    sizes = np.array([len(cluster) for cluster in clusters])
    padded = np.zeros((len(clusters), sizes.max()))
    for row, cluster in zip(padded, clusters, strict=True):
        row[: len(cluster)] = cluster
    means = np.empty(samples)
    for sample in range(samples):
        drawn = rng.integers(len(clusters), size=len(clusters))
        members = rng.integers(sizes[drawn][:, None], size=(len(drawn), padded.shape[1]))
        values = padded[drawn[:, None], members]
        used = np.arange(padded.shape[1]) < sizes[drawn][:, None]
        means[sample] = values[used].mean()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = sum(float(np.sum(cluster)) for cluster in clusters) / float(sizes.sum())
    return Interval(mean, float(low), float(high))


def interquartile_mean(values: Sequence[float] | FloatArray) -> float:
    """Mean of the middle half: a quarter of the weight is cut off at either end.

    Raises:
        ValueError: no values.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    if count == 0:
        raise ValueError("the interquartile mean needs at least one value")
    # value i carries the weight of the interval [i, i + 1] of [0, count] inside the middle half
    edges = np.arange(count + 1)
    inside = np.clip(edges, count / 4, 3 * count / 4)
    weights = np.diff(inside)
    return float((ordered * weights).sum() / weights.sum())
