"""How long ``submit validate`` takes for a full submission, and ``leaderboard build`` for twenty of them.

    OMP_NUM_THREADS=1 python benchmarks/leaderboard.py

A full submission has 8 tasks x 3 training seeds x 100 states x 20 trials. The rows are those of
the committed entry ``reference-full``, three times, with some episodes made to fail; every submission has other rows.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.leaderboard.build import build
from scaffold_bench.submissions import About, Submission, prepare, validate
from scaffold_bench.types import EpisodeRecord

KEPT = Path(__file__).parents[1] / "leaderboard" / "submissions" / "reference-full"
SEEDS, SUBMISSIONS, FAILING = 3, 20, 0.2


def manifest(submission: Submission) -> dict[str, Any]:
    """The manifest of the evaluation behind a submission, with a made-up policy."""
    evaluated, protocol = submission.evaluated, submission.protocol
    return {
        "policy": "made_up:Policy",
        "policy_source": None,
        "tasks": list(submission.env_ids.values()),
        "scaffolds": submission.plans.provider,
        "plans": None,
        "split": protocol.split,
        "states": protocol.states,
        "trials": protocol.trials,
        "backend": submission.backend,
        "start_states": submission.start_states,
        "versions": evaluated.versions,
        "source": {"commit": evaluated.commits[0], "dirty": evaluated.dirty},
        "hardware": {"cpu": "none", "cores": 1, "system": "none", "machine": "none"},
        "date": evaluated.date,
    }


def made_up_run(folder: Path, facts: dict[str, Any], records: list[EpisodeRecord], rng: np.random.Generator) -> Path:
    """Write the run of a policy that fails in some episodes; returns its folder."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for record in records:
            row = {name: value for name, value in asdict(record).items() if value is not None}
            row["reward"] += rng.normal()
            if row["success_once"] and rng.random() < FAILING:
                failure = "task" if row["tracked_fraction"] == 1 else "tracking"
                row |= {"success_once": False, "success_at_end": False, "first_success": -1, "failure": failure}
            file.write(json.dumps(row, sort_keys=True) + "\n")
    return folder


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took; worker processes count in the wall-clock time only."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what}: {wall:.2f} s of wall-clock time, {processor:.2f} s of processor time in this process", flush=True)


def main() -> None:
    kept = validate(KEPT)
    assert kept.submission is not None
    facts, workers = manifest(kept.submission), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        for number in range(SUBMISSIONS):
            runs = [made_up_run(folder / f"{number}-{seed}", facts, kept.runs[0], rng) for seed in range(SEEDS)]
            about = About(name=f"Method {number}", training_seeds=tuple(range(SEEDS)))
            prepare(runs, folder / "submissions" / f"method-{number}", about)
        for _ in range(3):
            with timed(f"validate {sum(map(len, kept.runs)) * SEEDS} rows"):
                assert validate(folder / "submissions" / "method-0").ok
        for state in ("empty", "full"):
            with timed(f"build {SUBMISSIONS} submissions, {workers} workers, {state} cache"):
                made = build(folder / "submissions", folder / "site", workers=workers, cache=folder / "cache")
        print(f"site: {made.pages} pages, {made.bytes / 1e6:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process, preparing included: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
