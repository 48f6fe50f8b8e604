"""``records.jsonl.gz``: one line for every task, training seed, state and trial, in that order.

There is one way to write a row, and rows written in another way are refused; so equal records have equal bytes, and
nothing hides in a second meaning.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import IO, Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from scaffold_bench.records.codec import STRICT
from scaffold_bench.records.episode import EpisodeRecord, followed_plans_hash, parse_as, record_line
from scaffold_bench.spec import EPISODE_STEPS, FINGERTIPS
from scaffold_bench.submissions.model import MAX_LISTED, RECORDS, Protocol, SubmissionError
from scaffold_bench.submissions.suite import trial_seed
from scaffold_bench.submissions.text import plain

MAX_LINE = 2**16
"""Bytes of a row; today's have about 600."""
MAX_UNPACKED = 2**28
ROUNDING = 1e-9
"""A mean of equal numbers may be larger than the largest by its last bits."""
FAILURES = ("", "plan", "tracking", "task")
Place = tuple[int, ...]
"""A row's numbers of task, training seed, state and trial."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Row(EpisodeRecord):
    """A record with the run that it is from: its number and its training seed."""

    seed_index: int
    training_seed: int | None


_reader = TypeAdapter(Row)


def parse_row(line: str) -> Row:
    """A row from its line, which has no line break.

    Raises:
        ValueError: it is no row, or not written as :func:`record_line` writes it.
    """
    row = parse_as(_reader, line)
    if record_line(row)[:-1] != line:
        raise ValueError("is not written as 'submit prepare' writes it")
    return row


def read_lines(packed: IO[bytes], digest: Any) -> Iterator[str]:
    """The lines of a gzip stream without their breaks, of no more bytes than a submission may have.

    Args:
        packed: the stream. digest: a hash, updated with the unpacked bytes.

    Raises:
        SubmissionError: a line or the whole is too long, or the stream is damaged.
    """
    total = 0
    try:
        with gzip.GzipFile(fileobj=packed) as unpacked:
            while line := unpacked.readline(MAX_LINE + 1):
                digest.update(line)
                total += len(line)
                if len(line) > MAX_LINE or total > MAX_UNPACKED:
                    raise SubmissionError(f"{RECORDS} unpacks to more than records need; make it with 'submit prepare'")
                if not line.endswith(b"\n"):
                    raise SubmissionError(f"{RECORDS} ends within a row; make it with 'submit prepare'")
                yield line[:-1].decode("ascii")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise SubmissionError(f"{RECORDS} is damaged ({plain(error)}); make it with 'submit prepare'") from None


class Rows:
    """The rows of a submission, with everything that is wrong with them.

    Attributes:
        runs: the records of each training seed, in the order they came.
        problems: what is wrong, in sentences.
        sha256: of the unpacked file; None if it was not read to its end.
        plans_sha256: of all plans, see :func:`followed_plans_hash`.
    """

    def __init__(self, packed: IO[bytes], protocol: Protocol, env_ids: Mapping[str, str]) -> None:
        self.runs: list[list[EpisodeRecord]] = [[] for _ in protocol.training_seeds]
        self.problems: list[str] = []
        self.sha256: str | None = None
        self._protocol, self._env_ids = protocol, env_ids
        self._tasks = {task: place for place, task in enumerate(protocol.tasks)}
        places: list[Place] = []
        digest = hashlib.sha256()
        for number, line in enumerate(read_lines(packed, digest), start=1):
            if number > 2 * protocol.rows or len(self.problems) >= MAX_LISTED:
                self.problems.append(f"{RECORDS} is not read beyond row {number - 1}; correct the problems above first")
                break
            try:
                places.append(self._take(parse_row(line)))
            except ValueError as error:
                self.problems.append(f"{RECORDS}, row {number}, {plain(error, 160)}")
        else:
            self.sha256 = digest.hexdigest()
        if not self.problems:
            self._check_coverage(places)
        if not self.problems and len({record.lost_step is None for run in self.runs for record in run}) > 1:
            self.problems.append(
                f"{RECORDS}: some rows say when tracking was lost, others do not; evaluate all with one release"
            )
        self.plans_sha256 = followed_plans_hash(record for run in self.runs for record in run)

    def _take(self, row: Row) -> Place:
        """Keep a row and return its place; raises ValueError if it is not the protocol's or contradicts itself."""
        protocol, seeds = self._protocol, self._protocol.training_seeds
        if not 0 <= row.seed_index < len(seeds) or seeds[row.seed_index] != row.training_seed:
            raise ValueError(f"has training seed {row.training_seed} as number {row.seed_index}, unlike the protocol")
        task = self._tasks.get(row.task)
        if task is None or row.split != protocol.split or row.env_id != self._env_ids[row.task]:
            raise ValueError(f"is of {row.task}, {row.env_id}, {row.split}, which the protocol has not")
        if not (0 <= row.state < protocol.states and 0 <= row.trial < protocol.trials):
            raise ValueError(f"has state {row.state}, trial {row.trial}, which the protocol has not")
        if row.seed != _seed(row.task, row.state, row.trial):
            raise ValueError(f"has the seed {row.seed}, which is not that of its state and trial")
        if (wrong := contradiction(row)) is not None:
            raise ValueError(wrong)
        self.runs[row.seed_index].append(row)
        return task, row.seed_index, row.state, row.trial

    def _check_coverage(self, places: list[Place]) -> None:
        """Every episode once and in order."""
        protocol = self._protocol
        sizes = (len(protocol.tasks), len(protocol.training_seeds), protocol.states, protocol.trials)
        counts, wanted = Counter(places), list(itertools.product(*map(range, sizes)))
        missing = [place for place in wanted if place not in counts]
        repeated = [place for place in wanted if counts[place] > 1]
        for what, found in (("missing", missing), ("there more than once", repeated)):
            self.problems += [f"{RECORDS}: {self._episode(place)} is {what}" for place in found[:MAX_LISTED]]
            if len(found) > MAX_LISTED:
                self.problems.append(f"{RECORDS}: {len(found) - MAX_LISTED} more episodes are {what}")
        if not self.problems and places != wanted:
            number, place = next((row, place) for row, place in enumerate(places[1:], 2) if place < places[row - 2])
            self.problems.append(
                f"{RECORDS}: row {number}, {self._episode(place)}, is out of order; rows go by task, training seed, "
                "state and trial"
            )

    def _episode(self, place: Place) -> str:
        task, seed, state, trial = place
        return f"{self._protocol.tasks[task]}, training seed number {seed}, state {state}, trial {trial}"


