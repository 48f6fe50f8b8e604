"""Submissions of a folder, sorted into boards: only methods that ran the same episodes in the same way share one."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from scaffold_bench.leaderboard.cache import keep, kept_in
from scaffold_bench.metrics import (
    Interval,
    Profile,
    attribute,
    flows,
    outcomes,
    performance_profile,
    places,
    probability_of_improvement,
)
from scaffold_bench.metrics.bootstrap import rng_of
from scaffold_bench.submissions.model import BUILT_IN, TRACKS, Aggregates, Score, Submission
from scaffold_bench.submissions.planners import noise_of
from scaffold_bench.submissions.suite import SUITES
from scaffold_bench.submissions.text import plain
from scaffold_bench.submissions.validate import validate
from scaffold_bench.submissions.verification import Verification

MEAN = "mean"
"""The measure over all tasks; the others are called after their task."""
NEIGHBOURS = 8
"""Methods next to one in the ranking that it is compared with, and methods whose profiles are drawn."""
SAMPLES = 500
"""Bootstrap samples of a comparison; scores have more."""
THRESHOLDS = np.arange(20) / 20  # the very numbers that k of 20 trials give, unlike linspace
"""Scores that a performance profile asks for."""


@dataclass(frozen=True)
class Entry:
    """A valid submission.

    Attributes:
        slug: name of its page, unique on the site and safe in any path.
        folder: name of its folder or archive, for people.
        submission, aggregates: what it says, and the numbers recomputed from its records.
        badge, notes, verification: how far it can be trusted, and what a reader should know.
        failure_flow: (from, to, episodes), see :func:`scaffold_bench.metrics.flows`.
        scores: success once of every training seed (outer) and start state, mean over trials, by task.
    """

    slug: str
    folder: str
    submission: Submission
    aggregates: Aggregates
    badge: str
    notes: tuple[str, ...]
    verification: Verification | None
    failure_flow: tuple[tuple[str, str, int], ...]
    scores: dict[str, list[list[float]]]

    def acts_like(self, other: Entry) -> bool:
        """Whether the same policy acts, whatever the plans: one of the package, or code or weights with one hash."""
        mine, theirs = self.submission.policy, other.submission.policy
        if (mine.kind, self.submission.suite) != (theirs.kind, other.submission.suite):
            return False
        shared = set(mine.checkpoints) & set(theirs.checkpoints) - {None}
        return mine.kind in BUILT_IN or (bool(shared) and (mine.kind == "actor" or mine.reference == theirs.reference))

    def score(self, measure: str) -> Score | None:
        """Success once of a task, or the mean over all; None for a task it has not."""
        if measure == MEAN:
            return self.aggregates.mean_success_once
        task = self.aggregates.tasks.get(measure)
        return None if task is None else task.success_once


STORED = TypeAdapter(Entry)
"""How an entry is kept as JSON in the cache."""


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
    def order(self) -> tuple[object, ...]:
        """Newest suite first, full before quick, then by track; larger protocols first."""
        size = (-len(self.tasks), -self.states, -self.trials)
        return (-self.suite, self.preset != "full", TRACKS.index(self.track), *size, self.backend, self.tasks)


@dataclass(frozen=True)
class Board:
    """Methods that may be compared."""

    key: Key
    entries: tuple[Entry, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        """The mean and every task."""
        return (MEAN, *self.key.tasks)

    def comparisons(self) -> dict[str, list[tuple[Entry, Interval]]]:
        """For every method's slug the methods next to it in the ranking, each with the probability that it does worse
        than the method does, on a random start state of a random task."""
        ordered = [entry for _, _, entry, _ in self.ranking(MEAN)]
        found: dict[str, list[tuple[Entry, Interval]]] = {entry.slug: [] for entry in ordered}
        for (place, first), (other, second) in itertools.combinations(enumerate(ordered), 2):
            if other - place <= NEIGHBOURS // 2:
                rng = rng_of(f"{first.slug}|{second.slug}")
                share = probability_of_improvement(_arrays(first), _arrays(second), rng, SAMPLES)
                found[first.slug].append((second, share))
                turned = Interval(1 - share.mean, 1 - share.high, 1 - share.low)
                found[second.slug].append((first, turned))
        return found

    def profiles(self) -> list[tuple[Entry, Profile]]:
        """How the scores of the board's best methods are distributed; none where a state has one trial only, so that
        a score is 0 or 1."""
        if self.key.trials == 1:
            return []
        best = [entry for _, _, entry, _ in self.ranking(MEAN)][:NEIGHBOURS]
        return [(e, performance_profile(_arrays(e), THRESHOLDS, rng_of(e.slug), SAMPLES)) for e in best]

    def ranking(self, measure: str) -> list[tuple[int, bool, Entry, Score]]:
        """Place, whether it is shared, method and score; best first."""
        scores = {entry.slug: score for entry in self.entries if (score := entry.score(measure)) is not None}
        found = places(scores)
        by_slug, taken = {entry.slug: entry for entry in self.entries}, list(found.values())
        return [(place, taken.count(place) > 1, by_slug[slug], scores[slug]) for slug, place in found.items()]


def _arrays(entry: Entry) -> dict[str, np.ndarray]:
    return {task: np.asarray(scores) for task, scores in entry.scores.items()}


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


def _read(path: Path, cache: Path | None) -> Entry | Refused:
    """Check a submission and keep what the pages need; the slug is given later."""
    folder, kept = plain(path.name), kept_in(cache, path)
    if kept is not None:
        with contextlib.suppress(OSError, ValidationError):
            return dataclasses.replace(STORED.validate_json(kept.read_bytes()), folder=folder)
    report = validate(path)
    if report.submission is None or report.aggregates is None or not report.ok:
        return Refused(folder, tuple(report.problems))  # not kept: the reason may have passed by the next time
    read = Entry(
        slug="",
        folder=folder,
        submission=report.submission,
        aggregates=report.aggregates,
        badge=report.badge,
        notes=tuple(report.notes),
        verification=report.verification,
        failure_flow=tuple(flows(attribute(record) for run in report.runs for record in run)),
        scores={task: values.mean(axis=2).tolist() for task, values in outcomes(report.runs).items()},
    )
    if kept is not None and kept_in(cache, path) == kept:  # it did not change meanwhile
        keep(kept, STORED.dump_json(read))
    return read


def read_submissions(folder: Path, workers: int = 1, cache: Path | None = None) -> tuple[list[Entry], list[Refused]]:
    """Check every submission of a folder.

    Args:
        folder: the folder. workers: number of processes that share the work; the result does not depend on it.
        cache: folder that remembers what was found about submissions by their bytes; None checks all anew.

    Returns:
        The valid ones and the refused ones, each by name.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of submissions; give one with --submissions")
    paths = list(candidates(folder))
    read_one = functools.partial(_read, cache=cache)
    if workers > 1 and len(paths) > 1:
        with ProcessPoolExecutor(min(workers, len(paths)), multiprocessing.get_context("spawn")) as pool:
            read = list(pool.map(read_one, paths))
    else:
        read = [read_one(path) for path in paths]
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
        common = (submission.suite, protocol.preset, submission.track, submission.backend)
        key = Key(*common, tuple(protocol.tasks), protocol.states, protocol.trials)
        found.setdefault(key, []).append(entry)
    return [Board(key, tuple(found[key])) for key in sorted(found, key=lambda key: key.order)]


def on_other_plans(entry: Entry, entries: Iterable[Entry]) -> list[Entry]:
    """All entries of the same policy, this one too, on whatever plans; none if it is the only one."""
    found = [other for other in entries if other.acts_like(entry)]
    return sorted(found, key=lambda other: (_noise(other), other.slug)) if len(found) > 1 else []


def _noise(entry: Entry) -> float:
    """Noise on the oracle's plans, metres; infinite for other plans."""
    found = noise_of(entry.submission.plans.provider)
    return float("inf") if found is None else found


def all_tasks() -> dict[str, str]:
    """Every task's newest id, by short name, in the paper's order."""
    return {task: env_id for suite in SUITES.values() for task, env_id in suite.env_ids.items()}
