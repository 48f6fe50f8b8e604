"""Episode records, and the files of an evaluation or a training run: manifest, whole writes, reading."""

from scaffold_bench.files import write_atomically
from scaffold_bench.records.episode import EpisodeRecord, parse_record, record_line
from scaffold_bench.records.folder import EvaluationError, manifest, package_versions
from scaffold_bench.records.run import read_records

__all__ = [
    "EpisodeRecord",
    "EvaluationError",
    "manifest",
    "package_versions",
    "parse_record",
    "read_records",
    "record_line",
    "write_atomically",
]
