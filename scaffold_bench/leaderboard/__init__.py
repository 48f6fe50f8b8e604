"""Submissions: made from finished evaluations, checked against their own records, never taken on trust."""

from scaffold_bench.leaderboard.prepare import About, prepare
from scaffold_bench.leaderboard.report import markdown
from scaffold_bench.leaderboard.submission import TRACKS, Submission, SubmissionError, parse_submission, schema
from scaffold_bench.leaderboard.suite import CURRENT, SUITES, Suite
from scaffold_bench.leaderboard.text import escape
from scaffold_bench.leaderboard.validate import Report, validate
from scaffold_bench.leaderboard.verification import BADGES, Verification

__all__ = [
    "BADGES",
    "CURRENT",
    "SUITES",
    "TRACKS",
    "About",
    "Report",
    "Submission",
    "SubmissionError",
    "Suite",
    "Verification",
    "escape",
    "markdown",
    "parse_submission",
    "prepare",
    "schema",
    "validate",
]
