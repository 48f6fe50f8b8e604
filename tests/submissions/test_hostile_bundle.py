"""Hostile archives, folders and packed files are refused with a reason, in little memory."""

from __future__ import annotations

import gzip
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import GIGABYTES, Case, check, linked_away, rewritten, sparse, written, zipped
from synthetic import ROWS, lines_of

from scaffold_bench.submissions import validate
from scaffold_bench.submissions.bundle import MAX_FILES, MAX_PACKED_RECORDS
from scaffold_bench.submissions.model import MAX_LISTED

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def linked(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def gzip_of(pieces: Iterator[bytes], path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)


def repeated(piece: bytes, times: int) -> Iterator[bytes]:
    return (piece for _ in range(times))


def lying(archive: Path, name: str, size: int) -> Path:
    """An archive that claims another size for a member, in both places where it is written."""
    raw = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo(name).header_offset
    struct.pack_into("<I", raw, start + 22, size)
    for found in re.finditer(re.escape(b"PK\x01\x02"), bytes(raw)):
        place = found.start()
        if raw[place + 46 : place + 46 + len(name)] == name.encode():
            struct.pack_into("<I", raw, place + 24, size)
    archive.write_bytes(raw)
    return archive


def replaced(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


def packed_with(submission: Path, method: int) -> Path:
    archive = submission.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in submission.iterdir():
            file.write(path, path.name)
    return archive


def link_to(submission: Path) -> Path:
    link = submission.with_name("link")
    link.symlink_to(submission)
    return link


CASES: dict[str, Case] = {
    # ------------------------------------------------------------------ archives
    "path traversal": (lambda s: zipped(s, ("../evil.json", b"{}")), r'"\.\./evil\.json" is no file of a submission'),
    "absolute path": (lambda s: zipped(s, ("/etc/evil", b"")), '"/etc/evil" is no file of a submission'),
    "traversal in the policy": (
        lambda s: zipped(s, ("policy/seed-0/../../x.safetensors", b"x")),
        "is no file of a sub",
    ),
    "backslashes": (lambda s: zipped(s, ("policy\\seed-0\\a.safetensors", b"x")), "is no file of a submission"),
    "drive letter": (lambda s: zipped(s, ("C:evil", b"x")), "is no file of a submission"),
    "hidden end of a name": (
        lambda s: rewritten(zipped(s, (f"{ROWS}~.exe", b"x"), without=ROWS), lambda raw: raw.replace(b"~", b"\0")),
        "twice or in disguise",
    ),
    "a member twice": (lambda s: zipped(s, ("submission.json", b"{}")), '"submission.json" twice or in disguise'),
    "script among the files": (
        lambda s: zipped(s, ("setup.py", b"import os")),
        '"setup.py" is no file of a submission',
    ),
    "link in an archive": (lambda s: zipped(s, linked(ROWS, "/etc/passwd"), without=ROWS), "is a link or no ordinary"),
    "verification in an archive": (lambda s: zipped(s, ("verification.json", b"{}")), "belongs beside an archive"),
    "zip bomb": (
        lambda s: zipped(s, (ROWS, b"\0" * 2**27), without=ROWS),
        f'"{ROWS}" has {2**27} bytes, more than {MAX_PACKED_RECORDS}',
    ),
    "zip bomb that lies about its size": (
        lambda s: lying(zipped(s, (ROWS, b"\0" * 2**27), without=ROWS), ROWS, 1000),
        "cannot be read|is damaged",
    ),
    "archive that claims 4 GB": (lambda s: lying(zipped(s), ROWS, 2**32 - 2), "has 4294967294 bytes, more than"),
    "archive that claims 10 GB": (
        lambda s: rewritten(
            zipped(s), lambda raw: raw[:-22] + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1) + raw[-22:]
        ),
        "is a zip64 file",
    ),
    "archive with an endless directory": (
        lambda s: rewritten(zipped(s), lambda raw: raw[:-10] + struct.pack("<I", 2**31) + raw[-6:]),
        "lists more files than a submission has",
    ),
    "archive with a comment": (lambda s: rewritten(zipped(s), lambda raw: raw + b"x"), "is no zip file"),
    "no archive": (lambda s: rewritten(zipped(s), lambda _: b"hello" * 100), "is no zip file"),
    "cut archive": (lambda s: rewritten(zipped(s), lambda raw: raw[200:]), "cannot be read|is damaged"),
    "encrypted member": (
        lambda s: rewritten(
            zipped(s), lambda raw: raw.replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\1")
        ),
        "is encrypted",
    ),
    "other compression": (lambda s: packed_with(s, zipfile.ZIP_LZMA), "packed in another way than deflate"),
    # ------------------------------------------------------------------ folders
    "no such submission": (lambda s: s / "nowhere", "is not there"),
    "link to the records": (lambda s: linked_away(s, ROWS), f'"{ROWS}" is a link'),
    "link to what it says": (lambda s: linked_away(s, "submission.json"), '"submission.json" is a link'),
    "link to a folder": (lambda s: (s / "policy").symlink_to("/etc"), '"policy" is a link'),
    "the submission is a link": (lambda s: link_to(s), "is a link"),
    "pipe that never ends": (lambda s: replaced(s / ROWS, os.mkfifo), "is a link or no ordinary file"),
    "extra file": (lambda s: written(s / "run.sh", b"rm -rf"), '"run.sh" is no file of a submission'),
    "extra folder": (lambda s: (s / "a" / "b").mkdir(parents=True), '"a" is no folder of a submission'),
    "endless files": (
        lambda s: [written(s / f"{i}.json", b"") for i in range(MAX_FILES + 100)],
        f"has more than {MAX_FILES} files|is no file",
    ),
    "10 GB of records": (lambda s: sparse(s / ROWS, GIGABYTES), f"has {GIGABYTES} bytes, more than"),
    "10 GB of submission": (lambda s: sparse(s / "submission.json", GIGABYTES), f"has {GIGABYTES} bytes, more than"),
    "no records": (lambda s: (s / ROWS).unlink(), f"{ROWS} is missing"),
    "nothing": (lambda s: [path.unlink() for path in s.iterdir()], "submission.json is missing"),
    "undeclared policy": (
        lambda s: written(s / "policy/seed-0/a.safetensors", b"x"),
        r"a\.safetensors is not declared in policy\.files",
    ),
    # ------------------------------------------------------------------ packed records
    "gzip bomb in one line": (
        lambda s: gzip_of(repeated(b"\0" * 2**20, 300), s / ROWS),
        "unpacks to more than records need",
    ),
    "gzip bomb of empty lines": (
        lambda s: gzip_of(repeated(b"\n" * 2**20, 100), s / ROWS),
        f"is not read beyond row {MAX_LISTED}",
    ),
    "gzip bomb of good rows": (
        lambda s: gzip_of(repeated(f"{lines_of(s)[0]}\n".encode(), 100_000), s / ROWS),
        "is not read beyond row 48",
    ),
    "no gzip": (lambda s: written(s / ROWS, b"{}"), "is damaged"),
    "cut gzip": (lambda s: rewritten(s / ROWS, lambda raw: raw[:-30]), "is damaged"),
    "rubbish after gzip": (lambda s: rewritten(s / ROWS, lambda raw: raw + b"rubbish"), "is damaged"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_bundle_is_refused_with_a_reason(mine: Path, case: Case) -> None:
    check(mine, case)


def test_the_originals_are_valid(mine: Path, actor: Path) -> None:
    assert validate(mine).problems == validate(zipped(mine)).problems == validate(actor).problems == []
    assert validate(zipped(actor)).problems == []
