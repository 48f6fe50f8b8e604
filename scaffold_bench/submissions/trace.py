"""Recorded episodes for the replay page: what moved where, small enough to be looked at in a browser.

A trace is JSON from anybody, so it is checked like a submission: bounded, of the right shape, nothing unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from scaffold_bench.records.codec import to_json
from scaffold_bench.submissions.model import Line, Name, Part, SubmissionError, Word, plain_problems
from scaffold_bench.submissions.text import plain

MAX_TRACE_BYTES = 2**20
UNIT = 1e-4
"""Lengths are whole numbers of 0.1 mm, quaternions (w, x, y, z) of 1e-4."""
MAX_FRAMES, MAX_BODIES, MAX_KEYPOINTS = 2001, 64, 16

Length = Annotated[int, Field(ge=-(10**6), le=10**6)]
Point = Annotated[list[Length], Field(min_length=3, max_length=3)]
Pose = Annotated[list[Length], Field(min_length=7, max_length=7)]


class Body(Part):
    """A rigid body: ``vertices`` in its frame, and ``faces`` that name three or four of them, seen from outside
    counterclockwise."""

    name: Line
    kind: Literal["hand", "object", "scene"]
    vertices: Annotated[list[Point], Field(min_length=1, max_length=3000)]
    faces: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=0, lt=3000)]], Field(min_length=3, max_length=4)]],
        Field(max_length=3000),
    ]

    @model_validator(mode="after")
    def _known_vertices(self) -> Body:
        if any(vertex >= len(self.vertices) for face in self.faces for vertex in face):
            raise ValueError("has a face with a vertex that is not there")
        return self


class Frame(Part):
    """An instant.

    ``wrist``: pose of the hand's base. ``tips``: fingertips. ``keypoints``, ``planned``: tracked and planned keypoints.
    ``poses``: of all bodies, in their order. ``solved``: whether the success criterion held by now.
    """

    wrist: Pose
    tips: Annotated[list[Point], Field(max_length=5)]
    keypoints: Annotated[list[Point], Field(max_length=MAX_KEYPOINTS)]
    planned: Annotated[list[Point], Field(max_length=MAX_KEYPOINTS)]
    poses: Annotated[list[Pose], Field(max_length=MAX_BODIES)]
    solved: bool


class Trace(Part):
    """An episode.

    ``method``: name of the submission's folder that it belongs to, or "". ``eye``, ``target``: where to look from.
    ``seconds``: time between frames.
    """

    format: Literal[1]
    method: Annotated[str, Field(max_length=200)]
    policy: Name
    task: Word
    env_id: Word
    instruction: Line
    state: Annotated[int, Field(ge=0, le=10**6)]
    trial: Annotated[int, Field(ge=0, le=10**6)]
    success: bool
    threshold: Length
    seconds: Annotated[float, Field(gt=0, le=1)]
    eye: Point
    target: Point
    keypoint_names: Annotated[list[Line], Field(min_length=1, max_length=MAX_KEYPOINTS)]
    bodies: Annotated[list[Body], Field(max_length=MAX_BODIES)]
    frames: Annotated[list[Frame], Field(min_length=2, max_length=MAX_FRAMES)]

    @model_validator(mode="after")
    def _shapes(self) -> Trace:
        points = len(self.keypoint_names)
        for frame in self.frames:
            if (len(frame.keypoints), len(frame.planned), len(frame.poses)) != (points, points, len(self.bodies)):
                raise ValueError("has a frame without a position for every keypoint and body")
        return self


def read_trace(path: Path) -> Trace:
    """A trace from a file.

    Raises:
        SubmissionError: there is none, or it is no trace.
    """
    shown = plain(path.name)
    if path.is_symlink() or not path.is_file():
        raise SubmissionError(f"{shown} is no ordinary file; record a trace with 'leaderboard trace'")
    with path.open("rb") as file:
        raw = file.read(MAX_TRACE_BYTES + 1)
    if len(raw) > MAX_TRACE_BYTES:
        raise SubmissionError(f"{shown} has more than {MAX_TRACE_BYTES} bytes; record it with 'leaderboard trace'")
    try:
        return Trace.model_validate_json(raw)
    except ValidationError as error:
        raise SubmissionError(f"{shown}: {plain_problems(error)[0]}") from None


def trace_json(trace: Trace) -> str:
    """A trace as compact JSON that is also safe within a page's script element."""
    text = to_json(trace.model_dump(), separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
