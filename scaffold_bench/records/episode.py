"""The record of an evaluated episode, and the one way in which it is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class EpisodeRecord:
    """One evaluated episode: a row of ``records.jsonl``.

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
    measures: Mapping[str, float]
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


_FIELDS = {field.name: str(field.type) for field in fields(EpisodeRecord)}
_REQUIRED = {field.name for field in fields(EpisodeRecord) if field.default is MISSING}


def record_line(record: EpisodeRecord) -> str:
    """One line of ``records.jsonl``; floats keep all their digits, and what is not known is left out."""
    known = {name: value for name, value in asdict(record).items() if name in _REQUIRED or value is not None}
    return json.dumps(known, sort_keys=True, allow_nan=False) + "\n"


def parse_record(line: str) -> EpisodeRecord:
    """Inverse of :func:`record_line`.

    Raises:
        ValueError: not a record.
    """
    data = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(data, dict) or not _REQUIRED <= data.keys() <= _FIELDS.keys():
        raise ValueError("is not an episode record")
    for name, value in data.items():
        if not _fits(value, _FIELDS[name].removesuffix(" | None")):
            raise ValueError(f"field {name!r} is not a {_FIELDS[name]}")
    return EpisodeRecord(**data)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number a record may hold")


def _fits(value: Any, kind: str) -> bool:
    """Whether a JSON value is what a record's field of that annotation may hold."""
    if kind.startswith("Mapping"):
        return isinstance(value, dict) and all(_fits(number, "float") for number in value.values())
    if kind == "float":
        number = isinstance(value, float) or (type(value) is int and abs(value) < 2**53)
        return number and math.isfinite(value)
    return type(value).__name__ == kind
