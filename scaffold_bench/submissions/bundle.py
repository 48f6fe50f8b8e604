"""Reads a submission's files from a folder or a zip archive without trusting either.

Nothing is unpacked to disk, no link is followed, only expected names are opened, and no more bytes are read than the
format allows, whatever a header claims.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scaffold_bench.submissions.model import (
    MAX_POLICY_BYTES,
    MAX_SUBMISSION_BYTES,
    POLICY_FILE,
    RECORDS,
    SUBMISSION,
    SubmissionError,
)
from scaffold_bench.submissions.text import plain

VERIFICATION = "verification.json"
MAX_PACKED_RECORDS = 64 * 2**20
MAX_BUNDLE_BYTES = 512 * 2**20
MAX_FILES = 500
POLICY_FOLDER = r"policy(/seed-\d{1,2})?"
ZIP_TAIL = 22
"""Bytes of a zip archive's end record without a comment."""
MAX_ZIP_DIRECTORY = 2**18
"""Bytes of a zip archive's directory: room for many times the files there can be."""
LIMITS = {SUBMISSION: MAX_SUBMISSION_BYTES, RECORDS: MAX_PACKED_RECORDS, VERIFICATION: MAX_SUBMISSION_BYTES}
"""Largest size of each file, bytes; those of a policy have their own."""


@dataclass(frozen=True)
class Bundle:
    """The files of a submission: ``sizes`` by name, and how one of them is opened."""

    sizes: Mapping[str, int]
    opener: Callable[[str], IO[bytes]]

    def __post_init__(self) -> None:
        for name, size in self.sizes.items():
            largest = MAX_POLICY_BYTES if re.fullmatch(POLICY_FILE, name) else LIMITS.get(name)
            if largest is None:
                raise SubmissionError(f'"{plain(name)}" is no file of a submission; remove it')
            if size > largest:
                raise SubmissionError(f'"{plain(name)}" has {size} bytes, more than {largest}; make it smaller')
        if sum(self.sizes.values()) > MAX_BUNDLE_BYTES:
            raise SubmissionError(f"the submission has more than {MAX_BUNDLE_BYTES >> 20} MiB; make it smaller")

    def open(self, name: str) -> IO[bytes]:
        """A stream of a file.

        Raises:
            SubmissionError: there is no such file.
        """
        if name not in self.sizes:
            raise SubmissionError(f"{name} is missing; make the submission with 'submit prepare'")
        return self.opener(name)

    def read(self, name: str) -> bytes:
        """A whole small file.

        Raises:
            SubmissionError: it is missing, or larger than it said.
        """
        with self.open(name) as stream:
            raw = stream.read(self.sizes[name] + 1)
        if len(raw) != self.sizes[name]:
            raise SubmissionError(f"{name} changed while it was read; try again")
        return raw


def _walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Names and sizes below a folder; stops at the first thing that cannot belong to a submission."""
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            name = prefix + entry.name
            if count >= MAX_FILES:
                raise SubmissionError(f"a folder of it has more than {MAX_FILES} files; remove what is extra")
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and re.fullmatch(POLICY_FOLDER, name):
                yield from _walk(folder / entry.name, f"{name}/")
            elif stat.S_ISDIR(status.st_mode):
                raise SubmissionError(f'"{plain(name)}" is no folder of a submission; remove it')
            elif stat.S_ISREG(status.st_mode):
                yield name, status.st_size
            else:
                raise SubmissionError(f'"{plain(name)}" is a link or no ordinary file; put the file itself there')


def _open_unlinked(path: Path) -> IO[bytes]:
    """A file's stream; a link that took its place meanwhile is not followed."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _listed(archive: zipfile.ZipFile) -> dict[str, int]:
    """Names and sizes in an archive; stops at the first thing that cannot belong to a submission."""
    sizes: dict[str, int] = {}
    for info in archive.infolist():
        name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/") and info.file_size == 0 and kind in (0, stat.S_IFDIR):
            continue
        if name == VERIFICATION:
            raise SubmissionError(f"{VERIFICATION} belongs beside an archive, not into it; remove it")
        if name != info.orig_filename or name in sizes:
            raise SubmissionError(f'the archive has "{plain(info.orig_filename)}" twice or in disguise; remove it')
        if kind not in (0, stat.S_IFREG):
            raise SubmissionError(f'"{plain(name)}" is a link or no ordinary file; put the file itself there')
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SubmissionError(f'"{plain(name)}" is encrypted or packed in another way than deflate; zip it anew')
        sizes[name] = info.file_size
    return sizes


def _check_directory(path: Path) -> None:
    """Refuse an archive whose directory would fill the memory, before anything reads it: raises SubmissionError unless
    its last bytes are the end of a plain, short directory."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - ZIP_TAIL - 20))
        tail = file.read()
    end = tail[-ZIP_TAIL:]
    if len(end) < ZIP_TAIL or not end.startswith(b"PK\x05\x06"):
        raise SubmissionError("the archive is no zip file without a comment; make it with 'submit prepare'")
    if tail[:-ZIP_TAIL].startswith(b"PK\x06\x07"):
        raise SubmissionError("the archive is a zip64 file; make it with 'submit prepare'")
    if int.from_bytes(end[12:16], "little") > MAX_ZIP_DIRECTORY:
        raise SubmissionError("the archive lists more files than a submission has; make it with 'submit prepare'")


@contextmanager
def open_bundle(path: str | Path) -> Iterator[Bundle]:
    """Open a submission, a folder or a zip archive.

    Raises:
        SubmissionError: there is none, or it has what no submission has; also for damage that is found on reading.
    """
    target = Path(path)
    shown = plain(target, 200)
    try:
        mode = target.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield Bundle(dict(_walk(target)), lambda name: _open_unlinked(target / name))
            return
        if not stat.S_ISREG(mode):
            raise SubmissionError(f"{shown} is a link or no ordinary file; give the folder or archive itself")
        if target.stat().st_size > MAX_BUNDLE_BYTES:
            raise SubmissionError(f"{shown} has more than {MAX_BUNDLE_BYTES >> 20} MiB; make it smaller")
        _check_directory(target)
        with zipfile.ZipFile(target) as archive:
            yield Bundle(_listed(archive), archive.open)
    except FileNotFoundError:
        raise SubmissionError(f"{shown} is not there or lost a file; give the path of a submission") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        reason = f"{type(error).__name__}: {plain(error, 120)}"
        raise SubmissionError(f"{shown} cannot be read ({reason}); make it with 'submit prepare'") from None
