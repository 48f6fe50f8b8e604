"""Submissions: made from finished evaluations, checked against their own records, never taken on trust."""

from scaffold_bench.submissions.model import TRACKS, Submission, SubmissionError, parse_submission, schema
from scaffold_bench.submissions.prepare import About, prepare
from scaffold_bench.submissions.report import markdown
from scaffold_bench.submissions.suite import CURRENT, SUITES, Suite
from scaffold_bench.submissions.text import escape
from scaffold_bench.submissions.validate import Report, validate
from scaffold_bench.submissions.verification import BADGES, Verification

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
