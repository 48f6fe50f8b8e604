"""Plan providers and plan files."""

from __future__ import annotations

from pathlib import Path

from scaffold_bench.scaffolds.oracle import OracleProvider, failed_scaffold, scaffold_from_waypoints
from scaffold_bench.scaffolds.recorded import RecordedProvider
from scaffold_bench.scaffolds.storage import ScaffoldEntry, ScaffoldFile, load_scaffolds, save_scaffolds
from scaffold_bench.types import ScaffoldProvider


def resolve_provider(scaffolds: str | Path | ScaffoldProvider) -> ScaffoldProvider:
    """The provider for "oracle", the path of a plan file, or a provider object.

    Raises:
        ValueError: neither a known name nor an existing file.
        TypeError: an object without ``plan`` and ``privileged``.
        InvalidScaffoldError: the file is not a valid plan file.
    """
    if isinstance(scaffolds, str) and scaffolds == "oracle":
        return OracleProvider()
    if isinstance(scaffolds, str | Path):
        if not Path(scaffolds).is_file():
            raise ValueError(f"scaffolds={str(scaffolds)!r} is neither 'oracle' nor an existing plan file")
        return RecordedProvider(scaffolds)
    if isinstance(scaffolds, type):
        raise TypeError(
            f"scaffolds must be a provider object, got the class {scaffolds.__name__}; make one: {scaffolds.__name__}()"
        )
    if callable(getattr(scaffolds, "plan", None)) and hasattr(scaffolds, "privileged"):
        return scaffolds
    raise TypeError(
        f"scaffolds must be 'oracle', a path or an object with plan(request) and privileged, "
        f"got {type(scaffolds).__name__}"
    )


__all__ = [
    "OracleProvider",
    "RecordedProvider",
    "ScaffoldEntry",
    "ScaffoldFile",
    "failed_scaffold",
    "load_scaffolds",
    "resolve_provider",
    "save_scaffolds",
    "scaffold_from_waypoints",
]
