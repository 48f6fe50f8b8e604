"""Checks a submission against itself: schema, hashes, every episode once, and the numbers that follow from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaffold_bench.metrics import summarize_runs
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.submissions.bundle import VERIFICATION, Bundle, open_bundle
from scaffold_bench.submissions.model import (
    MAX_LISTED,
    RECORDS,
    SUBMISSION,
    Aggregates,
    Policy,
    Submission,
    SubmissionError,
    contradictions,
    parse_submission,
)
from scaffold_bench.submissions.rows import Rows
from scaffold_bench.submissions.suite import CURRENT, SUITES
from scaffold_bench.submissions.tensors import check_safetensors
from scaffold_bench.submissions.text import plain
from scaffold_bench.submissions.verification import RECOMPUTED, RERUN, SELF_REPORTED, Verification, read_verification


@dataclass
class Report:
    """What checking a submission found.

    Attributes:
        path: the submission.
        problems: what is wrong, in plain sentences; empty for a valid submission.
        notes: what a reader of the numbers should know, though it is not wrong.
        submission: what it says about itself, once that could be read.
        submission_sha256: of ``submission.json``.
        aggregates: the numbers recomputed from the records, once those were complete.
        runs: the records of each training seed, as rows.
        verification: a re-run of these very bytes, if there is one.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    submission: Submission | None = None
    submission_sha256: str | None = None
    aggregates: Aggregates | None = None
    runs: list[list[EpisodeRecord]] = field(default_factory=list)
    verification: Verification | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def badge(self) -> str:
        """How far the numbers can be trusted, see :mod:`scaffold_bench.submissions.verification`."""
        if not self.ok:
            return SELF_REPORTED
        return RERUN if self.verification is not None and self.verification.passed else RECOMPUTED


def validate(path: str | Path) -> Report:
    """Check a submission; runs nothing of it.

    Args:
        path: folder or zip archive.

    Returns:
        The report; a submission that cannot even be read has its reason among the problems.
    """
    report = Report(Path(path))
    try:
        with open_bundle(path) as bundle:
            _check(bundle, report)
    except SubmissionError as error:
        report.problems += error.problems
    return report


def _check(bundle: Bundle, report: Report) -> None:
    raw = bundle.read(SUBMISSION)
    report.submission_sha256 = hashlib.sha256(raw).hexdigest()
    submission = report.submission = parse_submission(raw)
    report.problems += contradictions(submission)
    suite = SUITES.get(submission.suite)
    if suite is None or not set(submission.protocol.tasks) <= suite.env_ids.keys():
        return
    _check_policy(bundle, submission.policy, report)
    with bundle.open(RECORDS) as stream:
        rows = Rows(stream, submission.protocol, suite.env_ids)
    report.problems += rows.problems
    if rows.sha256 is not None and rows.sha256 != submission.records.sha256:
        report.problems.append(f"{RECORDS}: the hash of the rows is not the declared one; run 'submit prepare' again")
    if not rows.problems:
        report.runs = rows.runs
        _check_numbers(rows, submission, report)
    _note(submission, report)
    _check_verification(submission, report)


def _check_policy(bundle: Bundle, policy: Policy, report: Report) -> None:
    """Files as declared, nothing else, all of them safetensors, and the hashes that the evaluation had."""
    declared = {file.path: file for file in policy.files}
    there = {name for name in bundle.sizes if name.startswith("policy/")}
    report.problems += [f"{name} is not declared in policy.files; remove it" for name in sorted(there - set(declared))]
    digests: dict[int, Any] = {}
    for name in sorted(declared):  # as the evaluation hashes a folder: by name
        try:
            digest = digests.setdefault(declared[name].seed_index, hashlib.sha256())
            digest.update(name.rsplit("/", 1)[1].encode())
            with bundle.open(name) as stream:
                found = check_safetensors(stream, bundle.sizes[name], name, digest)
            if (found, bundle.sizes[name]) != (declared[name].sha256, declared[name].bytes):
                report.problems.append(f"{name}: hash or size is not the declared one; run 'submit prepare' again")
        except SubmissionError as error:
            report.problems += error.problems
    for index, digest in digests.items():
        if index >= len(policy.checkpoints) or policy.checkpoints[index] != digest.hexdigest():
            report.problems.append(
                f"policy/seed-{index}: the files are not those that were evaluated (policy.checkpoints)"
            )


def _check_numbers(rows: Rows, submission: Submission, report: Report) -> None:
    """Recompute what follows from the records and name what differs."""
    report.aggregates = Aggregates.model_validate(summarize_runs(rows.runs))
    declared, found = flat(submission.aggregates.model_dump()), flat(report.aggregates.model_dump())
    wrong = [path for path in {**found, **declared} if declared.get(path) != found.get(path)]
    report.problems += [
        f"aggregates.{plain('.'.join(path), 120)} is {declared.get(path, 'missing')}, the records give "
        f"{found.get(path, 'no such number')}"
        for path in wrong[:MAX_LISTED]
    ]
    if len(wrong) > MAX_LISTED:
        more = len(wrong) - MAX_LISTED
        report.problems.append(f"aggregates: {more} more numbers do not follow from the records")
    if rows.plans_sha256 != submission.plans.set_sha256:
        report.problems.append(
            "plans.set_sha256 is not the hash of the plans in the records; run 'submit prepare' again"
        )


def flat(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The leaves of a nested dictionary by their path."""
    leaves: dict[tuple[str, ...], Any] = {}
    for name, value in tree.items():
        leaves |= flat(value, (*path, name)) if isinstance(value, Mapping) else {(*path, name): value}
    return leaves


def _note(submission: Submission, report: Report) -> None:
    """What a reader should know."""
    policy, protocol, evaluated = submission.policy, submission.protocol, submission.evaluated
    if protocol.preset == "quick":
        seeds = len(protocol.training_seeds)
        report.notes.append(
            f"quick: {len(protocol.tasks)} tasks x {protocol.states} states x {protocol.trials} trials x {seeds} seeds "
            "instead of the full protocol"
        )
    if submission.suite != CURRENT:
        report.notes.append(f"suite {submission.suite} is frozen; new submissions go to suite {CURRENT}")
    if evaluated.dirty or None in evaluated.commits:
        report.notes.append("evaluated with changes that are in no commit, or outside a checkout")
    if policy.kind == "actor" and not policy.can_be_had:
        report.notes.append("without its policy's files it cannot be re-run")
    if policy.kind == "foreign":
        report.notes.append("a re-run needs code from elsewhere")


def _check_verification(submission: Submission, report: Report) -> None:
    """Take a re-run into account if it is about these bytes."""
    try:
        found = read_verification(report.path)
    except ValueError as error:
        report.problems.append(str(error))
        return
    if found is None:
        return
    if (found.submission_sha256, found.records_sha256) != (report.submission_sha256, submission.records.sha256):
        report.notes.append(f"{VERIFICATION} is about other bytes and does not count; run 'submit verify' again")
        return
    report.verification = found
    if not found.passed:
        report.notes.append(f"{found.identical} of {found.sampled} episodes that were run again have the same bits")
