"""Plans that succeeded, kept to be shown to a model with its next question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from scaffold_bench.files import write_atomically
from scaffold_bench.scaffolds.vlm.answers import Coordinate, first_mistake
from scaffold_bench.scaffolds.vlm.prompting import Example

BEST = 10
"""Examples kept per task (paper, 4.1: three of the ten best are shown)."""
MAX_BYTES = 16 * 2**20

_Position = tuple[Coordinate, Coordinate, Coordinate]


class _Example(BaseModel, extra="forbid"):
    places: list[_Position] = Field(min_length=1, max_length=64)
    hand: _Position
    keypoints: list[list[_Position]] = Field(min_length=2, max_length=301)
    hands: list[_Position] = Field(min_length=2, max_length=301)
    state: int
    success: float


class _Examples(BaseModel, extra="forbid"):
    format: str
    source: dict[str, str]
    tasks: dict[str, Annotated[list[_Example], Field(max_length=100)]]


def save_examples(
    path: Path, examples: Mapping[str, Sequence[tuple[Example, int, float]]], source: Mapping[str, str]
) -> None:
    """Write examples: for each task those with their training state and measured success, and where they are from."""

    def rounded(values: Any) -> Any:
        return np.round(np.asarray(values, dtype=np.float64), 4).tolist()

    facts = {
        "format": "scaffold_bench examples 1",
        "source": dict(source),
        "tasks": {
            task: [
                {
                    **{name: rounded(getattr(one, name)) for name in ("places", "hand", "keypoints", "hands")},
                    "state": state,
                    "success": success,
                }
                for one, state, success in of_task
            ]
            for task, of_task in examples.items()
        },
    }
    write_atomically(path, json.dumps(facts) + "\n")


def load_examples(path: Path) -> dict[str, list[Example]]:
    """Read examples.

    Raises:
        ValueError: the file is missing, too large or not one of examples.
    """
    if not path.is_file():
        raise ValueError(f"there are no examples at {path}; 'scaffold-bench plans examples' makes them")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES // 2**20} MiB and no file of examples")
    try:
        read = _Examples.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is no file of examples ({first_mistake(error)})") from None
    result: dict[str, list[Example]] = {}
    for task, of_task in read.tasks.items():
        for one in of_task:
            keypoints, hands, places = np.array(one.keypoints), np.array(one.hands), np.array(one.places)
            if keypoints.shape != (len(hands), len(places), 3):
                raise ValueError(f"{path}: an example for {task} has keypoints of shape {keypoints.shape}")
            result.setdefault(task, []).append(Example(places, np.array(one.hand), keypoints, hands, one.state))
    return result
