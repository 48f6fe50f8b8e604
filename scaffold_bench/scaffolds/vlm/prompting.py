"""The words of the two questions. The texts are in ``prompts/``; a task's own words come from its SPEC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

import numpy as np

from scaffold_bench.plan import CameraView, ScaffoldRequest
from scaffold_bench.scaffolds.lifting import project
from scaffold_bench.scaffolds.vlm.answers import HAND
from scaffold_bench.spec import CONTROL_DT, FloatArray

PROMPTS = Path(__file__).parent / "prompts"
DIGITS = 3  # millimetres
ARRIVE, MOVE = 0.15, 0.3
"""Shares of the plan at which the hand should have arrived and things begin to move."""
DIRECTIONS = ("right", "bottom", "left", "top")
SLANT = 0.3
"""An axis is said to point away from the viewer, or towards him, if its slope along the line of sight is above this."""


@dataclass(frozen=True)
class Example:
    """A plan that succeeded, in the words of the second question: metres relative to the first keypoint.

    Attributes:
        places: (K, 3), hand: (3,) at the start. keypoints: (N, K, 3), hands: (N, 3) its waypoints.
        state: the training state it was made for, which it is not shown for again; None if it is not known.
    """

    places: FloatArray
    hand: FloatArray
    keypoints: FloatArray
    hands: FloatArray
    state: int | None = None


@cache
def template(name: str) -> Template:
    """A text of ``prompts/``."""
    return Template((PROMPTS / f"{name}.txt").read_text(encoding="utf-8").strip())


def version() -> str:
    """Hash of all texts; part of a plan's provenance."""
    digest = hashlib.sha256()
    for file in sorted(PROMPTS.glob("*.txt")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def keypoint_prompt(request: ScaffoldRequest) -> str:
    """The first question."""
    hints = request.keypoint_hints or request.keypoint_names
    places = "\n".join(
        f"- {name}" if hint == name else f"- {name}: {hint}"
        for name, hint in zip(request.keypoint_names, hints, strict=True)
    )
    return template("keypoints").substitute(instruction=request.instruction, places=places)


def trajectory_prompt(
    request: ScaffoldRequest,
    view: CameraView,
    keypoints: FloatArray,
    hand: FloatArray,
    count: int,
    examples: Sequence[Example] = (),
) -> str:
    """The second question.

    Args:
        keypoints: (K, 3) world. hand: (3,) its grasp point, world. count: number N of waypoints.
        examples: plans that succeeded.
    """
    names, origin = request.keypoint_names, keypoints[0]
    shown = "".join(
        "\n"
        + template("example").substitute(
            number=number,
            places=_places(names, example.places),
            hand=_numbers(example.hand),
            waypoints=waypoints_json(names, example.keypoints, example.hands),
        )
        for number, example in enumerate(examples, 1)
    )
    return template("trajectory").substitute(
        instruction=request.instruction,
        motion=request.motion_hint,
        origin=names[0],
        axes=describe_axes(view, origin),
        places=_places(names, keypoints - origin),
        hand=_numbers(hand - origin),
        count=count,
        seconds=round(request.horizon * CONTROL_DT),
        arrive=max(1, round(ARRIVE * (count - 1))),
        move=max(1, round(MOVE * (count - 1))),
        examples=shown + "\n" if shown else "",
        format=", ".join(f'"{name}": [x, y, z]' for name in (*names, HAND)),
    )


def describe_axes(view: CameraView, origin: FloatArray) -> str:
    """Where the world's axes point in the picture, as seen at a place (3,)."""
    described = []
    for index, axis in enumerate("xy"):
        step = np.zeros(3)
        step[index] = 1.0
        here, there = project(view, np.stack([origin, origin + 0.1 * step]))
        angle = np.arctan2(there[1] - here[1], there[0] - here[0])
        first = DIRECTIONS[round(angle / (np.pi / 2)) % 4]
        slope = float(view.camera_to_world[:3, 2] @ step)
        depth = "" if abs(slope) < SLANT else " and away from the viewer" if slope > 0 else " and towards the viewer"
        described.append(f"+{axis} points to the {first} of the picture{depth}")
    return f"+z points up, against gravity; {'; '.join(described)}."


def waypoints_json(names: Sequence[str], keypoints: FloatArray, hands: FloatArray) -> str:
    """Waypoints (N, K, 3) and (N, 3) as the JSON list that is asked for."""
    rows = [
        dict(zip((*names, HAND), map(_rounded, (*places, hand)), strict=True))
        for places, hand in zip(keypoints, hands, strict=True)
    ]
    return json.dumps(rows)


def _rounded(point: FloatArray) -> list[float]:
    return [round(float(number), DIGITS) + 0.0 for number in point]


def _numbers(point: FloatArray) -> str:
    return "[" + ", ".join(f"{number:.{DIGITS}f}" for number in _rounded(point)) + "]"


def _places(names: Sequence[str], points: FloatArray) -> str:
    return "\n".join(f"- {name}: {_numbers(point)}" for name, point in zip(names, points, strict=True))
