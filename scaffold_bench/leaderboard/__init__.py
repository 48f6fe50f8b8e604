"""The leaderboard's pages. Names of :mod:`scaffold_bench.submissions` can be imported from here too, as before."""

from scaffold_bench.submissions import (
    BADGES,
    CURRENT,
    SUITES,
    TRACKS,
    About,
    Report,
    Submission,
    SubmissionError,
    Suite,
    Verification,
    escape,
    markdown,
    parse_submission,
    prepare,
    schema,
    validate,
)

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
