"""The record of an evaluated episode, and the one way in which it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from scaffold_bench.records.codec import STRICT, canonical, problems_of

MAX_MEASURES = 32
Measures = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")], float], Field(max_length=MAX_MEASURES)
]
"""What a task measured, by name."""


@dataclass(frozen=True, config=STRICT)
class EpisodeRecord:
    """One evaluated episode: a line of ``records.jsonl``. Every field is checked when a record is made.

    Attributes:
        task: short task name. env_id: the versioned id.
        split, state, trial, seed: which episode; ``seed`` derives from the other three.
        success_once: the success criterion held at some step (the headline).
        success_at_end: it held at the last step.
        first_success: first successful step, or -1.
        length: control steps run.
        tracking_error_mean, tracking_error_max: over steps, of the mean / the largest keypoint error, metres.
        tracked_fraction: share of steps with every keypoint within epsilon_0 of the plan.
        tips_in_contact: mean number of fingertips touching the task's bodies, over steps with any contact.
        grip_force: mean over those steps of the largest fingertip force, newtons.
        reward: undiscounted return.
        measures: the task's measures at the last step.
        failure: "" on success, else "plan" (no valid plan), "tracking" (the plan was not followed) or "task"
            (followed, but not successful).
        plan: first 16 hex digits of the plan's hash.

    What says why it failed; None in records older than these fields (see ``scaffold_bench.metrics.attribution``):
        lost_step: first control step with a keypoint farther than epsilon_0 from its plan, or -1.
        contact_step: first control step with a fingertip on the task's bodies, or -1.
        leave_step: first frame of the plan with a keypoint farther than epsilon_0 from its start, or -1.
        keypoint_error: largest distance of a planned keypoint's first place from the oracle's, metres.

    Raises:
        ValueError: a field is of another type or not finite (pydantic's ``ValidationError``).
    """

    task: str
    env_id: str
    split: str
    state: int
    trial: int
    seed: int
    success_once: bool
    success_at_end: bool
    first_success: int
    length: int
    tracking_error_mean: float
    tracking_error_max: float
    tracked_fraction: float
    tips_in_contact: float
    grip_force: float
    reward: float
    measures: Measures
    failure: str
    plan: str
    lost_step: int | None = None
    contact_step: int | None = None
    leave_step: int | None = None
    keypoint_error: float | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """Identity within one evaluation run."""
        return (self.task, self.state, self.trial)


_OPTIONAL = frozenset(field.name for field in fields(EpisodeRecord) if field.default is not MISSING)
"""Left out where they are not known; a field that a later release adds must be one, so that old records stay valid."""
_Record = TypeVar("_Record", bound=EpisodeRecord)
_reader = TypeAdapter(EpisodeRecord)


def record_line(record: EpisodeRecord) -> str:
    """The only spelling of a record, with its line break; floats keep all their digits."""
    known = {name: value for name, value in vars(record).items() if value is not None or name not in _OPTIONAL}
    return canonical(known) + "\n"


def parse_record(line: str | bytes) -> EpisodeRecord:
    """Inverse of :func:`record_line`; reads other spellings of the same JSON too.

    Raises:
        ValueError: it is no record; names the field at fault.
    """
    return parse_as(_reader, line)


def parse_as(reader: TypeAdapter[_Record], line: str | bytes) -> _Record:
    """A record of a kind with further fields; see :func:`parse_record`."""
    try:
        return reader.validate_json(line)
    except ValidationError as error:
        place, reason = problems_of(error)[0]
        raise ValueError(f"has a wrong {place} ({reason})" if place else f"is no record ({reason})") from None


def followed_plans_hash(records: Iterable[EpisodeRecord]) -> str:
    """SHA-256 of which plan was followed in which task, state and trial; the same for all methods on one plan set."""
    plans = {(record.task, record.state, record.trial, record.plan) for record in records}
    digest = hashlib.sha256()
    for plan in sorted(plans):
        digest.update(" ".join(map(str, plan)).encode() + b"\n")
    return digest.hexdigest()
