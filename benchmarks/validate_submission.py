"""How long ``submit validate`` takes for a full submission: 8 tasks x 3 training seeds x 100 states x 20 trials.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/validate_submission.py

The rows are the kept reference evaluation's, three times, with some episodes made to fail.
"""

from __future__ import annotations

import gzip
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from scaffold_bench.leaderboard import About, prepare, validate

KEPT = Path(__file__).parents[1] / "leaderboard" / "reference"
SEEDS, REPEATS, FAILING = 3, 3, 0.2


def made_up_run(folder: Path, rng: np.random.Generator) -> Path:
    """A run of a policy that fails now and then."""
    folder.mkdir()
    manifest = json.loads((KEPT / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "policy": "made_up:Policy"}), encoding="utf-8")
    rows = [json.loads(line) for line in gzip.decompress((KEPT / "records.jsonl.gz").read_bytes()).splitlines()]
    for row in rows:
        row["reward"] += rng.normal()
        if row["success_once"] and rng.random() < FAILING:
            failure = "task" if row["tracked_fraction"] == 1 else "tracking"
            row |= {"success_once": False, "success_at_end": False, "first_success": -1, "failure": failure}
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    (folder / "records.jsonl").write_text(lines, encoding="utf-8")
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        runs = [made_up_run(folder / str(seed), rng) for seed in range(SEEDS)]
        prepare(runs, folder / "submission", About(training_seeds=tuple(range(SEEDS))))
        for _ in range(REPEATS):
            wall, processor = time.perf_counter(), time.process_time()
            report = validate(folder / "submission")
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            rows = sum(map(len, report.runs))
            print(f"{rows} rows: {wall:.2f} s, of them {processor:.2f} s on the processor; valid: {report.ok}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process, preparing included: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
