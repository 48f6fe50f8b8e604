"""Hostile submissions are refused with a reason, or shown as the text they are, in little memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import re
import shutil
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import ROWS, edited, lines_of, make_actor_submission, make_submission, write_lines

from scaffold_bench.submissions import markdown, parse_submission, validate
from scaffold_bench.submissions.model import MAX_ROWS, SubmissionError

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")

MEMORY = 32 * 2**20
"""Bytes that checking any of these may take."""
GIGABYTES = 10 * 2**30


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    make_submission(folder / "a", vlm_model="some model", description="A method.", links=("https://example.org",))
    make_actor_submission(folder / "b")
    return folder


@pytest.fixture
def mine(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "a" / "mine", tmp_path / "mine"))


@pytest.fixture
def actor(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "b" / "actor", tmp_path / "actor"))


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


def with_row(submission: Path, old: str, new: str) -> Path:
    """The first row that has ``old``, changed; the declared hash follows."""
    lines = lines_of(submission)
    place = next(i for i, line in enumerate(lines) if re.search(old, line))
    lines[place] = re.sub(old, new, lines[place], count=1)
    write_lines(submission, lines)
    return submission


def without_facts(line: str) -> str:
    """A row as older releases wrote it."""
    facts = ("lost_step", "contact_step", "leave_step", "keypoint_error")
    return json.dumps({name: value for name, value in json.loads(line).items() if name not in facts}, sort_keys=True)


def without_keypoints(lines: list[str]) -> list[str]:
    """The first failure does not say where its keypoints are."""
    place = next(i for i, line in enumerate(lines) if '"failure": "t' in line)
    row = json.loads(lines[place])
    del row["keypoint_error"]
    return [*lines[:place], json.dumps(row, sort_keys=True), *lines[place + 1 :]]


def with_text(submission: Path, old: str, new: str) -> Path:
    """``submission.json`` with one piece of its text replaced."""
    path = submission / "submission.json"
    text = path.read_text()
    changed = re.sub(old, new.replace("\\", "\\\\"), text, count=1)
    assert changed != text
    path.write_text(changed)
    return submission


def with_policy(submission: Path, raw: bytes, declare: bool = True) -> Path:
    """The first policy file replaced; its declared hash follows, and that of the checkpoint."""
    with edited(submission) as told:
        file = told["policy"]["files"][0]
        (submission / file["path"]).write_bytes(raw)
        if declare:
            file |= {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
            digest = hashlib.sha256()
            for path in sorted((submission / "policy" / "seed-0").iterdir()):
                digest.update(path.name.encode() + path.read_bytes())
            told["policy"]["checkpoints"][0] = digest.hexdigest()
    return submission


def safetensors(header: Any, tensors: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def declare(submission: Path, **changes: Any) -> Path:
    with edited(submission) as told:
        for name, value in changes.items():
            *path, last = name.split("__")
            place = told
            for part in path:
                place = place[part]
            place[last] = value
    return submission


def moved(submission: Path, order: Callable[[list[str]], list[str]]) -> Path:
    write_lines(submission, order(lines_of(submission)))
    return submission


def replaced(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


def linked_away(submission: Path, name: str) -> Path:
    """A file of the submission moved out of it, and a link in its place."""
    outside = submission.parent / "outside"
    shutil.move(submission / name, outside)
    (submission / name).symlink_to(outside)
    return submission


def sparse(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def tensor(shape: list[int], start: int, stop: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


Case = tuple[Callable[[Path], Path | None], str]
WHOLE: dict[str, Case] = {
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
        f'"{ROWS}" has 134217728 bytes, more than 67108864',
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
        lambda s: [written(s / f"{i}.json", b"") for i in range(600)],
        "has more than 500 files|is no file",
    ),
    "10 GB of records": (lambda s: sparse(s / ROWS, GIGABYTES), f"has {GIGABYTES} bytes, more than"),
    "10 GB of submission": (lambda s: sparse(s / "submission.json", GIGABYTES), f"has {GIGABYTES} bytes, more than"),
    "no records": (lambda s: (s / ROWS).unlink(), f"{ROWS} is missing"),
    "nothing": (lambda s: [path.unlink() for path in s.iterdir()], "submission.json is missing"),
    "undeclared policy": (
        lambda s: written(s / "policy/seed-0/a.safetensors", b"x"),
        r"a\.safetensors is not declared in policy\.files",
    ),
    # ------------------------------------------------------------------ records
    "gzip bomb in one line": (
        lambda s: gzip_of(repeated(b"\0" * 2**20, 300), s / ROWS),
        "unpacks to more than records need",
    ),
    "gzip bomb of empty lines": (
        lambda s: gzip_of(repeated(b"\n" * 2**20, 100), s / ROWS),
        "is not read beyond row 20",
    ),
    "gzip bomb of good rows": (
        lambda s: gzip_of(repeated(f"{lines_of(s)[0]}\n".encode(), 100_000), s / ROWS),
        "is not read beyond row 48",
    ),
    "no gzip": (lambda s: written(s / ROWS, b"{}"), "is damaged"),
    "cut gzip": (lambda s: rewritten(s / ROWS, lambda raw: raw[:-30]), "is damaged"),
    "rubbish after gzip": (lambda s: rewritten(s / ROWS, lambda raw: raw + b"rubbish"), "is damaged"),
    "no rows": (lambda s: write_lines(s, []), "hammer, training seed number 0, state 0, trial 0 is missing"),
    "duplicate row": (
        lambda s: moved(s, lambda rows: [*rows[:3], rows[2], *rows[3:]]),
        "hammer, training seed number 0, state 1, trial 0 is there more than once",
    ),
    "missing row": (
        lambda s: moved(s, lambda rows: rows[:7] + rows[8:]),
        "hammer, training seed number 1, state 0, trial 1 is missing",
    ),
    "duplicate in place of another": (
        lambda s: moved(s, lambda rows: [*rows[:-1], rows[0]]),
        "pliers, training seed number 1, state 2, trial 1 is missing",
    ),
    "reordered rows": (
        lambda s: moved(s, lambda rows: [rows[1], rows[0], *rows[2:]]),
        "row 2, hammer, training seed number 0, state 0, trial 0, is out of order",
    ),
    "end without a line break": (
        lambda s: rewritten(s / ROWS, lambda raw: gzip.compress(gzip.decompress(raw)[:-1])),
        "ends within a row",
    ),
    "NaN": (lambda s: with_row(s, r'"reward": [\d.]+', '"reward": NaN'), "row 1, has NaN, which is no number"),
    "Infinity": (lambda s: with_row(s, r'"reward": [\d.]+', '"reward": -Infinity'), "row 1, has -Infinity"),
    "a step as a fraction": (lambda s: with_row(s, r'"contact_step": 80', '"contact_step": 80.0'), "row 1, "),
    "what is not known as null": (lambda s: with_row(s, r'"contact_step": 80', '"contact_step": null'), "row 1, "),
    "a step after the end": (
        lambda s: with_row(s, r'"leave_step": 100', '"leave_step": 301'),
        "a step that no episode",
    ),
    "lost and tracked": (
        lambda s: with_row(s, r'"lost_step": -?\d+(.*"tracked_fraction": )[\d.]+', r'"lost_step": 5\g<1>1.0'),
        "row 1, ",
    ),
    "keypoints nearer than right": (
        lambda s: with_row(s, r'"keypoint_error": [\d.e-]+', '"keypoint_error": -0.5'),
        "keypoint error",
    ),
    "facts left out of one row": (
        lambda s: with_row(s, r'"(contact|leave|lost)_step": -?\d+, ', ""),
        "says only in part when tracking was lost",
    ),
    "keypoints left out of a failure": (lambda s: moved(s, without_keypoints), "does not say how far its keypoints"),
    "all facts left out of one row": (
        lambda s: moved(s, lambda rows: [without_facts(rows[0]), *rows[1:]]),
        "some rows say when tracking was lost, others do not",
    ),
    "infinite by its exponent": (lambda s: with_row(s, r'"reward": [\d.]+', '"reward": 1e999'), "row 1, "),
    "NaN in a measure": (lambda s: with_row(s, r'"height": [\d.]+', '"height": NaN'), "row 1, has NaN"),
    "huge integer": (lambda s: with_row(s, '"state": 0', f'"state": {"9" * 4000}'), "row 1, has state 9999"),
    "larger integer than Python reads": (lambda s: with_row(s, '"state": 0', f'"state": {"9" * 8000}'), "row 1, "),
    "huge integer for a number": (
        lambda s: with_row(s, r'"reward": [\d.]+', f'"reward": {"9" * 999}'),
        "row 1, has a rew",
    ),
    "negative state": (lambda s: with_row(s, '"state": 0', '"state": -1'), "row 1, has state -1"),
    "number as text": (
        lambda s: with_row(s, '"state": 0', '"state": "0"'),
        "row 1, has a state that is not as in a row",
    ),
    "truth as number": (lambda s: with_row(s, '"state": 1', '"state": true'), "has a state that is not as in a row"),
    "nested row": (lambda s: moved(s, lambda rows: ["[" * 8000, *rows[1:]]), "row 1, "),
    "deeply nested measure": (
        lambda s: with_row(s, r'"height": [\d.]+', '"height": ' + "[" * 3000 + "]" * 3000),
        "row 1, ",
    ),
    "a name twice": (lambda s: with_row(s, '"state": 0', '"state": 7, "state": 0'), "row 1, is not written as"),
    "another spelling of a number": (
        lambda s: with_row(s, '"length": 300', '"length":  300'),
        "row 1, is not written as",
    ),
    "extra field": (lambda s: with_row(s, "{", '{"aa": 1, '), "row 1, has not the fields of a row"),
    "missing field": (lambda s: with_row(s, r'"reward": [\d.]+, ', ""), "row 1, has not the fields of a row"),
    "no object": (lambda s: moved(s, lambda rows: ["null", *rows[1:]]), "row 1, has not the fields of a row"),
    "endless row": (
        lambda s: with_row(s, r'"plan": "', '"plan": "' + "a" * 200_000),
        "unpacks to more than records need",
    ),
    "script in a measure's name": (lambda s: with_row(s, '"angle"', '"<b>"'), "has a measure that is not as in a row"),
    "a thousand measures": (
        lambda s: with_row(s, '"angle"', ", ".join(f'"a{i:04d}": 1.0' for i in range(400)) + ', "angle"'),
        "row 1, has a set of 402 measures",
    ),
    "not ASCII": (lambda s: with_row(s, '"hammer"', '"h\u00e4mmer"'), "is damaged|row 1, "),
    "terminal codes in a task": (lambda s: with_row(s, '"task": "hammer"', r'"task": "\\u001b[31m"'), "row 1, is of "),
    "another task": (lambda s: with_row(s, '"task": "hammer"', '"task": "apple"'), "row 1, is of apple"),
    "another version of a task": (
        lambda s: with_row(s, "Hammer-v0", "Hammer-v1"),
        "row 1, is of hammer, Scaffold-Hammer-v1",
    ),
    "training states": (lambda s: with_row(s, '"eval"', '"train"'), "row 1, is of hammer, Scaffold-Hammer-v0, train"),
    "another seed": (lambda s: with_row(s, r'"seed": \d+', '"seed": 1'), "row 1, has the seed 1"),
    "another training seed": (
        lambda s: with_row(s, '"training_seed": 0', '"training_seed": 9'),
        "row 1, has training seed 9",
    ),
    "seed index out of range": (lambda s: with_row(s, '"seed_index": 0', '"seed_index": -1'), "as number -1"),
    "short episode": (lambda s: with_row(s, '"length": 300', '"length": 30'), "row 1, has length 30"),
    "success that never was": (
        lambda s: with_row(s, '"success_once": false', '"success_once": true'),
        "has first_success -1, unlike its success_once",
    ),
    "more than all tracked": (
        lambda s: with_row(s, r'"tracked_fraction": [\d.]+', '"tracked_fraction": 1.5'),
        "tracked_frac",
    ),
    "other rows than declared": (
        lambda s: write_lines(s, [lines_of(s)[0].replace("eval", "eval"), *lines_of(s)[:0:-1]], declare=False),
        "is out of order",
    ),
    # ------------------------------------------------------------------ submission.json
    "wrong hash of the records": (
        lambda s: declare(s, records__sha256="00" * 32),
        "the hash of the rows is not the declared",
    ),
    "wrong hash of the plans": (lambda s: declare(s, plans__set_sha256="00" * 32), "plans.set_sha256 is not the hash"),
    "wrong score": (
        lambda s: declare(s, aggregates__mean_success_once__mean=0.75),
        "aggregates.mean_success_once.mean is 0.75",
    ),
    "claim of 10 GB of rows": (lambda s: declare(s, records__rows=10**10), "records.rows Input should be less than"),
    "claim of endless states": (lambda s: declare(s, protocol__states=10**10), "protocol.states Input should be less"),
    "claim of endless episodes": (
        lambda s: declare(s, protocol__states=100, protocol__trials=100, protocol__training_seeds=list(range(20))),
        f"has 400000 episodes, more than {MAX_ROWS}",
    ),
    "NaN in what it says": (lambda s: with_text(s, r'"low": [\d.]+', '"low": NaN'), "NaN is not a number"),
    "Infinity in what it says": (
        lambda s: with_text(s, r'"low": [\d.]+', '"low": Infinity'),
        "Infinity is not a number",
    ),
    "1e999 in what it says": (lambda s: with_text(s, r'"low": [\d.]+', '"low": 1e999'), "should be written inf"),
    "huge integer in what it says": (lambda s: with_text(s, r'"rows": \d+', f'"rows": {"9" * 4000}'), "records.rows "),
    "huge integer for a score": (lambda s: with_text(s, r'"low": [\d.]+', f'"low": {"9" * 4000}'), "aggregates.*low "),
    "larger integer in what it says": (
        lambda s: with_text(s, r'"rows": \d+', f'"rows": {"9" * 8000}'),
        "is not readable",
    ),
    "deeply nested": (lambda s: written(s / "submission.json", b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    "nested objects": (
        lambda s: written(s / "submission.json", b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
        "nested too deep",
    ),
    "longer than it may be": (lambda s: declare(s, method__description="x" * 2**18), "bytes, more than 262144"),
    "long name": (lambda s: declare(s, method__name="x" * 81), "method.name String should have at most 80 characters"),
    "long description": (
        lambda s: declare(s, method__description="x" * 4001),
        "method.description String should have at most",
    ),
    "many authors": (lambda s: declare(s, method__authors=["x"] * 51), "method.authors List should have at most 50"),
    "no author": (lambda s: declare(s, method__authors=[]), "method.authors List should have at least 1"),
    "a name given twice": (lambda s: with_text(s, r"\{", '{"format": 1,'), "a name is given twice"),
    "unknown field": (lambda s: declare(s, exec="rm"), "exec Extra inputs are not permitted"),
    "unknown field with a bad name": (
        lambda s: declare(s, **{"<script>\u202e\x1b[0m": 1}),
        r"<script>\\u202e\\x1b\[0m Extra inputs are not permitted",
    ),
    "number as text in what it says": (lambda s: declare(s, format="1"), "format "),
    "not UTF-8": (
        lambda s: rewritten(s / "submission.json", lambda raw: raw.replace(b"Mine", b"M\xffne")),
        "is not readable",
    ),
    "empty": (lambda s: written(s / "submission.json", b""), "is not readable"),
    "forged verification": (lambda s: written(s / "verification.json", b'{"badge": "re-run"}'), "is no verification"),
}
POLICY: dict[str, Case] = {
    "pickle renamed to safetensors": (
        lambda s: with_policy(s, pickle.dumps({"a": [1.0] * 50})),
        "is no safetensors file",
    ),
    "archive renamed to safetensors": (lambda s: with_policy(s, b"PK\x03\x04" + b"\0" * 200), "is no safetensors file"),
    "empty": (lambda s: with_policy(s, b""), "bytes Input should be greater"),
    "shorter than its own length": (lambda s: with_policy(s, b"abc"), "is no safetensors file"),
    "header of 10 GB": (lambda s: with_policy(s, GIGABYTES.to_bytes(8, "little") + b"{}"), "is no safetensors file"),
    "tensor of 10 GB": (
        lambda s: with_policy(s, safetensors({"a": tensor([GIGABYTES // 4], 0, GIGABYTES)}, b"\0" * 4)),
        f"holds 4 bytes of tensors, its header says {GIGABYTES}",
    ),
    "pickle behind a header": (
        lambda s: with_policy(s, safetensors({"a": tensor([1], 0, 4)}, b"\0" * 4 + pickle.dumps([1] * 20))),
        "bytes of tensors, its header says 4",
    ),
    "overlapping tensors": (
        lambda s: with_policy(s, safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, b"\0" * 4)),
        "do not lie side by side",
    ),
    "shape that is not its size": (
        lambda s: with_policy(s, safetensors({"a": tensor([9], 0, 4)}, b"\0" * 4)),
        "do not lie side by side",
    ),
    "huge shape": (
        lambda s: with_policy(s, safetensors({"a": tensor([2**60, 2**60], 0, 4)}, b"\0" * 4)),
        "out of range",
    ),
    "negative offset": (lambda s: with_policy(s, safetensors({"a": tensor([1], -4, 0)}, b"")), "out of range"),
    "unknown type": (
        lambda s: with_policy(s, safetensors({"a": tensor([1], 0, 4, "O8")}, b"\0" * 4)),
        "is no safetensors",
    ),
    "no tensors": (lambda s: with_policy(s, safetensors({})), "it has 0 tensors"),
    "deeply nested header": (lambda s: with_policy(s, safetensors(b"[" * 60000)), "is no safetensors file"),
    "other weights than declared": (
        lambda s: with_policy(s, safetensors({"a": tensor([1], 0, 4)}, b"\0" * 4), declare=False),
        "hash or size is not the declared one",
    ),
    "other weights than evaluated": (
        lambda s: declare(s, policy__checkpoints=["00" * 32] * 2),
        "not those that were evaluated",
    ),
    "missing file": (lambda s: shutil.rmtree(s / "policy" / "seed-1"), "is missing"),
    "path outside": (
        lambda s: with_text(s, "policy/seed-0/hammer", "../policy/seed-0/hammer"),
        "policy.files.0.path String should match pattern",
    ),
    "link to a file": (lambda s: linked_away(s, "policy/seed-0/hammer.safetensors"), "is a link"),
}


def rewritten(path: Path, change: Callable[[bytes], bytes]) -> Path | None:
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    return path if path.suffix == ".zip" else None


def written(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


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


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_a_hostile_submission_is_refused_with_a_reason(mine: Path, case: Case) -> None:
    check(mine, case)


@pytest.mark.parametrize("case", POLICY.values(), ids=POLICY)
def test_a_hostile_policy_is_refused_with_a_reason(actor: Path, case: Case) -> None:
    check(actor, case)


def test_the_originals_are_valid(mine: Path, actor: Path) -> None:
    assert validate(mine).problems == validate(zipped(mine)).problems == validate(actor).problems == []
    assert validate(zipped(actor)).problems == []


# ------------------------------------------------------------------------------------------------ text
PAYLOADS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "| a | b |",
    "@everyone #1 `code` **bold** <!-- -->",
    "{{ 7 * 7 }} ${7*7} %s {0}",
    "&lt;script&gt;",
    "</code><script>alert(1)</script>",
]


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where ``submission.json`` has text."""
    if isinstance(value, str):
        yield path
    for name, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from texts(part, (*path, name))


