"""Runs a random sample of a submission's episodes again and compares the records bit for bit.

Only what the package knows is run: its own policies, and actors stored in the submission's safetensors files. Code from
elsewhere needs the caller's word.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scaffold_bench.evaluation.fingerprint import numerics
from scaffold_bench.evaluation.runner import BACKEND, NUM_ENVS, Stage
from scaffold_bench.policies.actor import ActorPolicy, stored_policy
from scaffold_bench.policies.base import Policy
from scaffold_bench.policies.names import environment_of, make_policy, policy_source
from scaffold_bench.policies.scripted import POLICIES
from scaffold_bench.records.codec import canonical
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.records.folder import hardware, package_versions
from scaffold_bench.scaffolds import resolve_provider
from scaffold_bench.scaffolds.variants import plan_files_hash
from scaffold_bench.submissions import CURRENT, Report, Submission, SubmissionError, Verification, validate
from scaffold_bench.submissions.bundle import open_bundle
from scaffold_bench.submissions.planners import can_be_made_again, without_folders
from scaffold_bench.submissions.prepare import machine_line, version_words
from scaffold_bench.submissions.verification import MAX_DIFFERENCES, Difference, write_verification

SAMPLE = 50


Compared = tuple[int, EpisodeRecord, EpisodeRecord]
"""An episode's number of the training seed, its record as it was submitted, and as it came out again."""


def differing(submitted: EpisodeRecord, again: EpisodeRecord) -> list[str]:
    """Names of the fields whose bits differ."""
    old, new = vars(submitted), vars(again)
    known = [name for name in sorted(new) if old[name] is not None]
    return [name for name in known if canonical({"": old[name]}) != canonical({"": new[name]})]


def verify(
    path: str | Path,
    sample: int = SAMPLE,
    *,
    seed: int,
    allow_foreign_code: bool = False,
    plans: str | None = None,
) -> Verification:
    """Run a sample of a submission's episodes again and write ``verification.json``.

    Args:
        path: the submission, folder or archive.
        sample: number of episodes, drawn among all without replacement.
        seed: of the draw; the submitter must not know it in advance.
        allow_foreign_code: also import and run a policy that neither comes with the package nor is a stored actor.
        plans: the planner's name with the paths of its files, if it reads some that do not ship with the package.

    Raises:
        SubmissionError: the submission is not valid, or cannot be run again here.
    """
    if sample < 1:
        raise SubmissionError(f"sample must be at least 1, got {sample}")
    report = validate(path)
    if report.problems:
        raise SubmissionError(*report.problems)
    assert report.submission is not None
    submission = report.submission
    _check_possible(submission, allow_foreign_code)
    scaffolds = _scaffolds(submission, plans)
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        _unpack(report.path, submission, Path(folder))
        compared = list(_run(submission, _draw(report, sample, rng), scaffolds, Path(folder)))
    verification = _verification(report, submission, compared, seed)
    write_verification(report.path, verification)
    return verification


def _check_possible(submission: Submission, allow_foreign_code: bool) -> None:
    """Refuse what cannot be run again, or must not be: raises SubmissionError, which says why."""
    policy = submission.policy
    if submission.backend != BACKEND:
        raise SubmissionError(f"its backend is {submission.backend}, this can run {BACKEND} only; verify it there")
    if submission.suite != CURRENT:
        raise SubmissionError(f"suite {submission.suite} is frozen; verify it with the release that had it")
    if policy.kind == "actor" and not policy.can_be_had:
        raise SubmissionError("it has no policy files, so it cannot be run again; ask for them")
    if policy.kind == "foreign" and not allow_foreign_code:
        raise SubmissionError(
            f"its policy {policy.reference} is code from elsewhere, which is not run; read it first, then use "
            "--allow-foreign-code"
        )
    if policy.kind == "foreign" and len(policy.checkpoints) > 1:
        raise SubmissionError("its policy is code from elsewhere that takes no training seed; verify by hand")


