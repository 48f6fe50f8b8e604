"""A planner that answers a vision-language model's two questions from the simulator's truth, with errors of its own.

It does not see. It is given what a model is given, the prompt and the picture, but it looks the picture up among
pictures of the frozen start states, and answers from the reference plan of the state it finds there. Its errors are
drawn at random, at rates that are ours and were measured on no model; only that examples help, and most with the
fridge, follows the paper. It exists to run everything around a model without one; its scores say nothing about what
any real model can do.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from scaffold_bench.control import wrist_rotation
from scaffold_bench.registration import get_task, make_env, start_states, task_ids
from scaffold_bench.scaffolds.lifting import project
from scaffold_bench.scaffolds.vlm.answers import MAX_REACH, POINT_RANGE
from scaffold_bench.scaffolds.vlm.prompting import waypoints_json
from scaffold_bench.types import CameraView, FloatArray, StartState

SPLITS = ("train", "eval")
PICTURE_SIZE, THUMBNAIL_SIZE = 128, 32
"""Sides of the pictures that are taken for the index and of what is kept of them, pixels."""
NEAR = 4.0
"""A picture shows the state with the nearest thumbnail if they differ by at most this, grey levels of 255, root mean
square. Measured: a state jittered as in a trial is within 3.2 of its own thumbnail, and on average 5 to 23 away from
the nearest other state's."""
INDEX_VERSION = 1
"""Part of the names of kept indexes; goes up when they are made in another way."""
DRIFT_KNOTS = 4
"""A wrong route wanders between this many random offsets, evenly spaced in time."""


@dataclass(frozen=True)
class ErrorRates:
    """How often what goes wrong: shares of answers from 0 to 1, unless a unit is given.

    The first seven are a planner's mistakes (:class:`SimulatedPlanner`), the others a service's and its model's
    (:class:`scaffold_bench.testing.FakeGemini`); at most one of those befalls an answer, the first that is drawn.

    Attributes:
        pixel_noise: standard deviation of every keypoint in the picture, thousandths of its side.
        wrong_keypoint: one keypoint is anywhere in the picture.
        waypoint_noise: standard deviation of the route's slow wandering, metres per axis.
        axis_flip: the motion is mirrored in x or in y; ``axis_flip_of`` for some tasks, by name.
        axis_flip_shown, axis_flip_shown_of: the same when the question shows examples. In the paper these lift
            the fridge's plans from 12 to 64 %.
        slow: the answer comes after ``slow_seconds`` only.
        closed: the connection closes without an answer.
        quota: 429. server_error: 500.
        blocked: the question is refused for safety. empty: an answer without text.
        truncated: the answer stops in the middle, for too many tokens.
        malformed: the answer is no JSON. not_finite: a number is NaN. wrong_count: a waypoint is missing.

    Raises:
        ValueError: a rate outside 0 to 1, or a negative or infinite quantity.
    """

    pixel_noise: float = 4.0
    wrong_keypoint: float = 0.05
    waypoint_noise: float = 0.01
    axis_flip: float = 0.05
    axis_flip_of: Mapping[str, float] = field(default_factory=lambda: {"fridge": 0.8})
    axis_flip_shown: float = 0.02
    axis_flip_shown_of: Mapping[str, float] = field(default_factory=lambda: {"fridge": 0.3})
    slow: float = 0.0
    slow_seconds: float = 60.0
    closed: float = 0.0
    quota: float = 0.0
    server_error: float = 0.0
    blocked: float = 0.0
    empty: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    not_finite: float = 0.0
    wrong_count: float = 0.0

    def __post_init__(self) -> None:
        quantities = ("pixel_noise", "waypoint_noise", "slow_seconds")
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            of_tasks = value.items() if isinstance(value, Mapping) else [("", value)]
            for task, number in of_tasks:
                what, limit = (f"{name}[{task!r}]" if task else name), math.inf if name in quantities else 1.0
                if not (math.isfinite(number) and 0 <= number <= limit):
                    wanted = "not negative and finite" if name in quantities else "from 0 to 1"
                    raise ValueError(f"{what} must be {wanted}, got {number}")

    @classmethod
    def none(cls, **rates: Any) -> ErrorRates:
        """No errors but those given, e.g. ``ErrorRates.none(quota=0.3)``."""
        nothing: dict[str, Any] = {
            "pixel_noise": 0.0,
            "wrong_keypoint": 0.0,
            "waypoint_noise": 0.0,
            "axis_flip": 0.0,
            "axis_flip_of": {},
            "axis_flip_shown": 0.0,
            "axis_flip_shown_of": {},
        }
        return cls(**{**nothing, **rates})

    def flip_of(self, task: str, shown: bool) -> float:
        """The rate of mirrored motions for a task; ``shown``: the question has examples."""
        if shown:
            return self.axis_flip_shown_of.get(task, self.axis_flip_shown)
        return self.axis_flip_of.get(task, self.axis_flip)