def read_or_refused(raw: bytes) -> Any:
    """What ``submission.json`` says, or None if it was refused."""
    try:
        return parse_submission(raw).model_dump()
    except SubmissionError:
        return None


def test_scripts_in_any_text_are_refused_or_kept_as_text(mine: Path) -> None:
    path, kept = mine / "submission.json", set()
    original = json.loads(path.read_text())
    places = list(texts(original))
    assert len(places) > 30
    for place in places:
        for payload in PAYLOADS:
            data = json.loads(json.dumps(original))
            spot = data
            for part in place[:-1]:
                spot = spot[part]
            spot[place[-1]] = payload
            told = read_or_refused(json.dumps(data).encode())
            if told is None:
                continue
            for part in place:
                told = told[part]
            assert told == payload
            kept.add(place)
    assert {place[:2] for place in kept} == {
        ("method", "name"),
        ("method", "authors"),
        ("method", "description"),
        ("plans", "provider"),
        ("policy", "reference"),
        ("training", "hardware"),
        ("vlm", "model"),
        ("evaluated", "hardware"),
    }


@pytest.mark.parametrize("payload", PAYLOADS)
def test_kept_scripts_are_shown_and_never_obeyed(mine: Path, payload: str) -> None:
    with edited(mine) as told:
        told["method"] |= {"name": payload, "authors": [payload], "description": f"{payload}\n\n# {payload}"}
        told["vlm"]["model"] = told["training"]["hardware"] = told["evaluated"]["hardware"] = payload
        told["policy"]["reference"] = payload
    report = validate(mine)
    assert report.problems == []
    assert report.submission is not None
    assert report.submission.method.name == payload
    assert harmless(markdown(report))


