"""From episode records to the numbers of a score table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scaffold_bench.metrics.statistics import Interval, cluster_bootstrap, interquartile_mean
from scaffold_bench.types import EpisodeRecord


@dataclass(frozen=True)
class TaskSummary:
    """Scores of one task. Shares are in [0, 1], lengths in metres, forces in newtons."""

    task: str
    episodes: int
    states: int
    success_once: Interval
    success_at_end: Interval
    tracking_error: float
    tracked_fraction: float
    tips_in_contact: float
    grip_force: float
    failures: dict[str, int]


def _interval(records: Sequence[EpisodeRecord], field: str) -> Interval:
    clusters: dict[int, list[float]] = {}
    for record in records:
        clusters.setdefault(record.state, []).append(float(getattr(record, field)))
    # the resampling depends on nothing but what is resampled, so a summary can be recomputed to the last bit
    seed = hashlib.sha256(f"{records[0].task}|{field}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "little"))
    return cluster_bootstrap([clusters[state] for state in sorted(clusters)], rng)


def summarize_task(records: Sequence[EpisodeRecord]) -> TaskSummary:
    """Scores of the records of one task, in any order."""
    ordered = sorted(records, key=lambda record: record.key)
    failures: dict[str, int] = {}
    for record in ordered:
        if record.failure:
            failures[record.failure] = failures.get(record.failure, 0) + 1

    def mean(field: str) -> float:
        return float(np.mean([getattr(record, field) for record in ordered]))

    return TaskSummary(
        task=ordered[0].task,
        episodes=len(ordered),
        states=len({record.state for record in ordered}),
        success_once=_interval(ordered, "success_once"),
        success_at_end=_interval(ordered, "success_at_end"),
        tracking_error=mean("tracking_error_mean"),
        tracked_fraction=mean("tracked_fraction"),
        tips_in_contact=mean("tips_in_contact"),
        grip_force=mean("grip_force"),
        failures=dict(sorted(failures.items())),
    )


def summarize(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Per-task scores and their aggregates as a JSON-like dictionary; empty tasks are left out."""
    by_task: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    tasks = [summarize_task(by_task[name]) for name in sorted(by_task)]
    scores = [task.success_once.mean for task in tasks]
    return {
        "tasks": {task.task: asdict(task) for task in tasks},
        "mean_success_once": float(np.mean(scores)) if scores else None,
        "interquartile_mean_success_once": interquartile_mean(scores) if scores else None,
        "mean_success_at_end": float(np.mean([task.success_at_end.mean for task in tasks])) if tasks else None,
    }
