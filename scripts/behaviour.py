"""Saves what the package computes and prints, to check that a change of structure changes nothing.

    python scripts/behaviour.py save before.json       # on the old tree
    python scripts/behaviour.py compare before.json    # on the new tree: lists what differs

Saved are hashes of the plan files and start states that ship with the package, of fresh oracle plans, of the
records of three policies on two states of every task, the fingerprint of the machine's bits, the help texts, and the
pages of the leaderboard. The records depend on the processor, so save and compare on one machine. The name
of a part begins with its kind; ``--only records`` checks one kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import gymnasium as gym
import tyro

import scaffold_bench

POLICIES = ("reference", "plan-grasp", "zoo:residual-ppo")
STATES = 2
COMMANDS = (
    "",
    *("doctor", "tasks", "evaluate", "view", "fake-gemini"),
    *("plans", *(f"plans {verb}" for verb in ("make", "show", "validate", "stats", "examples", "refine", "import"))),
    *("submit", *(f"submit {verb}" for verb in ("prepare", "validate", "verify"))),
    *("leaderboard", *(f"leaderboard {verb}" for verb in ("build", "trace"))),
)
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(scaffold_bench.__file__).parent


def digest(raw: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(raw).hexdigest()


def files() -> Iterator[tuple[str, str]]:
    """Plans, start states and weights that ship with the package."""
    for folder in ("plans", "states", "zoo"):
        for path in sorted((PACKAGE / folder).rglob("*.*")):
            yield f"files/{path.relative_to(PACKAGE).as_posix()}", digest(path.read_bytes())


def environments() -> Iterator[tuple[str, str]]:
    """First observation and plan of two states of every task, from ``gym.make`` and from ``gym.make_vec``."""
    for name in scaffold_bench.task_names():
        spec = scaffold_bench.task_spec(name)
        single = gym.make(spec.id, split="eval")
        batch = gym.make_vec(spec.id, num_envs=STATES, split="eval")
        seen, _ = batch.reset(seed=0, options={"state": list(range(STATES))})
        for state in range(STATES):
            observation, info = single.reset(seed=0, options={"state": state})
            yield f"environments/{name}/{state}/plan", single.unwrapped.scaffold.sha256  # type: ignore[attr-defined]
            yield f"environments/{name}/{state}/observation", digest(observation.tobytes())
            yield f"environments/{name}/{state}/batched", digest(seen[state].tobytes())
            yield f"environments/{name}/{state}/info", " ".join(info)
        yield f"environments/{name}/layout", str(single.unwrapped.observation_layout)  # type: ignore[attr-defined]
        yield f"environments/{name}/bounds", digest(single.observation_space.high.tobytes())  # type: ignore[attr-defined]
        single.close()
        batch.close()


def records() -> Iterator[tuple[str, str]]:
    """Records as they are written, summary and fingerprint."""
    for policy in POLICIES:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            results = scaffold_bench.evaluate(policy, states=STATES, trials=1, num_envs=STATES, out=out)
            for line in (out / "records.jsonl").read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                yield f"records/{policy}/{record['task']}/{record['state']}", digest(line.encode())
            yield f"records/{policy}/summary", digest((out / "summary.json").read_bytes())
            yield f"records/{policy}/numerics", str(results.manifest["numerics"])
            yield f"records/{policy}/manifest", " ".join(results.manifest)


def texts() -> Iterator[tuple[str, str]]:
    """Help texts."""
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    for command in COMMANDS:
        call = [sys.executable, "-m", "scaffold_bench", *command.split(), "--help"]
        run = subprocess.run(call, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
        yield f"texts/{command or 'scaffold-bench'}", run.stdout
    for script in ("residual_ppo.py", "plan_only.py", "reference.py"):
        call = [sys.executable, str(ROOT / "baselines" / script), "--help"]
        run = subprocess.run(call, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
        yield f"texts/{script}", run.stdout.replace(str(ROOT), "")


def pages() -> Iterator[tuple[str, str]]:
    """Pages of the leaderboard, made from the entries in the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-m", "scaffold_bench", "leaderboard", "build", "--out", f"{folder}/site"]
        subprocess.run([*call, "--cache", "None"], capture_output=True, cwd=ROOT, check=True)
        for path in sorted(Path(folder, "site").rglob("*")):
            if path.is_file():
                yield f"pages/{path.relative_to(Path(folder, 'site')).as_posix()}", digest(path.read_bytes())


KINDS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    one.__name__: one for one in (files, environments, records, texts, pages)
}


@dataclass
class Args:
    """Save or compare."""

    action: Annotated[str, tyro.conf.Positional]
    """save or compare"""
    path: Annotated[Path, tyro.conf.Positional]
    """the JSON file"""
    only: tuple[str, ...] = ()
    """kinds to look at: files, environments, records, texts, pages; all if none is given"""


def main(args: Args) -> int:
    """Save or compare; returns the exit code."""
    found = {name: value for kind in args.only or KINDS for name, value in KINDS[kind]()}
    if args.action == "save":
        args.path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{len(found)} parts saved in {args.path}")
        return 0
    before = json.loads(args.path.read_text(encoding="utf-8"))
    before = {name: value for name, value in before.items() if name.split("/")[0] in (args.only or KINDS)}
    differing = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
    for name in differing:
        what = "is new" if name not in before else "is missing" if name not in found else "differs"
        print(f"{name} {what}")
    print(f"{len(before) - len(differing)} of {len(before)} parts are unchanged")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Args, description=__doc__)))
