"""What the tests of hostile submissions share: how to spoil one, and what is asserted of its report."""

from __future__ import annotations

import re
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthetic import edited, lines_of, write_lines

from scaffold_bench.submissions import markdown, validate

MEMORY = 32 * 2**20
"""Bytes that checking any of these may take."""
GIGABYTES = 10 * 2**30
Case = tuple[Callable[[Path], Path | None], str]
"""How a submission is spoiled (a path that comes back is the submission to check), and the reason for refusing it."""


def zipped(submission: Path, *extra: tuple[zipfile.ZipInfo | str, bytes], without: str = "") -> Path:
    """The submission as an archive, with further members."""
    archive = submission.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(submission.rglob("*")):
            if path.is_file() and path.name != without:
                file.write(path, path.relative_to(submission).as_posix())
        for member, raw in extra:
            file.writestr(member, raw)
    return archive


def with_row(submission: Path, old: str, new: str) -> Path:
    """The first row that has ``old``, changed; the declared hash follows."""
    lines = lines_of(submission)
    place = next(i for i, line in enumerate(lines) if re.search(old, line))
    lines[place] = re.sub(old, new, lines[place], count=1)
    write_lines(submission, lines)
    return submission


def with_text(submission: Path, old: str, new: str) -> Path:
    """``submission.json`` with one piece of its text replaced."""
    path = submission / "submission.json"
    text = path.read_text()
    changed = re.sub(old, new.replace("\\", "\\\\"), text, count=1)
    assert changed != text
    path.write_text(changed)
    return submission


def declare(submission: Path, **changes: Any) -> Path:
    with edited(submission) as told:
        for name, value in changes.items():
            *path, last = name.split("__")
            place = told
            for part in path:
                place = place[part]
            place[last] = value
    return submission


def linked_away(submission: Path, name: str) -> Path:
    """A file of the submission moved out of it, and a link in its place."""
    outside = submission.parent / "outside"
    shutil.move(submission / name, outside)
    (submission / name).symlink_to(outside)
    return submission


def sparse(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def rewritten(path: Path, change: Callable[[bytes], bytes]) -> Path | None:
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    return path if path.suffix == ".zip" else None


def written(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def check(path: Path, case: Case) -> None:
    spoil, reason = case
    spoiled = spoil(path)
    target = spoiled if isinstance(spoiled, Path) else path
    tracemalloc.start()
    try:
        report = validate(target)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert re.search(reason, "\n".join(report.problems)), report.problems
    assert (report.ok, report.badge) == (False, "self-reported")
    assert peak < MEMORY
    for problem in report.problems:  # in plain sentences, whatever was in there
        assert problem.isprintable()
        assert problem.isascii()
        assert len(problem) < 500
    assert len(report.problems) <= 60
    assert harmless(markdown(report))


def harmless(text: str) -> bool:
    """Whether nothing but this project's own markup is in a report."""
    bare = re.sub(r"</?code>|&#\d+;|&lt;", "", text)
    return not re.search(r"""[<>"'@`\\]|\]\(|&|javascript:|https?:""", bare)
