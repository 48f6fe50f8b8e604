"""Reads the folder of an evaluation: its manifest and its records."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from scaffold_bench.records.episode import EpisodeRecord, parse_record
from scaffold_bench.records.folder import MANIFEST, RECORDS, EvaluationError

MAX_BYTES = 2**28
"""Of a file of records, unpacked: many times what the full protocol makes."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """What an evaluation's folder says was run.

    Raises:
        EvaluationError: there is no manifest, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _no_evaluation(folder, error) from None
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise EvaluationError(f"{path} is damaged; choose another --out or delete the folder")
    return manifest


def read_records(path: Path) -> list[EpisodeRecord]:
    """Read the records of an evaluation, not the rows of a submission. A last line cut off by a killed run is ignored.

    Args:
        path: ``records.jsonl``, the same packed as ``records.jsonl.gz``, or the folder with one of them.

    Raises:
        EvaluationError: there is no such file, any other line is damaged, or an episode appears twice.
    """
    if path.is_dir():
        path = path / RECORDS if (path / RECORDS).exists() else path / f"{RECORDS}.gz"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _no_evaluation(path.parent, error) from None
    if len(raw) > MAX_BYTES:
        raise EvaluationError(
            f"{path} holds more than {MAX_BYTES >> 20} MiB, more than records need; give another file"
        )
    records: list[EpisodeRecord] = []
    seen: set[tuple[str, int, int]] = set()
    *lines, _torn = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_record(line)
        except ValueError as error:
            raise EvaluationError(
                f"{path}, line {number}, is damaged ({error}); restore the file or choose another --out"
            ) from None
        if record.key in seen:
            raise EvaluationError(f"{path}, line {number}, repeats the episode {record.key}; choose another --out")
        seen.add(record.key)
        records.append(record)
    return records


def _no_evaluation(folder: Path, error: Exception) -> EvaluationError:
    return EvaluationError(f"{folder} is no finished evaluation ({error}); give a folder that 'evaluate --out' wrote")
