"""Remembers what was found about submissions, so that a build checks only what is new.

What is kept goes by the bytes of the submission and of the code that checked it: a changed digit in either is checked
again. Only valid submissions are kept. The cache is as trustworthy as the folder it lies in, so that must be the
builder's own, and never one that comes with the submissions.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sys
from pathlib import Path

import numpy as np
import pydantic

from scaffold_bench.files import write_atomically
from scaffold_bench.submissions.bundle import open_bundle
from scaffold_bench.submissions.model import SubmissionError
from scaffold_bench.submissions.verification import verification_path

PACKAGE = Path(__file__).resolve().parents[1]
CHUNK = 2**20


@functools.cache
def _code() -> bytes:
    """Hash of the code that reads submissions, and of what it is run with."""
    digest = hashlib.sha256(f"{sys.version} {np.__version__} {pydantic.VERSION}".encode())
    for part in ("records", "metrics", "submissions", "leaderboard"):
        for file in sorted((PACKAGE / part).rglob("*.py")):
            digest.update(file.read_bytes())
    for name in ("spec.py", "files.py", "planner_names.py"):
        digest.update((PACKAGE / name).read_bytes())
    return digest.digest()


def kept_in(folder: Path | None, path: Path) -> Path | None:
    """The file in which what was found about a submission is kept, named by the submission's hash.

    None without a folder, and for a submission that cannot be opened, which is refused quickly anyway.
    """
    if folder is None:
        return None
    digest = hashlib.sha256(_code())
    try:
        with open_bundle(path) as bundle:
            for name, size in sorted(bundle.sizes.items()):
                digest.update(f"{name}\n{size}\n".encode())
                with bundle.open(name) as stream:
                    while chunk := stream.read(CHUNK):
                        digest.update(chunk)
        beside = verification_path(path)
        if path.is_file() and beside.is_file() and not beside.is_symlink():
            with beside.open("rb") as file:
                digest.update(b"beside\n" + file.read(CHUNK))
    except (SubmissionError, OSError):
        return None
    return folder / f"{digest.hexdigest()}.json"


def keep(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; without room for it everything works as before."""
    with contextlib.suppress(OSError):
        write_atomically(file, content)