class Dice:
    """Random numbers for requests: a request has its own, whatever came before it, and others when it comes again.

    Args:
        seed: not negative.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._seed, self._seen, self._lock = seed, Counter[bytes](), threading.Lock()

    def throw(self, *request: bytes) -> np.random.Generator:
        """The generator for this request, counted as one more of its kind."""
        key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in request)).digest()
        with self._lock:
            count = self._seen[key]
            self._seen[key] += 1
        return np.random.default_rng([self._seed, count, int.from_bytes(key, "little")])


# ------------------------------------------------------------------------------------------------------- pictures
@dataclass(frozen=True)
class StateIndex:
    """Finds the start state a picture shows.

    Attributes:
        thumbnails: (S, 32, 32, 3) uint8. starts: the S states they show.
        camera: the view they are seen from; its picture is one pixel wide, so that pixels are shares of any picture.
    """

    thumbnails: npt.NDArray[np.uint8]
    starts: tuple[StartState, ...]
    camera: CameraView

    def nearest(self, image: bytes | None) -> StartState | None:
        """The state an image file shows; None if it is no image, or none of them."""
        if image is None:
            return None
        try:
            with Image.open(io.BytesIO(image)) as opened:
                seen = thumbnail(opened.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises on damaged files
            return None
        apart = np.sqrt(((self.thumbnails.astype(np.float32) - seen) ** 2).mean(axis=(1, 2, 3)))
        best = int(apart.argmin())
        return self.starts[best] if apart[best] <= NEAR else None


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Mean colours (32, 32, 3) uint8."""
    return np.asarray(image.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX), dtype=np.uint8)


def flat_camera(intrinsics: FloatArray, camera_to_world: FloatArray) -> CameraView:
    """A view (no picture) whose pixels (u, v) are shares of the picture, from 0 to 1.

    Args:
        intrinsics: (3, 3) for a picture one pixel wide. camera_to_world: (4, 4).
    """
    nothing = np.zeros((1, 1))
    return CameraView(
        rgb=np.zeros((1, 1, 3), np.uint8),
        depth=nothing.astype(np.float32),
        body=nothing.astype(np.int16),
        intrinsics=intrinsics,
        camera_to_world=camera_to_world,
    )


def build_index(task: str, starts: Sequence[StartState]) -> StateIndex:
    """Take a small picture of every state: 200 take 25 to 85 s (measured, two busy CPU cores without a GPU).

    Raises:
        ValueError: no states. RuntimeError: no Vulkan driver.
    """
    if not starts:
        raise ValueError(f"the index of {task} needs at least one start state")
    small = {"width": THUMBNAIL_SIZE, "height": THUMBNAIL_SIZE}  # the environment's own camera is not used
    env = make_env(task, render_mode="rgb_array", show_plan=False, human_render_camera_configs=small)
    try:
        thumbnails, camera = _look_at(env, starts)
    finally:
        env.close()
    return StateIndex(thumbnails, tuple(starts), camera)


def _look_at(env: Any, starts: Sequence[StartState]) -> tuple[npt.NDArray[np.uint8], CameraView]:
    """Thumbnails of states, and the view they are seen from; the camera is gone before the environment closes."""
    from scaffold_bench.envs.planner_camera import PlannerCamera

    camera = PlannerCamera(env.scene, env.task.spec.camera, PICTURE_SIZE)
    thumbnails = []
    for start in starts:
        env.reset(options={"start": start})
        view = camera.look([])
        thumbnails.append(thumbnail(Image.fromarray(view.rgb)))
    shares = np.diag([1 / PICTURE_SIZE, 1 / PICTURE_SIZE, 1.0]) @ view.intrinsics
    return np.stack(thumbnails), flat_camera(shares, view.camera_to_world)


def kept_index(folder: Path, task: str, starts: Sequence[StartState]) -> StateIndex:
    """:func:`build_index`, or what an earlier call with the same states and camera left in the folder.

    Delete the folder when the scenes look different.
    """
    facts = repr((INDEX_VERSION, PICTURE_SIZE, THUMBNAIL_SIZE, get_task(task).spec.camera))
    digest = hashlib.sha256(facts.encode())
    for start in starts:
        poses = [np.asarray(start.objects[name], dtype="<f8") for name in sorted(start.objects)]
        joints = np.array([start.joints[name] for name in sorted(start.joints)], dtype="<f8")
        digest.update(b"".join(part.tobytes() for part in (np.asarray(start.wrist, dtype="<f8"), *poses, joints)))
    path = folder / f"{task}-{digest.hexdigest()[:16]}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            thumbnails = file["thumbnails"]
            camera = flat_camera(file["intrinsics"], file["camera_to_world"])
        if thumbnails.shape == (len(starts), THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3) and thumbnails.dtype == np.uint8:
            return StateIndex(thumbnails, tuple(starts), camera)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # none yet, or a damaged one: it is made again
    index = build_index(task, starts)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            thumbnails=index.thumbnails,
            intrinsics=index.camera.intrinsics,
            camera_to_world=index.camera.camera_to_world,
        )
    partial.replace(path)
    return index


