"""Make ``docs/results.md`` and the README's score table from the evaluations kept in ``leaderboard/``.

    python scripts/make_results.py [--check]
    python scripts/make_results.py --keep runs/reference leaderboard/reference   # compress a run into the repository

Every number is recomputed from the records; a summary that disagrees with them is refused.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from scaffold_bench.evaluation.records import MANIFEST, RECORDS, SUMMARY, parse_record
from scaffold_bench.metrics import summarize

ROOT = Path(__file__).parents[1]
BOARD, PAGE, README = ROOT / "leaderboard", ROOT / "docs" / "results.md", ROOT / "README.md"
BEGIN, END = "<!-- scores: made by scripts/make_results.py -->", "<!-- end of scores -->"


INTRODUCTION = """<!-- Made by scripts/make_results.py; do not edit. -->

# Results

Success in %, with a 95 % bootstrap interval over start states and then trials. *Success once* is the headline: the
criterion held at some step; *at end*: at the last. *Tracked* is the share of steps with every keypoint within the
task's threshold of its plan, *tips* the mean number of fingertips on the task's bodies while any touches, *grip* the
mean of the largest fingertip force then. Failures: *tracking* (the plan was not followed) or *task* (followed, yet not
solved). The records behind every number are in [leaderboard](../leaderboard).

"""


def keep(run: Path, target: Path) -> None:
    """Copy a finished run's files, the records compressed without a time stamp."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (MANIFEST, SUMMARY):
        shutil.copyfile(run / name, target / name)
    (target / f"{RECORDS}.gz").write_bytes(gzip.compress((run / RECORDS).read_bytes(), 9, mtime=0))


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and summary of a kept run, checked against its records."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    lines = gzip.decompress((folder / f"{RECORDS}.gz").read_bytes()).decode("utf-8").splitlines()
    records = [parse_record(line) for line in lines]
    if json.loads(json.dumps(summarize(records))) != summary:
        sys.exit(f"{folder}: the summary does not follow from the records")
    expected = len(manifest["tasks"]) * manifest["states"] * manifest["trials"]
    if len({record.key for record in records}) != expected or len(records) != expected:
        sys.exit(f"{folder}: {len(records)} records, expected {expected}")
    return manifest, summary


def share(part: dict[str, float]) -> str:
    return f"{100 * part['mean']:.1f} [{100 * part['low']:.1f}, {100 * part['high']:.1f}]"


def section(manifest: dict[str, Any], summary: dict[str, Any]) -> str:
    """The Markdown of one run: the table, then what, where and when."""
    columns = ("task", "success once", "success at end", "tracking error", "tracked", "tips", "grip", "failures")
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for name, task in summary["tasks"].items():
        failures = ", ".join(f"{count} {kind}" for kind, count in task["failures"].items()) or "none"
        rows.append(
            f"| {name} | {share(task['success_once'])} | {share(task['success_at_end'])} "
            f"| {100 * task['tracking_error']:.1f} cm | {100 * task['tracked_fraction']:.0f} % "
            f"| {task['tips_in_contact']:.1f} | {task['grip_force']:.0f} N | {failures} |"
        )
    once, end = summary["mean_success_once"], summary["mean_success_at_end"]
    rows.append(f"| **mean** | {100 * once:.1f} | {100 * end:.1f} | | | | | |")
    versions = ", ".join(f"{package} {version}" for package, version in manifest["versions"].items())
    machine = manifest["hardware"]
    dirty = " with local changes" if manifest["source"]["dirty"] else ""
    return "\n".join(
        [
            f"## {manifest['policy']}",
            "",
            *rows,
            "",
            f"{len(manifest['tasks'])} tasks x {manifest['states']} {manifest['split']} states x "
            f"{manifest['trials']} trials; plans: {manifest['scaffolds']}; backend {manifest['backend']}.",
            "",
            f"```bash\n{' '.join(manifest['command'])}\n```",
            "",
            f"{manifest['date']}; commit {str(manifest['source']['commit'])[:12]}{dirty}; {versions}; "
            f"{machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['machine']}.",
            "",
        ]
    )


def page(runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    return INTRODUCTION + "\n".join(section(manifest, summary) for manifest, summary in runs)


def readme(runs: list[tuple[dict[str, Any], dict[str, Any]]], text: str) -> str:
    """The README with its score table replaced."""
    names = list(dict.fromkeys(name for _, summary in runs for name in summary["tasks"]))
    rows = ["| policy | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for manifest, summary in runs:
        done = summary["tasks"]
        scores = [f"{100 * done[name]['success_once']['mean']:.0f}" if name in done else "–" for name in names]
        rows.append(f"| {manifest['policy']} | " + " | ".join(scores) + " |")
    head, rest = text.split(BEGIN, 1)
    return head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.split(END, 1)[1]


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--keep"] and len(arguments) == 3:
        keep(Path(arguments[1]), Path(arguments[2]))
        arguments = []
    runs = [load(folder.parent) for folder in sorted(BOARD.glob(f"*/{MANIFEST}"))]
    runs.sort(key=lambda run: -run[1]["mean_success_once"])
    made = {PAGE: page(runs), README: readme(runs, README.read_text(encoding="utf-8"))}
    for path, text in made.items():
        if arguments == ["--check"]:
            if path.read_text(encoding="utf-8") != text:
                sys.exit(f"{path.name} is not what the records say; run scripts/make_results.py and commit it")
        else:
            path.write_text(text, encoding="utf-8")
    print(f"{'checked' if arguments else 'wrote'} the results of {len(runs)} evaluations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
