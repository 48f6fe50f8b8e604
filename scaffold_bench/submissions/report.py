"""A report as Markdown, ready for a comment: text from a submission is shown, never obeyed."""

from __future__ import annotations

from scaffold_bench.submissions.model import Aggregates, Score, Submission
from scaffold_bench.submissions.text import escape
from scaffold_bench.submissions.validate import Report

MAX_DESCRIPTION = 1000
"""Characters of the description that a report repeats."""


def markdown(report: Report) -> str:
    """The report: verdict, problems, notes, numbers, and what the submission says about itself."""
    verdict = "valid" if report.ok else f"not valid: {len(report.problems)} problem" + "s" * (len(report.problems) > 1)
    parts = [f"# {_code(report.path.name)}: {verdict}", f"Badge: **{report.badge}**."]
    if report.problems:
        parts.append(_list("Problems", report.problems))
    if report.notes:
        parts.append(_list("Notes", report.notes))
    if report.aggregates is not None:
        parts.append(_scores(report.aggregates))
    if report.submission is not None:
        parts.append(_declared(report.submission))
    return "\n\n".join(parts) + "\n"


def _code(text: object) -> str:
    """Foreign text; within <code> even mentions and addresses stay text."""
    return f"<code>{escape(text)}</code>"


def _list(title: str, sentences: list[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {_code(sentence)}" for sentence in sentences)])


def _share(score: Score) -> str:
    return f"{100 * score.mean:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def _scores(aggregates: Aggregates) -> str:
    """The recomputed numbers."""
    rows = [
        "| task | episodes | success once, % | at end, % | tracking error | why it failed |",
        "|---|---:|---|---|---:|---|",
    ]
    for name, task in aggregates.tasks.items():
        causes = ", ".join(f"{count} {cause}" for cause, count in task.causes.items() if "solved" not in cause) or "–"
        rows.append(
            f"| {name} | {task.episodes} | {_share(task.success_once)} | {_share(task.success_at_end)} "
            f"| {100 * task.tracking_error:.1f} cm | {causes} |"
        )
    rows.append(
        f"| **mean** | | {_share(aggregates.mean_success_once)} | {_share(aggregates.mean_success_at_end)} | | |"
    )
    rows.append(f"| **interquartile mean** | | {_share(aggregates.interquartile_mean_success_once)} | | | |")
    return "\n".join(
        [
            "## Scores, recomputed from the records",
            "",
            *rows,
            "",
            "In brackets: 95 % intervals over seeds, states and trials.",
        ]
    )


def _declared(submission: Submission) -> str:
    """What only the submitter can know."""
    method, training, vlm = submission.method, submission.training, submission.vlm
    facts = {
        "method": method.name,
        "authors": ", ".join(method.authors),
        "links": " ".join(method.links) or "–",
        "description": method.description[:MAX_DESCRIPTION] or "–",
        "track": submission.track,
        "suite": f"{submission.suite}, {submission.backend}, {submission.protocol.preset}",
        "policy": f"{submission.policy.kind}, {submission.policy.reference}",
        "training": f"steps {training.steps}, hours {training.wall_clock_hours}, {training.hardware or '–'}",
        "vision-language model": "–" if vlm is None else f"{vlm.model}, cost in USD {vlm.cost_usd}",
        "commit": ", ".join(commit or "–" for commit in submission.evaluated.commits),
        "evaluated": submission.evaluated.date,
    }
    rows = [f"| {name} | {_code(value)} |" for name, value in facts.items()]
    return "\n".join(["## As declared", "", "| | |", "|---|---|", *rows])
