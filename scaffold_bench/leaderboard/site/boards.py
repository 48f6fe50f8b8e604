"""Submissions of a folder, sorted into boards: only methods that ran the same episodes in the same way share one."""

from __future__ import annotations

import dataclasses
import multiprocessing
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scaffold_bench.leaderboard.submission import TRACKS, Aggregates, Score, Submission
from scaffold_bench.leaderboard.suite import SUITES
from scaffold_bench.leaderboard.text import plain
from scaffold_bench.leaderboard.validate import Report, validate
from scaffold_bench.leaderboard.verification import Verification
from scaffold_bench.metrics import Interval, attribute, flows, places

MEAN = "mean"
"""The measure over all tasks; the others are called after their task."""


@dataclass(frozen=True)
class Entry:
    """A valid submission.

    Attributes:
        slug: name of its page, unique on the site and safe in any path.
        folder: name of its folder or archive, for people.
        submission, aggregates: what it says, and the numbers recomputed from its records.
        badge, notes, verification: how far it can be trusted, and what a reader should know.
        bands: flows of its episodes, see :func:`scaffold_bench.metrics.flows`.
    """

    slug: str
    folder: str
    submission: Submission
    aggregates: Aggregates
    badge: str
    notes: tuple[str, ...]
    verification: Verification | None
    bands: tuple[tuple[str, str, int], ...]

    def score(self, measure: str) -> Score | None:
        """Success once of a task, or the mean over all; None for a task it has not."""
        if measure == MEAN:
            return self.aggregates.mean_success_once
        task = self.aggregates.tasks.get(measure)
        return None if task is None else task.success_once


@dataclass(frozen=True)
class Refused:
    """A submission with problems: shown with its reasons, never ranked."""

    folder: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """What all methods of a board have in common."""

    suite: int
    preset: str
    track: str
    backend: str
    tasks: tuple[str, ...]
    states: int
    trials: int

    @property
    def order(self) -> tuple[int, ...]:
        """Newest suite first, full before quick, then by track; larger protocols first."""
        return (
            -self.suite,
            int(self.preset != "full"),
            TRACKS.index(self.track),
            -len(self.tasks),
            -self.states,
            -self.trials,
        )


@dataclass(frozen=True)
class Board:
    """Methods that may be compared."""

    key: Key
    entries: tuple[Entry, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        """The mean and every task."""
        return (MEAN, *self.key.tasks)

    def ranking(self, measure: str) -> list[tuple[int, bool, Entry, Score]]:
        """Place, whether it is shared, method and score; best first."""
        scores = {entry.slug: score for entry in self.entries if (score := entry.score(measure)) is not None}
        found = places({slug: Interval(score.mean, score.low, score.high) for slug, score in scores.items()})
        by_slug, taken = {entry.slug: entry for entry in self.entries}, list(found.values())
        return [(place, taken.count(place) > 1, by_slug[slug], scores[slug]) for slug, place in found.items()]


def slug_of(name: str, taken: Iterable[str]) -> str:
    """A short name of letters, digits and hyphens that no other page has."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower().removesuffix(".zip")).strip("-")[:60] or "method"
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug


def candidates(folder: Path) -> Iterator[Path]:
    """What may be a submission in a folder: folders and archives that are not hidden, by name."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and (path.is_dir() or path.is_symlink() or path.suffix == ".zip"):
            yield path


def _entry(report: Report, slug: str) -> Entry:
    submission, aggregates = report.submission, report.aggregates
    assert submission is not None
    assert aggregates is not None
    return Entry(
        slug=slug,
        folder=plain(report.path.name),
        submission=submission,
        aggregates=aggregates,
        badge=report.badge,
        notes=tuple(report.notes),
        verification=report.verification,
        bands=tuple(flows(attribute(record) for run in report.runs for record in run)),
    )


def _read(path: Path) -> Entry | Refused:
    """Check a submission and keep what the pages need; the slug is given later."""
    report = validate(path)
    return _entry(report, "") if report.ok else Refused(plain(path.name), tuple(report.problems))


def read_submissions(folder: Path, workers: int = 1) -> tuple[list[Entry], list[Refused]]:
    """Check every submission of a folder.

    Args:
        folder: the folder. workers: number of processes that share the work; the result does not depend on it.

    Returns:
        The valid ones and the refused ones, each by name.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of submissions; give one with --submissions")
    paths = list(candidates(folder))
    if workers > 1 and len(paths) > 1:
        with ProcessPoolExecutor(min(workers, len(paths)), multiprocessing.get_context("spawn")) as pool:
            read = list(pool.map(_read, paths))
    else:
        read = [_read(path) for path in paths]
    entries: list[Entry] = []
    refused: list[Refused] = []
    for path, one in zip(paths, read, strict=True):
        if isinstance(one, Entry):
            slug = slug_of(path.name, {entry.slug for entry in entries})
            entries.append(dataclasses.replace(one, slug=slug))
        else:
            refused.append(one)
    return entries, refused


def boards_of(entries: Iterable[Entry]) -> list[Board]:
    """The boards, most important first."""
    found: dict[Key, list[Entry]] = {}
    for entry in entries:
        submission, protocol = entry.submission, entry.submission.protocol
        key = Key(
            suite=submission.suite,
            preset=protocol.preset,
            track=submission.track,
            backend=submission.backend,
            tasks=tuple(protocol.tasks),
            states=protocol.states,
            trials=protocol.trials,
        )
        found.setdefault(key, []).append(entry)
    ordered = sorted(found, key=lambda key: (*key.order, key.backend, key.tasks))
    return [Board(key, tuple(found[key])) for key in ordered]


def all_tasks() -> dict[str, str]:
    """Every task's newest id, by short name, in the paper's order."""
    return {task: env_id for suite in SUITES.values() for task, env_id in suite.env_ids.items()}
