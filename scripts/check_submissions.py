"""Check the submissions that a pull request changes; writes a report for each, as Markdown.

    python scripts/check_submissions.py --base origin/main [--repository DIR] [--reports reports]

For continuous integration: the checker of the target branch is run on a checkout of the proposed files
(``--repository``), and executes nothing of them.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import tyro

from scaffold_bench.submissions import Report, markdown, validate
from scaffold_bench.submissions.bundle import VERIFICATION

SUBMISSIONS = "leaderboard/submissions"
MAX_SUBMISSIONS = 20
"""Submissions that one pull request may change."""


@dataclass(frozen=True)
class Args:
    base: str
    """commit of the target branch"""
    repository: Path = Path()
    """checkout of the proposed files"""
    reports: Path = Path("reports")
    """folder for the reports: 1.md, 2.md, ..."""


def changed(args: Args) -> list[PurePosixPath]:
    """Paths below the submissions folder that differ from the base, deleted ones included."""
    command = ["git", "-C", str(args.repository), "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff"]
    run = subprocess.run([*command, f"{args.base}...HEAD", "--", SUBMISSIONS], capture_output=True)
    if run.returncode:
        sys.exit(f"git cannot compare with {args.base}; fetch it first: {run.stderr.decode(errors='replace').strip()}")
    return [PurePosixPath(name.decode(errors="surrogateescape")) for name in run.stdout.split(b"\0") if name]


def check(path: Path, names: list[PurePosixPath]) -> Report:
    """The report on one submission; changes that only a maintainer may make are counted as problems."""
    report = (
        Report(path, problems=[f"{path.name} is deleted; ask a maintainer to delete it"])
        if not path.exists()
        else validate(path)
    )
    if any(name.name.endswith(VERIFICATION) for name in names):
        report.problems.append(
            f"{VERIFICATION} is changed; only maintainers write it, so leave it out of the pull request"
        )
    return report


def main() -> int:
    args = tyro.cli(Args, description=__doc__)
    names = changed(args)
    depth = len(PurePosixPath(SUBMISSIONS).parts)
    if PurePosixPath(SUBMISSIONS) in names:
        sys.exit(f"{SUBMISSIONS} must stay a folder; undo the change that replaces it")
    tops = sorted({PurePosixPath(*name.parts[: depth + 1]) for name in names})
    # a verification beside an archive belongs to the archive
    tops = sorted({top.with_name(top.name.removesuffix(f".{VERIFICATION}")) for top in tops})
    if len(tops) > MAX_SUBMISSIONS:
        sys.exit(f"{len(tops)} submissions are changed, more than {MAX_SUBMISSIONS}; split the pull request")
    args.reports.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for number, top in enumerate(tops, start=1):
        own = [name for name in names if name.is_relative_to(top) or name.name == f"{top.name}.{VERIFICATION}"]
        report = check(args.repository / top, own)
        (args.reports / f"{number}.md").write_text(markdown(report), encoding="utf-8")
        wrong += not report.ok
    print(f"{len(tops)} submissions checked, {wrong} with problems; the reports are in {args.reports}/")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
