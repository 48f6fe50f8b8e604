"""Small made-up runs and submissions, in moments and without a simulator."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.files import actor_files, hash_of_files
from scaffold_bench.submissions import CURRENT, SUITES, About, prepare
from scaffold_bench.submissions.model import RECORDS as ROWS
from scaffold_bench.submissions.suite import trial_seed

TASKS, STATES, TRIALS = ("hammer", "pliers"), 3, 2


def row(task: str, state: int, trial: int, rng: np.random.Generator) -> dict[str, Any]:
    """A record of a random outcome."""
    solved, tracked = bool(rng.random() < 0.6), bool(rng.random() < 0.7)
    return {
        "task": task,
        "env_id": SUITES[CURRENT].env_ids[task],
        "split": "eval",
        "state": state,
        "trial": trial,
        "seed": trial_seed(task, state, trial),
        "success_once": solved,
        "success_at_end": solved,
        "first_success": 120 if solved else -1,
        "length": 300,
        "tracking_error_mean": rng.uniform(0.001, 0.02),
        "tracking_error_max": rng.uniform(0.03, 0.05),
        "tracked_fraction": 1.0 if tracked else rng.uniform(0.2, 0.9),
        "tips_in_contact": rng.uniform(0, 4),
        "grip_force": rng.uniform(0, 20),
        "reward": rng.uniform(100, 500),
        "measures": {"height": rng.uniform(), "angle": rng.uniform()},
        "failure": "" if solved else "task" if tracked else "tracking",
        "plan": f"{rng.integers(2**63):016x}",
        "lost_step": -1 if tracked else 130,
        "contact_step": 80,
        "leave_step": 100,
        "keypoint_error": rng.uniform(0, 0.01),
    }


def manifest(policy: str = "mine:Policy", **changes: Any) -> dict[str, Any]:
    """A manifest as an evaluation writes it."""
    suite = SUITES[CURRENT]
    return {
        "policy": policy,
        "policy_source": "ab" * 32,
        "tasks": [suite.env_ids[task] for task in TASKS],
        "scaffolds": "oracle",
        "plans": None,
        "split": "eval",
        "states": STATES,
        "trials": TRIALS,
        "backend": "physx_cpu",
        "start_states": {task: suite.start_states[task] for task in TASKS},
        "versions": {"python": "3.11.7", "scaffold-bench": "0.1.0", "torch": "2.13.0+cpu"},
        "source": {"commit": "0123456789" * 4, "dirty": False},
        "hardware": {"cpu": "some cpu", "cores": 2, "system": "Linux", "machine": "x86_64"},
        "command": ["scaffold-bench", "evaluate"],
        "date": "2026-01-02T03:04:05Z",
        **changes,
    }


def make_run(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A finished run in a folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = [row(task, state, trial, rng) for task in TASKS for state in range(STATES) for trial in range(TRIALS)]
    (folder / "manifest.json").write_text(json.dumps(manifest(**changes)))
    (folder / "records.jsonl").write_text("".join(json.dumps(one, sort_keys=True) + "\n" for one in rows))
    return folder


def make_submission(folder: Path, seeds: int = 2, **about: Any) -> Path:
    """A valid submission of a policy that is code from elsewhere."""
    runs = [make_run(folder / f"run-{seed}", seed) for seed in range(seeds)]
    prepare(runs, folder / "mine", About(name="Mine", training_seeds=tuple(range(seeds)), **about))
    return folder / "mine"


def write_actor(path: Path, about: dict[str, Any] | None = None, inputs: int = 4) -> None:
    """A tiny safetensors file, written by hand."""
    values = np.arange(inputs, dtype="<f4")
    header: dict[str, Any] = {"mean": {"dtype": "F32", "shape": [inputs], "data_offsets": [0, values.nbytes]}}
    if about is not None:
        header["__metadata__"] = {"about": json.dumps(about)}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + values.tobytes())


def make_actor_submission(folder: Path, seeds: tuple[int, ...] = (5, 6)) -> Path:
    """A valid submission with a stored actor for each training seed."""
    runs = []
    for seed in seeds:
        actors = folder / f"actor-{seed}"
        for task in TASKS:
            write_actor(actors / f"{task}.safetensors", {"seed": seed, "steps": 1000, "minutes": 30.0})
        source = hash_of_files(actor_files(actors))
        runs.append(make_run(folder / f"run-{seed}", seed, policy=f"file:{actors}", policy_source=source))
    prepare(runs, folder / "actor")
    return folder / "actor"


def lines_of(submission: Path) -> list[str]:
    """The rows of a submission."""
    return gzip.decompress((submission / ROWS).read_bytes()).decode().splitlines()


def write_lines(submission: Path, lines: list[str], declare: bool = True) -> None:
    """Replace the rows; ``declare`` makes their hash and number the declared ones."""
    raw = "".join(f"{line}\n" for line in lines).encode()
    (submission / ROWS).write_bytes(gzip.compress(raw, mtime=0))
    if declare:
        with edited(submission) as told:
            told["records"]["sha256"] = hashlib.sha256(raw).hexdigest()


class edited:  # noqa: N801  # reads as a verb
    """Changes ``submission.json`` within a with-block."""

    def __init__(self, submission: Path) -> None:
        self.path = submission / "submission.json"

    def __enter__(self) -> dict[str, Any]:
        self.told: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return self.told

    def __exit__(self, *_: object) -> None:
        self.path.write_text(json.dumps(self.told), encoding="utf-8")


def make_trace(path: Path, count: int = 40, **changes: Any) -> dict[str, Any]:
    """A recorded episode of a cube that falls beside its plan, written to a file."""
    corners = [[x, y, z] for x in (-300, 300) for y in (-300, 300) for z in (-300, 300)]
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    told = {
        "format": 1,
        "method": "",
        "policy": "reference",
        "task": "hammer",
        "env_id": "Scaffold-Hammer-v0",
        "instruction": "Fall",
        "state": 0,
        "trial": 1,
        "success": True,
        "threshold": 800,
        "seconds": 0.05,
        "eye": [5000, 0, 3000],
        "target": [0, 0, 1000],
        "keypoint_names": ["corner"],
        "bodies": [{"name": "cube", "kind": "object", "vertices": corners, "faces": faces}],
        "frames": [
            {
                "wrist": [0, 0, 2000, 10000, 0, 0, 0],
                "tips": [[0, 0, 1500]] * 4,
                "keypoints": [[0, 0, 2000 - 30 * step]],
                "planned": [[0, 400, 2000 - 30 * step]],
                "poses": [[0, 0, 2000 - 30 * step, 10000, 0, 0, 0]],
                "solved": step > count // 2,
            }
            for step in range(count)
        ],
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told), encoding="utf-8")
    return told