def test_a_hostile_folder_name_is_only_text(mine: Path) -> None:
    folder = mine.rename(mine.with_name("<img src=x onerror=alert(1)>|@a"))
    assert harmless(markdown(validate(folder)))


# ------------------------------------------------------------------------------------------------ a changed digit
def changed_digit(text: str, pick: int, digit: int) -> str:
    """The text with one of its digits replaced by another."""
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    place = places[pick % len(places)]
    other = str((int(text[place]) + 1 + digit % 9) % 10)
    return text[:place] + other + text[place + 1 :]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.integers(0, 10**9), digit=st.integers(0, 8))
def test_a_changed_digit_in_a_record_is_noticed(mine: Path, pick: int, digit: int) -> None:
    packed = mine / ROWS
    original = packed.read_bytes()
    text = gzip.decompress(original).decode()
    try:
        packed.write_bytes(gzip.compress(changed_digit(text, pick, digit).encode(), 1))
        assert validate(mine).problems
    finally:
        packed.write_bytes(original)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.integers(0, 10**9), digit=st.integers(0, 8))
def test_a_changed_digit_in_an_aggregate_is_noticed(mine: Path, pick: int, digit: int) -> None:
    path = mine / "submission.json"
    original = path.read_text()
    head, aggregates = original.split('"aggregates"')
    try:
        path.write_text(f'{head}"aggregates"{changed_digit(aggregates, pick, digit)}')
        assert validate(mine).problems
    finally:
        path.write_text(original)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success_at_end", "false"),
        ("tracking_error_mean", "0.02999"),
        ("grip_force", "9.5"),
        ("tips_in_contact", "3.5"),
    ],
)
def test_a_changed_score_is_noticed_even_if_the_hash_follows(mine: Path, field: str, value: str) -> None:
    lines = lines_of(mine)
    place = next(i for i, line in enumerate(lines) if '"success_at_end": true' in line)
    lines[place] = re.sub(rf'"{field}": [\w.]+', f'"{field}": {value}', lines[place])
    write_lines(mine, lines)
    problems = validate(mine).problems
    assert problems
    assert all(problem.startswith("aggregates.") for problem in problems)


def test_a_number_in_another_spelling_is_refused() -> None:
    # it would read as the same number, so a changed last digit could pass
    with pytest.raises(SubmissionError, match=r"the number 0.10000000000000001 should be written 0.1"):
        parse_submission(b'{"a": 0.10000000000000001}')
