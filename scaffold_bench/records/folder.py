"""The folder of an evaluation: its manifest, one writer at a time, files that are written whole."""

from __future__ import annotations

import datetime
import fcntl
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scaffold_bench.files import write_atomically
from scaffold_bench.records.episode import EpisodeRecord, record_line

RUN_SETTINGS = (
    "tasks",
    "scaffolds",
    "plans",
    "environment",
    "split",
    "states",
    "trials",
    "backend",
    "start_states",
    "versions",
)
"""Entries of an evaluation's manifest that say under which conditions a policy was run."""

RECORDS, MANIFEST, SUMMARY = "records.jsonl", "manifest.json", "summary.json"
_PACKAGES = ("scaffold-bench", "mani_skill", "sapien", "gymnasium", "numpy", "torch")
_IDENTITY = ("policy", "policy_source", *RUN_SETTINGS, "numerics")
"""Parts of a manifest that must agree for two runs to share a folder."""


class EvaluationError(RuntimeError):
    """An evaluation cannot start or go on; the message is one sentence with the remedy."""


@contextmanager
def sole_writer(folder: Path | None) -> Iterator[None]:
    """Keep other processes from evaluating into the same folder; the lock goes with the process, however it ends.

    Raises:
        EvaluationError: another process holds the folder.
    """
    if folder is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EvaluationError(f"another evaluation is writing to {folder}; wait for it or stop it") from None
        yield
    finally:
        os.close(handle)


def written(path: Path, keep: Iterable[EpisodeRecord], fresh: Iterable[EpisodeRecord]) -> Iterator[EpisodeRecord]:
    """Pass fresh records through; each is in the file, after those that are kept, before it is handed on."""
    write_atomically(path, "".join(map(record_line, keep)))  # which drops a torn last line
    with path.open("a", encoding="utf-8") as file:
        try:
            for record in fresh:
                file.write(record_line(record))
                file.flush()
                yield record
        finally:
            os.fsync(file.fileno())


def package_versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def hardware() -> dict[str, Any]:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        if named := re.search(r"^model name\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE):
            model = named[1].strip()
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "machine": platform.machine()}


def source_revision() -> dict[str, Any]:
    """Commit and dirty flag when the package runs from a git checkout, else None for both."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            run = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    if not (root / ".git").exists() or (commit := git("rev-parse", "HEAD")) is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def manifest(identity: dict[str, Any], command: Iterable[str]) -> dict[str, Any]:
    """What a run is: the identity given, versions, source, hardware, command and date."""
    return {
        **identity,
        "versions": package_versions(),
        "source": source_revision(),
        "hardware": hardware(),
        "command": list(command),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def check_same_run(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    """Refuse to mix two different evaluations in one folder.

    Raises:
        EvaluationError: names what differs.
    """
    different = [key for key in _IDENTITY if old.get(key) != new.get(key)]
    if different == ["numerics"]:
        raise EvaluationError(
            f"{folder} was begun on a machine that computes other last bits; go on there, or choose another --out"
        )
    if different:
        raise EvaluationError(
            f"{folder} holds another evaluation (different {', '.join(different)}); choose another --out or delete it"
        )