def _scaffolds(submission: Submission, plans: str | None) -> str:
    """What an evaluation calls the planner; raises SubmissionError if its plans cannot be made again, or would be
    others. A stranger's name for it is resolved only if it cannot do harm."""
    declared = submission.plans
    if plans is None and not can_be_made_again(declared.provider):
        raise SubmissionError(
            f"its plans come from {declared.provider}, which may read files or ask a service; give its name with the "
            "paths of its plan files by --plans"
        )
    name = declared.provider if plans is None else plans
    if without_folders(name) != declared.provider:
        raise SubmissionError(f"{name} is not {declared.provider}, which made the plans; give the right --plans")
    try:
        found = plan_files_hash(resolve_provider(name))
    except ValueError as error:
        raise SubmissionError(f"its plans cannot be had: {error}") from None
    if found != declared.file_sha256:
        raise SubmissionError(f"the plan files of {name} are not those that were followed; give them by --plans")
    return name


def _draw(report: Report, sample: int, rng: np.random.Generator) -> list[tuple[int, EpisodeRecord]]:
    """Training seed and record of the drawn episodes, by task and training seed."""
    rows = [(index, record) for index, run in enumerate(report.runs) for record in run]
    drawn = rng.choice(len(rows), size=min(sample, len(rows)), replace=False)
    return sorted((rows[int(place)] for place in drawn), key=lambda row: (row[1].task, row[0], row[1].key))


def _unpack(path: Path, submission: Submission, folder: Path) -> None:
    """Write the policy's files, whose names were checked, to a folder of our own; none may have changed since."""
    with open_bundle(path) as bundle:
        for file in submission.policy.files:
            raw = bundle.read(file.path)
            if hashlib.sha256(raw).hexdigest() != file.sha256:
                raise SubmissionError(f"{file.path} changed while it was read; try again")
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(raw)


def _policy(submission: Submission, seed_index: int, task: str, folder: Path) -> Policy:
    """The policy of a training seed; raises SubmissionError if it is another one than was evaluated."""
    policy, made = submission.policy, _made(submission, seed_index, task, folder)
    if not policy.files and policy_source(policy.reference, made) != policy.checkpoints[seed_index]:
        raise SubmissionError(f"{policy.reference} is here another one than was evaluated; get that version")
    if environment_of(made) != submission.environment:
        raise SubmissionError(f"its policy asks for another environment than {submission.environment}; ask what it is")
    return made


def _made(submission: Submission, seed_index: int, task: str, folder: Path) -> Policy:
    policy = submission.policy
    if policy.kind in POLICIES:
        return POLICIES[policy.kind]()
    if policy.kind == "foreign":
        return make_policy(policy.reference)
    if not policy.files:
        return stored_policy(policy.reference)
    files = folder / "policy" / f"seed-{seed_index}"
    by_task = files / f"{task}.safetensors"
    return ActorPolicy(files if by_task.exists() else next(iter(sorted(files.iterdir()))))


def _run(
    submission: Submission, drawn: Sequence[tuple[int, EpisodeRecord]], scaffolds: str, folder: Path
) -> Iterator[Compared]:
    """Run the drawn episodes, those of a task and training seed side by side."""
    for (task, index), group in itertools.groupby(drawn, key=lambda row: (row[1].task, row[0])):
        submitted = [record for _, record in group]
        policy = _policy(submission, index, task, folder)
        with contextlib.closing(Stage(policy, scaffolds, submission.protocol.split)) as stage:
            for start in range(0, len(submitted), NUM_ENVS):
                part = submitted[start : start + NUM_ENVS]
                episodes = [(record.state, record.trial) for record in part]
                again = stage.run(task, episodes)
                yield from zip([index] * len(part), part, again, strict=True)


def _verification(report: Report, submission: Submission, compared: Sequence[Compared], seed: int) -> Verification:
    """What the comparison found."""
    differences = [
        Difference(task=row.task, seed_index=index, state=row.state, trial=row.trial, fields=fields)
        for index, row, again in compared
        if (fields := differing(row, again))
    ]
    made_with = submission.evaluated.numerics
    return Verification(
        format=1,
        submission_sha256=str(report.submission_sha256),
        records_sha256=submission.records.sha256,
        sample_seed=seed,
        episodes=submission.records.rows,
        sampled=len(compared),
        identical=len(compared) - len(differences),
        same_outcome=sum(row.success_once == again.success_once for _, row, again in compared),
        differences=differences[:MAX_DIFFERENCES],
        foreign_code=submission.policy.kind == "foreign",
        backend=BACKEND,
        versions=version_words(package_versions()),
        numerics=numerics(),
        other_processor=sum(numerics() != made_with[index] for index, *_ in compared),
        hardware=machine_line(hardware()),
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
