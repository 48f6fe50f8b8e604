"""Make ``docs/results.md`` and the README's score table from the submissions in ``leaderboard/submissions``.

    python scripts/make_results.py [--check]

Every number is recomputed from the records; a submission that disagrees with its own is refused.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from scaffold_bench.leaderboard.boards import candidates
from scaffold_bench.submissions import Report, validate
from scaffold_bench.submissions.model import Score, Submission, TaskScores
from scaffold_bench.submissions.text import escape

ROOT = Path(__file__).parents[1]
BOARD, PAGE, README = ROOT / "leaderboard" / "submissions", ROOT / "docs" / "results.md", ROOT / "README.md"
BEGIN, END = "<!-- scores: made by scripts/make_results.py -->", "<!-- end of scores -->"
TRACKS = {
    "oracle": "Oracle plans",
    "pre-recorded": "Pre-recorded plans",
    "vlm-zero-shot": "Plans of a vision-language model, zero-shot",
    "vlm-few-shot": "Plans of a vision-language model, few-shot",
    "simulated-vlm": "Plans of the simulated vision-language model",
    "open": "Other plans",
}
INTRODUCTION = """<!-- Made by scripts/make_results.py; do not edit. -->

# Results

Success in %, with a 95 % bootstrap interval over training seeds, start states and then trials. *Success once* is the
headline: the criterion held at some step; *at end*: at the last. *Tracked* is the share of steps with every keypoint
within the task's threshold of its plan, *tips* the mean number of fingertips on the task's bodies while any touches,
*grip* the mean of the largest fingertip force then. What is counted under *why it failed* is explained in
[submit.md](submit.md). The records behind every number are in [leaderboard/submissions](../leaderboard/submissions);
the [leaderboard's pages](../leaderboard/README.md) show them with more.

"""


def load() -> list[tuple[str, Report, Submission]]:
    """Folder, report and declaration of every submission: by track, then the best first."""
    found = []
    for path in candidates(BOARD):
        report = validate(path)
        if report.submission is None or not report.ok:
            sys.exit(f"{path.name}: {'; '.join(report.problems)}")
        found.append((path.name, report, report.submission))
    order = list(TRACKS)
    return sorted(found, key=lambda one: (order.index(one[2].track), -mean(one[1]).mean, one[0]))


def mean(report: Report) -> Score:
    assert report.aggregates is not None
    return report.aggregates.mean_success_once


def share(score: Score) -> str:
    return f"{100 * score.mean:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def causes(task: TaskScores) -> str:
    told = [f"{count} {cause}" for cause, count in task.causes.items() if "solved" not in cause]
    return ", ".join(told) or "–"


def command(name: str, submission: Submission) -> str:
    """The command that makes the records of the first training seed again."""
    protocol, policy, plans = submission.protocol, submission.policy, submission.plans
    reference = f"file:leaderboard/submissions/{name}/policy/seed-0" if policy.files else policy.reference
    words = ["scaffold-bench", "evaluate", "--policy", reference, "--tasks", ",".join(protocol.tasks)]
    words += ["--states", str(protocol.states), "--trials", str(protocol.trials)]
    return shlex.join(words + (["--scaffolds", plans.provider] if plans.provider != "oracle" else []))


def section(name: str, report: Report, submission: Submission) -> str:
    """The Markdown of one submission: the table, then what, where and when."""
    assert report.aggregates is not None
    columns = ("task", "success once", "success at end", "tracking error", "tracked", "tips", "grip", "why it failed")
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for task_name, task in report.aggregates.tasks.items():
        rows.append(
            f"| {task_name} | {share(task.success_once)} | {share(task.success_at_end)} "
            f"| {100 * task.tracking_error:.1f} cm | {100 * task.tracked_fraction:.0f} % "
            f"| {task.tips_in_contact:.1f} | {task.grip_force:.0f} N | {causes(task)} |"
        )
    rows.append(f"| **mean** | {share(mean(report))} | {share(report.aggregates.mean_success_at_end)} | | | | | |")
    protocol, evaluated = submission.protocol, submission.evaluated
    seeds = [str(seed) for seed in protocol.training_seeds if seed is not None]
    trained = f", training seeds {', '.join(seeds)}" if seeds else ""
    commits = ", ".join(sorted({str(commit)[:12] for commit in evaluated.commits}))
    versions = ", ".join(f"{package} {version}" for package, version in evaluated.versions.items())
    return "\n".join(
        [
            f"### {escape(submission.method.name)}",
            "",
            *rows,
            "",
            f"{escape(name)}: {len(protocol.tasks)} tasks x {protocol.states} states x {protocol.trials} trials"
            f"{trained}; "
            f"plans: {escape(submission.plans.provider)}; {submission.backend}; badge: {report.badge}.",
            "",
            f"```bash\n{command(name, submission)}\n```",
            "",
            f"{evaluated.date}; commit {commits}{' with local changes' if evaluated.dirty else ''}; {versions}; "
            f"{escape(evaluated.hardware)}.",
            "",
        ]
    )


def page(found: list[tuple[str, Report, Submission]]) -> str:
    parts = []
    for track, title in TRACKS.items():
        sections = [section(*one) for one in found if one[2].track == track]
        parts += [f"## {title}\n", *sections] if sections else []
    return INTRODUCTION + "\n".join(parts)


def readme(found: list[tuple[str, Report, Submission]], text: str) -> str:
    """The README with its score table replaced."""
    names = list(dict.fromkeys(task for *_, submission in found for task in submission.protocol.tasks))
    rows = ["| method | plans | " + " | ".join(names) + " | mean |", "|" + "---|" * (len(names) + 3)]
    for _, report, submission in found:
        assert report.aggregates is not None
        done = report.aggregates.tasks
        scores = [f"{100 * done[task].success_once.mean:.0f}" if task in done else "–" for task in names]
        told = [escape(submission.method.name), escape(submission.plans.provider)]
        rows.append("| " + " | ".join([*told, *scores, f"{100 * mean(report).mean:.1f}"]) + " |")
    head, rest = text.split(BEGIN, 1)
    return head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.split(END, 1)[1]


def main() -> int:
    found = load()
    made = {PAGE: page(found), README: readme(found, README.read_text(encoding="utf-8"))}
    check = sys.argv[1:] == ["--check"]
    for path, text in made.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what the records say; run scripts/make_results.py and commit it")
    print(f"{'checked' if check else 'wrote'} the results of {len(found)} submissions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
