"""Make ``docs/results.md`` and the README's score table from the submissions in ``leaderboard/submissions``.

    python scripts/make_results.py [--check]

Every number is recomputed from the records; a submission that disagrees with its own is refused.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from scaffold_bench.leaderboard.boards import MEAN, boards_of, read_submissions
from scaffold_bench.leaderboard.view import BoardView, Method, board_view
from scaffold_bench.metrics.columns import COLUMNS, SUCCESS_ONCE
from scaffold_bench.submissions.report import score_table, table
from scaffold_bench.submissions.text import markdown_code, markdown_text

ROOT = Path(__file__).parents[1]
SUBMISSIONS, PAGE, README = ROOT / "leaderboard" / "submissions", ROOT / "docs" / "results.md", ROOT / "README.md"
BEGIN, END = "<!-- scores: made by scripts/make_results.py -->", "<!-- end of scores -->"
INTRODUCTION = """<!-- Made by scripts/make_results.py; do not edit. -->

# Results

Means, with 95 % bootstrap intervals over training seeds, start states and then trials in brackets. Methods under one
heading ran the same episodes and may be compared; they are ordered as on the
[leaderboard's pages](../leaderboard/README.md), which show them with more. What is counted as *why it failed* is
explained in [submit.md](submit.md). The records behind every number are in
[leaderboard/submissions](../leaderboard/submissions).

"""
SHOWN = ("plans", "training seeds", "commits", "versions", "evaluated on", "date")
"""What a section says about where its numbers come from."""


def load() -> list[BoardView]:
    """What is shown of every submission, by board."""
    entries, refused = read_submissions(SUBMISSIONS)
    if refused:
        sys.exit("\n".join(f"{one.folder}: {'; '.join(one.problems)}" for one in refused))
    return [board_view(board) for board in boards_of(entries)]


def command(method: Method) -> str:
    """The command that makes the records of the first training seed again."""
    submission = method.entry.submission
    protocol, policy = submission.protocol, submission.policy
    reference = (
        f"file:leaderboard/submissions/{method.entry.folder}/policy/seed-0" if policy.files else policy.reference
    )
    words = ["scaffold-bench", "evaluate", "--policy", reference, "--tasks", ",".join(protocol.tasks)]
    words += ["--states", str(protocol.states), "--trials", str(protocol.trials)]
    return shlex.join(words + (["--scaffolds", method.plans] if method.plans != "oracle" else []))


def section(method: Method) -> str:
    """The Markdown of a method: its scores, the command, and where the numbers come from."""
    facts = {"entry": method.entry.folder, "badge": method.entry.badge, **method.provenance}
    code = ("entry", "plans", "commits", "date")
    return "\n\n".join(
        [
            f"### {markdown_text(method.name)}",
            score_table(method.entry.aggregates, method.entry.submission.protocol.tasks),
            f"```bash\n{command(method)}\n```",
            "\n".join(
                f"- {name}: {markdown_code(facts[name]) if name in code else markdown_text(facts[name])}"
                for name in ("entry", "badge", *SHOWN)
            ),
        ]
    )


def page(boards: list[BoardView]) -> str:
    """``docs/results.md``."""
    columns = "\n".join(f"- *{column.heading}*: {column.meaning}." for column in COLUMNS)
    parts = [INTRODUCTION + columns]
    for board in boards:
        parts += [f"## {board.title}: {board.protocol}", *(section(row.method) for row in board.rankings[MEAN])]
    return "\n\n".join(parts) + "\n"


def readme(boards: list[BoardView], text: str) -> str:
    """The README with its score table replaced."""
    tasks = list(dict.fromkeys(task for board in boards for task in board.key.tasks))
    rows = [["method", "plans", "states × trials", *tasks, "mean"]]
    for row in (row for board in boards for row in board.rankings[MEAN]):
        method, scores = row.method, row.method.entry.aggregates.tasks
        shown = (SUCCESS_ONCE.of_task(scores[task], interval=False) if task in scores else "–" for task in tasks)
        mean = SUCCESS_ONCE.text(row.score.mean)
        rows.append([markdown_text(method.name), markdown_code(method.plans), method.size, *shown, mean])
    head, rest = text.split(BEGIN, 1)
    return head + BEGIN + "\n" + table(*rows) + "\n" + END + rest.split(END, 1)[1]


def main() -> int:
    boards = load()
    made = {PAGE: page(boards), README: readme(boards, README.read_text(encoding="utf-8"))}
    check = sys.argv[1:] == ["--check"]
    for path, text in made.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what the records say; run scripts/make_results.py and commit it")
    methods = sum(len(board.rankings[MEAN]) for board in boards)
    print(f"{'checked' if check else 'wrote'} the results of {methods} submissions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
