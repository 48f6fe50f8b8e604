"""Badges: how far a submission's numbers can be trusted, and the file that remembers a re-run.

*Self-reported*: nothing was checked, or something is wrong. *Recomputed*: the numbers follow from complete records.
*Re-run*: a random sample of the episodes was run again and came out bit for bit. Only the last needs a file,
``verification.json`` in the submission's folder (or beside its archive). It names the bytes it is about, so it is void
once they change; and since anybody can write a file, only maintainers may commit one (``docs/submit.md``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from scaffold_bench.files import write_atomically
from scaffold_bench.records.codec import to_json
from scaffold_bench.submissions.bundle import VERIFICATION
from scaffold_bench.submissions.model import MAX_SUBMISSION_BYTES, Count, Line, Numerics, Part, Sha256, Word

SELF_REPORTED, RECOMPUTED, RERUN = "self-reported", "recomputed", "re-run"
BADGES = {
    SELF_REPORTED: "nothing checked, or something is wrong",
    RECOMPUTED: "complete records, right hashes, and every number follows from them",
    RERUN: "a random sample of episodes was run again and came out bit for bit",
}
"""What each badge means, in a reader's words."""
ENOUGH = 50
"""Sampled episodes that a badge needs, unless the submission has fewer. If one record in ten is false, fifty miss it
with a probability of 0.9^50 = 0.5 %."""
MAX_DIFFERENCES = 20


class Difference(Part):
    """An episode that came out differently, and the fields that did."""

    task: Word
    seed_index: Count
    state: Count
    trial: Count
    fields: Annotated[list[Word], Field(max_length=40)]


class Verification(Part):
    """A re-run of a sample of a submission's episodes.

    ``identical`` episodes have the same bits; ``same_outcome`` have at least the same success. ``numerics`` is the
    machine's fingerprint; ``other_processor`` episodes came from a machine with another, or one that is not known, so
    that other bits say nothing about them. ``foreign_code`` says that code from outside the package was run.
    """

    format: Literal[1]
    submission_sha256: Sha256
    records_sha256: Sha256
    sample_seed: Annotated[int, Field(ge=0, lt=2**63)]
    episodes: Count
    sampled: Count
    identical: Count
    same_outcome: Count
    differences: Annotated[list[Difference], Field(max_length=MAX_DIFFERENCES)]
    foreign_code: bool
    backend: Word
    numerics: Numerics
    other_processor: Count
    versions: Annotated[dict[Word, Word], Field(max_length=20)]
    hardware: Line
    date: Line

    @property
    def passed(self) -> bool:
        """Whether enough episodes were sampled and all have the same bits."""
        return self.identical == self.sampled >= min(ENOUGH, self.episodes)


def verification_path(submission: Path) -> Path:
    """Where the verification of a submission is: in its folder, or beside its archive."""
    if submission.is_dir():
        return submission / VERIFICATION
    return submission.with_name(f"{submission.name}.{VERIFICATION}")


def write_verification(submission: Path, verification: Verification) -> Path:
    """Write the file, whole or not at all; returns its path."""
    path = verification_path(submission)
    write_atomically(path, to_json(verification.model_dump(), indent=2) + "\n")
    return path


def read_verification(submission: Path) -> Verification | None:
    """The verification of a submission, or None without one.

    Raises:
        ValueError: the file is no verification.
    """
    path = verification_path(submission)
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        raw = file.read(MAX_SUBMISSION_BYTES + 1)
    try:
        if len(raw) > MAX_SUBMISSION_BYTES:
            raise ValueError
        return Verification.model_validate_json(raw)
    except (ValidationError, ValueError, RecursionError):
        raise ValueError(f"{path.name} is no verification; delete it and run 'submit verify'") from None
