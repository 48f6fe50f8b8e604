"""From episode records to the numbers of a score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scaffold_bench.metrics.attribution import attribute, count_causes
from scaffold_bench.metrics.bootstrap import (
    BOOTSTRAP_SAMPLES,
    Interval,
    hierarchical_bootstrap,
    interquartile_mean,
    interquartile_means,
    percentile_interval,
    rng_of,
)
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.spec import FloatArray

MEANS = ("mean_success_once", "interquartile_mean_success_once", "mean_success_at_end")
"""Means over tasks in a summary."""


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

    @classmethod
    def from_dict(cls, summary: Mapping[str, Any]) -> TaskSummary:
        """A task's part of what :func:`summarize` returns."""
        intervals = {name: Interval(**summary[name]) for name in ("success_once", "success_at_end")}
        return cls(**{**summary, **intervals})


def _task_summary(ordered: Sequence[EpisodeRecord], once: Interval, at_end: Interval) -> TaskSummary:
    """The scores of one task's records, whose order decides the last bits of the means."""
    failures = Counter(record.failure for record in ordered if record.failure)

    def mean(field: str) -> float:
        return float(np.mean([getattr(record, field) for record in ordered]))

    return TaskSummary(
        task=ordered[0].task,
        episodes=len(ordered),
        states=len({record.state for record in ordered}),
        success_once=once,
        success_at_end=at_end,
        tracking_error=mean("tracking_error_mean"),
        tracked_fraction=mean("tracked_fraction"),
        tips_in_contact=mean("tips_in_contact"),
        grip_force=mean("grip_force"),
        failures=dict(sorted(failures.items())),
    )


def _by_task(records: Iterable[EpisodeRecord]) -> dict[str, list[EpisodeRecord]]:
    by_task: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    return by_task


def summarize(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Scores of one run as a JSON-like dictionary: those of :func:`summarize_runs` without causes and without
    intervals for the means over tasks, which are None if there are no records.

    Raises:
        ValueError: a task's states do not all have the same trials, each once.
    """
    if not records:
        return {"tasks": {}, **dict.fromkeys(MEANS)}
    found = summarize_runs([records])
    tasks = {
        name: {part: value for part, value in task.items() if part not in ("seeds", "causes")}
        for name, task in found["tasks"].items()
    }
    return {"tasks": tasks, **{name: found[name]["mean"] for name in MEANS}}


def outcomes(runs: Sequence[Sequence[EpisodeRecord]], field: str = "success_once") -> dict[str, FloatArray]:
    """A field of every episode as arrays (seeds, states, trials), by task.

    Args:
        runs: the records of each training seed. field: a number or truth value of the record.

    Raises:
        ValueError: a task's runs do not hold the same states with the same number of trials.
    """
    parts = [_by_task(records) for records in runs]
    if not parts or any(set(part) != set(parts[0]) for part in parts):
        raise ValueError("every training seed must have the same tasks")
    arrays = {}
    for task in sorted(parts[0]):
        ordered = [sorted(part[task], key=lambda record: record.key) for part in parts]
        states, trials = (len({getattr(record, axis) for record in ordered[0]}) for axis in ("state", "trial"))
        keys = [[record.key for record in records] for records in ordered]
        if len(set(keys[0])) != states * trials or any(other != keys[0] for other in keys):
            raise ValueError(
                f"{task}: every training seed must have the same states, and every state the same trials, each once"
            )
        values = [[float(getattr(record, field)) for record in records] for records in ordered]
        arrays[task] = np.array(values).reshape(len(runs), states, trials)
    return arrays


def summarize_runs(runs: Sequence[Sequence[EpisodeRecord]]) -> dict[str, Any]:
    """Scores of a method from the records of each of its training seeds, as a JSON-like dictionary.

    Per task: scores with intervals that resample seeds, states and trials, and why episodes failed. Then the means over
    tasks (:data:`MEANS`) with intervals; tasks are resampled on their own, not among each other.

    Raises:
        ValueError: the runs do not hold the same episodes.
    """
    once, at_end = outcomes(runs, "success_once"), outcomes(runs, "success_at_end")
    by_task = _by_task(record for records in runs for record in sorted(records, key=lambda record: record.key))
    tasks: dict[str, Any] = {}
    samples = np.empty((len(once), 2, BOOTSTRAP_SAMPLES))
    for task, of_task in zip(once, samples, strict=True):
        of_task[:] = hierarchical_bootstrap(np.stack([once[task], at_end[task]]), rng_of(f"{task}|runs"))
        intervals = (
            percentile_interval(float(values[task].mean()), of_task[i]) for i, values in enumerate((once, at_end))
        )
        summary = asdict(_task_summary(by_task[task], *intervals))
        tasks[task] = {**summary, "seeds": len(runs), "causes": count_causes(map(attribute, by_task[task]))}
    scores = np.array([[tasks[task][name]["mean"] for task in tasks] for name in ("success_once", "success_at_end")])
    middle = interquartile_means(samples[:, 0].T)
    return {
        "tasks": tasks,
        "mean_success_once": asdict(percentile_interval(float(scores[0].mean()), samples[:, 0].mean(axis=0))),
        "interquartile_mean_success_once": asdict(percentile_interval(interquartile_mean(scores[0]), middle)),
        "mean_success_at_end": asdict(percentile_interval(float(scores[1].mean()), samples[:, 1].mean(axis=0))),
    }
