"""Reading a model's answers. They are untrusted: everything but the expected numbers is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from scaffold_bench.scaffolds.vlm.model import MAX_ANSWER_CHARACTERS
from scaffold_bench.spec import FloatArray

HAND = "hand"
POINT_RANGE = 1000
"""Points in a picture are given from 0 to this, as Gemini was trained to."""
MAX_REACH = 3.0
"""A place is refused farther than this from the first keypoint, metres."""
MAX_START_ERROR = 0.05
"""The first waypoint is the present situation; it may be off by this much, metres, and is then put right."""


class AnswerError(ValueError):
    """An answer was refused; the message says why, in words that may be stored and shown."""


Coordinate = Annotated[float, Field(ge=-MAX_REACH, le=MAX_REACH, allow_inf_nan=False)]
Point = Annotated[float, Field(ge=0, le=POINT_RANGE, allow_inf_nan=False)]


class _Place(BaseModel, extra="ignore"):
    name: str = Field(max_length=200)
    point: tuple[Point, Point]


_PLACES: TypeAdapter[list[_Place]] = TypeAdapter(Annotated[list[_Place], Field(max_length=64)])
_POSITION: TypeAdapter[tuple[float, float, float]] = TypeAdapter(tuple[Coordinate, Coordinate, Coordinate])


def read_keypoints(text: str, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The place (u, v) of every keypoint, as fractions of the picture from its left and top.

    Raises:
        AnswerError: not a list of the wanted places with points from 0 to 1000.
    """
    try:
        places = _PLACES.validate_python(json_list(text))
    except ValidationError as error:
        raise AnswerError(first_mistake(error)) from None
    found: dict[str, tuple[float, float]] = {}
    for place in places:
        name = next((name for name in names if name.casefold() == place.name.strip().casefold()), None)
        if name in found:
            raise AnswerError(f"the answer has {name!r} twice")
        if name is not None:
            y, x = place.point
            found[name] = (x / POINT_RANGE, y / POINT_RANGE)
    if missing := [name for name in names if name not in found]:
        raise AnswerError(f"the answer lacks {', '.join(map(repr, missing))}")
    return found


def read_trajectory(
    text: str, names: Sequence[str], count: int, keypoints: FloatArray, hand: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The waypoints of every keypoint and of the hand, relative to the first keypoint's present place.

    Args:
        names: of the K keypoints. count: number N of waypoints wanted.
        keypoints: (K, 3) and hand: (3,) present places in the same frame; the first waypoint becomes these.

    Returns:
        (N, K, 3) and (N, 3), metres.

    Raises:
        AnswerError: another number of waypoints, a place missing or out of reach, or a wrong first waypoint.
    """
    waypoints = json_list(text)
    if len(waypoints) != count:
        raise AnswerError(f"the answer has {len(waypoints)} waypoints, {count} were asked for")
    wanted = [*names, HAND]
    result = np.empty((count, len(wanted), 3))
    for number, waypoint in enumerate(waypoints):
        if not isinstance(waypoint, dict):
            raise AnswerError(f"waypoint {number} is no object with the places' names")
        for column, name in enumerate(wanted):
            if name not in waypoint:
                raise AnswerError(f"waypoint {number} lacks {name!r}")
            try:
                result[number, column] = _POSITION.validate_python(waypoint[name])
            except ValidationError as error:
                raise AnswerError(f"waypoint {number}, {name!r}: {first_mistake(error)}") from None
    present = np.concatenate([keypoints, hand[None]])
    off = np.linalg.norm(result[0] - present, axis=1)
    worst = int(off.argmax())
    if off[worst] > MAX_START_ERROR:
        raise AnswerError(f"the first waypoint has {wanted[worst]!r} {100 * off[worst]:.0f} cm from where it is")
    result[0] = present
    return result[:, :-1], result[:, -1]


def json_list(text: str) -> list[Any]:
    """The JSON list in an answer, alone or within other text; the last one if there are several blocks of code.

    Raises:
        AnswerError: there is none.
    """
    text = text[:MAX_ANSWER_CHARACTERS]
    blocks = text.split("```")[1::2]  # what stands between fences
    for piece in (*reversed(blocks), text):
        begin, end = piece.find("["), piece.rfind("]")
        if begin < 0 or end < begin:
            continue
        try:
            found = json.loads(piece[begin : end + 1], parse_constant=_no_constant)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, list):
            return found
    raise AnswerError("the answer holds no " + ("whole and valid JSON list" if "[" in text else "JSON list"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def first_mistake(error: ValidationError) -> str:
    """The first complaint, without the input, which may be long or hostile."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"])
    return f"{where}: {first['msg']}"[:300] if where else str(first["msg"])[:300]
