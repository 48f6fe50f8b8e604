"""Reads the records of an evaluation."""

from __future__ import annotations

from pathlib import Path

from scaffold_bench.records.episode import EpisodeRecord, parse_record
from scaffold_bench.records.folder import EvaluationError


def read_records(path: Path) -> list[EpisodeRecord]:
    """Read ``records.jsonl``. A last line cut off by a killed run is ignored.

    Raises:
        EvaluationError: any other line is damaged, or an episode appears twice.
    """
    records: list[EpisodeRecord] = []
    seen: set[tuple[str, int, int]] = set()
    *lines, _torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_record(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise EvaluationError(
                f"{path}, line {number}, is damaged ({error}); restore the file or choose another --out"
            ) from None
        if record.key in seen:
            raise EvaluationError(f"{path}, line {number}, repeats the episode {record.key}; choose another --out")
        seen.add(record.key)
        records.append(record)
    return records