# ------------------------------------------------------------------------------------------------------- prompts
def kind_of(prompt: str) -> str:
    """Which question a prompt asks: "keypoints", "trajectory" or "other"."""
    if re.search(r"^Plan \d+ waypoints", prompt, re.MULTILINE):
        return "trajectory"
    return "keypoints" if '"point": [y, x]' in prompt else "other"


@dataclass(frozen=True)
class Asked:
    """What the second question says.

    Attributes:
        places: present place (3,) of every keypoint, by name; hand: (3,); metres relative to the first keypoint.
        count: number of waypoints wanted. arrive, move: waypoints at which the hand has arrived and things move.
        examples: how many are shown.
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
            ValueError: one is missing.
        """
        present = re.search(r"^Now these places are at:\n((?:- .+\n)+)The hand is at:\n(- .+)\n", prompt, re.MULTILINE)
        numbers = {
            name: re.search(pattern, prompt)
            for name, pattern in (
                ("count", r"Plan (\d+) waypoints"),
                ("arrive", r"arrive by waypoint (\d+)"),
                ("move", r"wait until waypoint (\d+)"),
            )
        }
        if present is None or any(found is None for found in numbers.values()):
            raise ValueError("the prompt does not say where things are and which waypoints are wanted")
        count, arrive, move = (int(found[1]) for found in numbers.values() if found is not None)
        if not (count >= 2 and 1 <= arrive < count and 1 <= move < count):
            raise ValueError(
                f"a plan of {count} waypoints with arrival at {arrive} and motion from {move} makes no sense"
            )
        return cls(
            places=dict(_place(line) for line in present[1].splitlines()),
            hand=_place(present[2])[1],
            count=count,
            arrive=arrive,
            move=move,
            examples=len(re.findall(r"^Example \d+:", prompt, re.MULTILINE)),
        )


def _place(line: str) -> tuple[str, FloatArray]:
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"- (.+): \[{number}, {number}, {number}\]", line)
    if found is None:
        raise ValueError(f"the prompt has no place in {line!r}")
    return found[1], np.array([float(found[index]) for index in (2, 3, 4)])


# ------------------------------------------------------------------------------------------------------- the planner
class SimulatedPlanner:
    """Answers both questions; see the top of this file. Any number of threads may call it.

    The same seed, question and picture get the same answer, and another one each time they are asked again.

    Args:
        rates: of a planner's mistakes; the defaults if None.
        seed: of all randomness.
        states: the frozen states that pictures may show, by split, e.g. ``{"eval": range(20)}``; all 200 if None.
        cache: a folder that keeps the indexes of pictures; None to make them anew.
        indexes: ready indexes, by task; others are made when a task is first asked about.
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
        self._indexes, self._lock, self._dice = dict(indexes or {}), threading.Lock(), Dice(seed)

    def prepare(self, tasks: Iterable[str]) -> None:
        """Make the indexes of these tasks now, so that no answer waits for :func:`build_index`."""
        for task in tasks:
            self._index_of(task)

    def __call__(self, prompt: str, image: bytes | None, model: str) -> str:
        """The answer's text.

        Args:
            prompt: either question. image: a file with the picture. model: whose answer is wanted.

        Raises:
            ValueError: the prompt is none of the two, or is about no registered task.
        """
        kind = kind_of(prompt)
        instruction = re.search(r"^Task: (.+)\.$", prompt, re.MULTILINE)
        if kind == "other" or instruction is None:
            raise ValueError("the simulated planner knows two questions, and this is neither")
        task = next((one for one in map(get_task, task_ids()) if one.spec.instruction == instruction[1]), None)
        if task is None:
            raise ValueError(f"the simulated planner knows no task {instruction[1]!r}")
        index = self._index_of(task.spec.name)
        start = index.nearest(image) or task.default_start()
        rng = self._dice.throw(prompt.encode(), image or b"", model.encode())
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
            raise ValueError(f"the prompt has the places {sorted(asked.places)}, {spec.name} has {spec.keypoints}")
        present = np.stack([asked.places[name] for name in spec.keypoints])
        reference = task.reference_waypoints(start)(asked.count)
        moves = reference.keypoints - reference.keypoints[0]
        # the hand is where the reference has it relative to the first keypoint, once it has arrived; before, it comes
        # from where the prompt has it
        hands = np.stack([wrist[:3] + wrist_rotation(wrist[3:]) @ spec.grasp_point for wrist in reference.wrist])
        hands += present[0] - reference.keypoints[0, 0]
        to_come = np.clip(1.0 - np.arange(asked.count) / asked.arrive, 0.0, 1.0)
        hands += to_come[:, None] * (asked.hand - hands[0])

        if rng.random() < self.rates.flip_of(spec.name, shown=asked.examples > 0):
            axis = int(rng.integers(2))
            moves[..., axis] *= -1
            hands[asked.move :, axis] = 2 * hands[asked.move, axis] - hands[asked.move :, axis]
        drift = self._drift(rng, asked.count, asked.move)
        moving = np.any(moves != 0, axis=(0, 2))  # what is fixed stays
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
