"""Files: written whole or not at all, and hashed in one way; where the actors that ship with the package are."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

ZOO = Path(__file__).parent / "zoo"
"""Actors that ship with the package: ``<method>/<task>.safetensors``."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file or nothing; text is written as UTF-8, and missing folders are made.

    Raises:
        OSError: the file cannot be written; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def actor_files(path: Path) -> list[Path]:
    """The files of a stored actor, sorted by name: those of a folder with one for each task, or the file itself."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def hash_of_files(files: Sequence[Path]) -> str:
    """SHA-256 over the names (without folders) and contents of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
