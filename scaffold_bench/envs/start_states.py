"""Frozen start states: 100 for training and 100 novel ones for evaluation per task, hashed, inside the package."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.spec import POSE_DIM, WRIST_DIM, FloatArray, StartState
from scaffold_bench.tasks.base import Task

FOLDER = Path(__file__).parent.parent / "states"
SPLITS = ("train", "eval")
STATES_PER_SPLIT = 100
MANIFEST = "manifest.json"


class StartStateError(RuntimeError):
    """A frozen state file is missing, damaged or not the one the manifest describes."""


class StartStates:
    """A read-only list of start states that knows its own hash.

    Args:
        states: the states; all have the same objects and joints.
        name: used in seeds and messages, e.g. ``"hammer/eval"``.
    """

    def __init__(self, states: Sequence[StartState], name: str) -> None:
        if not states:
            raise ValueError(f"{name}: no start states")
        self.name = name
        self._states = tuple(states)

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, index: int) -> StartState:
        return self._states[index]

    def __iter__(self) -> Iterator[StartState]:
        return iter(self._states)

    def arrays(self) -> dict[str, FloatArray]:
        """The states as float64 arrays: ``wrist`` (S, 6), ``object:<name>`` (S, 7), ``joint:<name>`` (S,)."""
        first = self._states[0]
        columns = {"wrist": np.stack([state.wrist for state in self._states])}
        for name in sorted(first.objects):
            columns[f"object:{name}"] = np.stack([state.objects[name] for state in self._states])
        for name in sorted(first.joints):
            columns[f"joint:{name}"] = np.array([state.joints[name] for state in self._states])
        return {key: np.ascontiguousarray(value, dtype="<f8") for key, value in columns.items()}

    @property
    def sha256(self) -> str:
        """Hash of the numbers (not of the file, whose compression may vary)."""
        digest = hashlib.sha256()
        for key, value in sorted(self.arrays().items()):
            digest.update(f"{key}{value.shape}".encode())
            digest.update(value.tobytes())
        return digest.hexdigest()

    def trial_seed(self, state: int, trial: int) -> int:
        """The seed of one evaluation trial: it jitters the start and drives a stochastic policy's sampling."""
        if trial < 0:
            raise ValueError(f"trial must not be negative, got {trial}")
        digest = hashlib.sha256(f"{self.name}|{state}|{trial}".encode()).digest()
        return int.from_bytes(digest[:4], "little") >> 1  # fits every library's idea of a seed

    def save(self, path: Path) -> None:
        """Write a ``.npz`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, **self.arrays())  # type: ignore[arg-type]  # numpy types savez's keywords as bool

    @classmethod
    def load(cls, path: Path, name: str) -> StartStates:
        """Read a ``.npz`` file written by :meth:`save`.

        Raises:
            StartStateError: the file is missing or unreadable.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                columns = {key: file[key] for key in file.files}
            objects = {
                key.removeprefix("object:"): value for key, value in columns.items() if key.startswith("object:")
            }
            joints = {key.removeprefix("joint:"): value for key, value in columns.items() if key.startswith("joint:")}
            states = [
                StartState(
                    wrist,
                    {key: value[i] for key, value in objects.items()},
                    {key: float(value[i]) for key, value in joints.items()},
                )
                for i, wrist in enumerate(columns["wrist"])
            ]
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StartStateError(
                f"cannot read the start states {path.name} ({error}); reinstall scaffold-bench, or make them with "
                "scripts/make_states.py"
            ) from error
        return cls(states, name)


def check_start_options(task: Task, states: StartStates | None, options: Mapping[str, Any]) -> None:
    """Refuse reset options that give no usable start state.

    Raises:
        ValueError: says which option, and what it may be.
    """
    if (start := options.get("start")) is not None:
        if options.get("state") is not None or options.get("trial") is not None:
            raise ValueError('options["start"] gives the whole start state; leave "state" and "trial" out')
        _check_start(task.default_start(), start)
    if (index := options.get("state")) is not None:
        if states is None:
            raise ValueError('options["state"] needs a frozen split; this environment was made with split="fresh"')
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < len(states):
            raise ValueError(f'options["state"] must be an index from 0 to {len(states) - 1}, got {index!r}')
    if (trial := options.get("trial")) is not None:
        if isinstance(trial, bool) or not isinstance(trial, int | np.integer) or trial < 0:
            raise ValueError(f'options["trial"] must be a whole number from 0 on, got {trial!r}')
        if index is None:
            raise ValueError('options["trial"] jitters a frozen state; say which one with options["state"]')


def _check_start(default: StartState, start: Any) -> None:
    """Refuse a start state of another make than the task's default one."""
    if not isinstance(start, StartState):
        raise ValueError(f'options["start"] must be a StartState, got {type(start).__name__}')
    for name in ("objects", "joints"):
        if set(getattr(start, name)) != set(getattr(default, name)):
            raise ValueError(f'options["start"] must have the {name} {sorted(getattr(default, name))}')
    numbers = {"wrist": (start.wrist, WRIST_DIM), **{name: (pose, POSE_DIM) for name, pose in start.objects.items()}}
    for name, (values, size) in numbers.items():
        if np.shape(values) != (size,) or not np.isfinite(values).all():
            raise ValueError(f'options["start"]: {name} must be {size} finite numbers')


def choose_start(
    task: Task, states: StartStates | None, rng: np.random.Generator, options: Mapping[str, Any]
) -> tuple[StartState, int | None]:
    """The start of one episode, and its index in the frozen set if it comes from there.

    Args:
        task: the task object, which draws and jitters.
        states: the frozen states of the split, or None to draw a fresh one.
        rng: the environment's generator.
        options: ``start`` gives the state itself, ``state`` picks one by index, ``trial`` jitters it reproducibly.

    Raises:
        ValueError: there is no such state.
    """
    check_start_options(task, states, options)
    if (start := options.get("start")) is not None:
        return start, None
    if states is None:
        return task.sample_start(rng), None
    index = options.get("state")
    index = int(rng.integers(len(states)) if index is None else index)
    start = states[index]
    if (trial := options.get("trial")) is not None:
        start = task.jitter_start(start, np.random.default_rng(states.trial_seed(index, int(trial))))
    return start, index


def generated_states(task: Task, split: str, count: int = STATES_PER_SPLIT) -> StartStates:
    """Draw a split's states from a fixed seed: how the frozen files were made, and what outside tasks get.

    Args:
        task: the task object. split: "train" or "eval". count: number of states.
    """
    name = f"{task.spec.name}/{split}"
    seed = int.from_bytes(hashlib.sha256(f"scaffold_bench start states 0|{name}".encode()).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    return StartStates([task.sample_start(rng) for _ in range(count)], name)


def frozen_states(task: str, split: str, folder: Path = FOLDER) -> StartStates:
    """Load a task's frozen states and check them against the manifest's hash.

    Raises:
        StartStateError: missing, damaged or different states.
    """
    states = StartStates.load(folder / f"{task}-{split}.npz", f"{task}/{split}")
    try:
        expected = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))[f"{task}-{split}"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartStateError(f"cannot read the hash of {task}-{split} ({error}); reinstall scaffold-bench") from error
    if states.sha256 != expected:
        raise StartStateError(
            f"the start states {task}-{split} do not match their hash in {MANIFEST}; reinstall scaffold-bench"
        )
    return states