_seed = lru_cache(maxsize=20_000)(trial_seed)


def contradiction(record: EpisodeRecord) -> str | None:
    """What a record says against itself, or None."""
    solved, error = record.success_once, record.tracking_error_mean
    if record.length != EPISODE_STEPS:
        return f"has length {record.length}; an evaluated episode has {EPISODE_STEPS} steps"
    if (1 <= record.first_success <= record.length) != solved or (not solved and record.first_success != -1):
        return f"has first_success {record.first_success}, unlike its success_once"
    if record.success_at_end and not solved:
        return "has success at the end, but never"
    if record.failure not in FAILURES or (record.failure == "") != solved:
        return f'has failure "{record.failure}", unlike its success_once'
    tracked = record.tracked_fraction
    if not 0 <= tracked <= 1 or (
        record.failure in ("tracking", "task") and (tracked == 1) != (record.failure == "task")
    ):
        return f"has tracked_fraction {tracked}, unlike its failure"
    if not 0 <= error <= record.tracking_error_max * (1 + ROUNDING) or not 0 <= record.tips_in_contact <= len(
        FINGERTIPS
    ):
        return "has a tracking error or a number of tips that cannot be"
    steps = (record.lost_step, record.contact_step, record.leave_step)
    if any(step is not None and step != -1 and not 0 <= step <= EPISODE_STEPS for step in steps):
        return "has a step that no episode has"
    if record.lost_step is not None and (record.lost_step == -1) != (tracked == 1):
        return f"has lost_step {record.lost_step}, unlike its tracked_fraction"
    if len({step is None for step in steps}) > 1:
        return "says only in part when tracking was lost"
    if record.keypoint_error is None and record.lost_step is not None and record.failure not in ("", "plan"):
        return "does not say how far its keypoints are off"
    if record.keypoint_error is not None and record.keypoint_error < 0:
        return "has a keypoint error that cannot be"
    if record.grip_force < 0 or not re.fullmatch(r"[0-9a-f]{16}", record.plan):
        return "has a grip force or a plan's hash that cannot be"
    return None
