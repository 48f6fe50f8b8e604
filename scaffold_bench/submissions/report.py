"""A report as Markdown, ready for a comment: text from a submission is shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterable

from scaffold_bench.metrics.columns import COLUMNS, INTERQUARTILE_MEAN, WHY_IT_FAILED, failures
from scaffold_bench.submissions.facts import costs, evaluation
from scaffold_bench.submissions.model import TRACK_NAMES, Aggregates, Submission
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
    if report.submission is not None and report.aggregates is not None:
        scores = score_table(report.aggregates, report.submission.protocol.tasks)
        brackets = "In brackets: 95 % intervals over training seeds, states and trials."
        parts += ["## Scores, recomputed from the records", scores, brackets]
    if report.submission is not None:
        parts.append(_declared(report.submission))
    return "\n\n".join(parts) + "\n"


def table(*rows: list[str]) -> str:
    """A Markdown table, the first row above; its cells are Markdown already."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def score_table(aggregates: Aggregates, tasks: Iterable[str]) -> str:
    """Scores of tasks, in their order, and over all, as a Markdown table."""
    return table(
        ["task", "episodes", *(column.heading for column in COLUMNS), WHY_IT_FAILED],
        *(
            [name, str(task.episodes), *(column.of_task(task) for column in COLUMNS), failures(task.causes)]
            for name, task in ((name, aggregates.tasks[name]) for name in tasks)
        ),
        ["**mean**", "", *(column.of_all(aggregates) for column in COLUMNS), ""],
        [f"**{INTERQUARTILE_MEAN.name}**", "", INTERQUARTILE_MEAN.of_all(aggregates), *[""] * len(COLUMNS)],
    )


def _code(text: object) -> str:
    """Foreign text; within <code> even mentions and addresses stay text."""
    return f"<code>{escape(text)}</code>"


def _list(title: str, sentences: list[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {_code(sentence)}" for sentence in sentences)])


def _declared(submission: Submission) -> str:
    """What only the submitter can know."""
    method = submission.method
    facts = {
        "method": method.name,
        "authors": ", ".join(method.authors),
        "links": " ".join(method.links),
        "description": method.description[:MAX_DESCRIPTION],
        "track": TRACK_NAMES[submission.track],
        **evaluation(submission),
        **costs(submission),
    }
    rows = ([name, _code(text)] for name, text in facts.items() if text)
    return f"## As declared\n\n{table(['', ''], *rows)}"
