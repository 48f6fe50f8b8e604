"""A planner that answers a vision-language model's two questions from the simulator's truth, with errors of its own.

It does not understand pictures. It is given what a model is given, the prompt and the picture, but it looks the picture
up among pictures of the frozen start states, and answers from the reference plan of the state that it finds. Its errors
are random, at rates that are ours and were measured on no model; only that examples help, and most with the fridge,
follows the paper. It serves to run everything around a model without one; its scores say nothing about any real model.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.control import wrist_rotation
from scaffold_bench.plan import CameraView
from scaffold_bench.registration import get_task, start_states, task_ids
from scaffold_bench.scaffolds.lifting import project
from scaffold_bench.scaffolds.vlm.answers import MAX_REACH, POINT_RANGE
from scaffold_bench.scaffolds.vlm.prompting import waypoints_json
from scaffold_bench.spec import FloatArray, StartState
from scaffold_bench.synthetic_planner.faults import ErrorRates, RequestRandom
from scaffold_bench.synthetic_planner.pictures import SPLITS, StateIndex, build_index, kept_index

DRIFT_KNOTS = 4
"""A wrong path drifts between this many random offsets, evenly spaced in time."""


# ------------------------------------------------------------------------------------------------------- prompts
def kind_of(prompt: str) -> str:
    """Which question a prompt asks: "keypoints", "trajectory" or "other"."""
    if re.search(r"^Plan \d+ waypoints", prompt, re.MULTILINE):
        return "trajectory"
    return "keypoints" if '"point": [y, x]' in prompt else "other"


@dataclass(frozen=True)
class Asked:
    """What the second question asks.

    Attributes:
        places: present place (3,) of every keypoint, by name, metres relative to the first keypoint.
        hand: present place (3,) of the hand, likewise.
        count: number of waypoints that are asked for.
        arrive, move: waypoints at which the hand has arrived and at which objects begin to move.
        examples: number of examples that are shown.
    """

    places: Mapping[str, FloatArray]
    hand: FloatArray
    count: int
    arrive: int
    move: int
    examples: int

    @classmethod
    def read(cls, prompt: str) -> Asked:
        """Find the numbers in the prompt.

        Raises:
            ValueError: a number is missing or out of range.
        """
        present = re.search(r"^Now these places are at:\n((?:- .+\n)+)The hand is at:\n(- .+)\n", prompt, re.MULTILINE)
        patterns = (r"Plan (\d+) waypoints", r"arrive by waypoint (\d+)", r"wait until waypoint (\d+)")
        numbers = [int(found[1]) for found in (re.search(pattern, prompt) for pattern in patterns) if found]
        if present is None or len(numbers) < len(patterns):
            raise ValueError("the prompt does not give the present places and the numbers of waypoints")
        count, arrive, move = numbers
        if not (count >= 2 and 1 <= arrive < count and 1 <= move < count):
            raise ValueError(
                f"the prompt asks for {count} waypoints, arrival at {arrive} and motion from {move}; a plan has "
                "at least 2 waypoints, and both come after the first"
            )
        places = dict(_place(line) for line in present[1].splitlines())
        examples = len(re.findall(r"^Example \d+:", prompt, re.MULTILINE))
        return cls(places, _place(present[2])[1], count, arrive, move, examples)


def _place(line: str) -> tuple[str, FloatArray]:
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"- (.+): \[{number}, {number}, {number}\]", line)
    if found is None:
        raise ValueError(f"the prompt gives no place in the line {line!r}; expected '- name: [x, y, z]'")
    return found[1], np.array([float(found[index]) for index in (2, 3, 4)])


# ------------------------------------------------------------------------------------------------------- the planner
class SimulatedPlanner:
    """Answers both questions; see the top of this file. Any number of threads may call it.

    The same seed, question and picture give the same answer in every run; a repeated question gets another one.

    Args:
        rates: how often it makes each error; the defaults if None.
        seed: of all randomness.
        states: the frozen states that pictures may show, by split, e.g. ``{"eval": range(20)}``; all 200 if None.
        cache: a folder that keeps the indexes of pictures; None to make them again.
        indexes: indexes that exist already, by task; others are made when a task is first asked about.
    """

    def __init__(
        self,
        rates: ErrorRates | None = None,
        seed: int = 0,
        states: Mapping[str, Sequence[int]] | None = None,
        cache: Path | None = None,
        indexes: Mapping[str, StateIndex] | None = None,
    ) -> None:
        if unknown := set(states or {}) - set(SPLITS):
            raise ValueError(f"there are no frozen states of {sorted(unknown)}; the splits are {', '.join(SPLITS)}")
        self.rates, self._states, self._cache = rates or ErrorRates(), states, cache
        self._indexes, self._lock, self._random = dict(indexes or {}), threading.Lock(), RequestRandom(seed)

    def prepare(self, tasks: Iterable[str]) -> None:
        """Make the indexes of these tasks now, so that no answer waits for :func:`build_index`."""
        for task in tasks:
            self._index_of(task)

    def __call__(self, prompt: str, image: bytes | None, model: str) -> str:
        """The text of the answer to one of the two questions, asked with a picture file (or None) of a named model.

        Raises:
            ValueError: the prompt is neither question, or its task is not registered.
        """
        kind = kind_of(prompt)
        instruction = re.search(r"^Task: (.+)\.$", prompt, re.MULTILINE)
        if kind == "other" or instruction is None:
            raise ValueError(
                "the synthetic planner answers the two questions of the vlm planner only; the prompt is neither"
            )
        task = next((one for one in map(get_task, task_ids()) if one.spec.instruction == instruction[1]), None)
        if task is None:
            raise ValueError(f"the synthetic planner knows no task with the instruction {instruction[1]!r}")
        index = self._index_of(task.spec.name)
        start = index.nearest(image) or task.default_start()
        rng = self._random.generator(prompt.encode(), image or b"", model.encode())
        return (
            self._point(task, start, index.camera, rng) if kind == "keypoints" else self._plan(task, start, prompt, rng)
        )

    def _index_of(self, task: str) -> StateIndex:
        with self._lock:
            if task not in self._indexes:
                wanted = dict.fromkeys(SPLITS) if self._states is None else self._states
                starts: list[StartState] = []
                for split, numbers in wanted.items():
                    frozen = start_states(get_task(task), split)
                    assert frozen is not None  # only "fresh" has none
                    starts += list(frozen) if numbers is None else [frozen[number] for number in numbers]
                made = build_index(task, starts) if self._cache is None else kept_index(self._cache, task, starts)
                self._indexes[task] = made
            return self._indexes[task]

    def _point(self, task: Any, start: StartState, camera: CameraView, rng: np.random.Generator) -> str:
        """The answer to the first question: the reference's keypoints in the picture."""
        names = task.spec.keypoints
        points = project(camera, task.reference_plan(start).keypoints[0]) * POINT_RANGE
        points = np.nan_to_num(points, nan=POINT_RANGE / 2)  # behind the camera
        points += rng.normal(0.0, self.rates.pixel_noise, points.shape)
        if rng.random() < self.rates.wrong_keypoint:
            points[rng.integers(len(points))] = rng.uniform(0, POINT_RANGE, 2)
        rounded = np.clip(points.round(), 0, POINT_RANGE).astype(int).tolist()
        return json.dumps([{"name": name, "point": [v, u]} for name, (u, v) in zip(names, rounded, strict=True)])

    def _plan(self, task: Any, start: StartState, prompt: str, rng: np.random.Generator) -> str:
        """The answer to the second question: the reference's motion, from where the prompt says that things are."""
        spec, asked = task.spec, Asked.read(prompt)
        if set(asked.places) != set(spec.keypoints):
            raise ValueError(f"the prompt names the places {sorted(asked.places)}; {spec.name} has {spec.keypoints}")
        present = np.stack([asked.places[name] for name in spec.keypoints])
        reference = task.reference_waypoints(start)(asked.count)
        moves = reference.keypoints - reference.keypoints[0]
        # from its arrival on, the hand has the reference's place relative to the first keypoint; before, it approaches
        # from the place in the prompt
        hands = np.stack([wrist[:3] + wrist_rotation(wrist[3:]) @ spec.grasp_point for wrist in reference.wrist])
        hands += present[0] - reference.keypoints[0, 0]
        to_come = np.clip(1.0 - np.arange(asked.count) / asked.arrive, 0.0, 1.0)
        hands += to_come[:, None] * (asked.hand - hands[0])

        if rng.random() < self.rates.flip_of(spec.name, shown=asked.examples > 0):
            axis = int(rng.integers(2))
            moves[..., axis] *= -1
            hands[asked.move :, axis] = 2 * hands[asked.move, axis] - hands[asked.move :, axis]
        drift = self._drift(rng, asked.count, asked.move)
        moving = np.any(moves != 0, axis=(0, 2))  # fixed keypoints do not drift
        places = present + moves + drift[:, None] * moving[:, None]
        hands += drift + self._drift(rng, asked.count, 0)
        hands[0] = asked.hand
        within = (np.clip(values, -MAX_REACH, MAX_REACH) for values in (places, hands))
        return f"```json\n{waypoints_json(spec.keypoints, *within)}\n```"

    def _drift(self, rng: np.random.Generator, count: int, begin: int) -> FloatArray:
        """Smooth random offsets (N, 3), metres; none up to the waypoint ``begin``."""
        knots = np.linspace(begin, max(count - 1, begin + 1), DRIFT_KNOTS)
        values = rng.normal(0.0, self.rates.waypoint_noise, (DRIFT_KNOTS, 3))
        values[0] = 0.0
        return np.stack([np.interp(np.arange(count), knots, column) for column in values.T], axis=-1)
