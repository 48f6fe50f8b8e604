"""Checks that a file is safetensors and nothing else, from its header alone; no tensor is read into memory."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import IO, Any

from scaffold_bench.submissions.model import SubmissionError
from scaffold_bench.submissions.text import plain

MAX_HEADER = 2**16
MAX_TENSORS = 200
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
CHUNK = 2**20


def check_safetensors(stream: IO[bytes], size: int, name: str, also: Any) -> str:
    """The SHA-256 of a safetensors file.

    Args:
        stream: the file from its start. size: its bytes. name: for messages.
        also: another hash, updated with the file's bytes.

    Raises:
        SubmissionError: it is no safetensors file: its header is not one, or does not account for every byte.
    """
    digest = hashlib.sha256()
    prefix = stream.read(8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or not 2 <= length <= min(MAX_HEADER, size - 8):
        raise SubmissionError(f"{name} is no safetensors file; save the policy with save_actor")
    header = stream.read(length)
    try:
        wanted = _tensor_bytes(header)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = plain(error, 80)
        raise SubmissionError(f"{name} is no safetensors file ({reason}); save the policy with save_actor") from None
    if wanted != size - 8 - length:
        raise SubmissionError(
            f"{name} holds {size - 8 - length} bytes of tensors, its header says {wanted}; save the policy anew"
        )
    part = prefix + header
    while part:
        digest.update(part)
        also.update(part)
        part = stream.read(CHUNK)
    return digest.hexdigest()


def facts_of(path: Path) -> dict[str, Any]:
    """What a stored actor's header says about its training; empty where it says nothing."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            facts = json.loads(json.loads(stream.read(min(length, MAX_HEADER)))["__metadata__"]["about"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _tensor_bytes(header: bytes) -> int:
    """Bytes that a header's tensors take; they must lie side by side from the first byte on. What is no such header
    raises ValueError, TypeError, KeyError or AttributeError."""
    tensors: dict[str, Any] = json.loads(header.decode("utf-8"))
    tensors.pop("__metadata__", None)
    if not 1 <= len(tensors) <= MAX_TENSORS:
        raise ValueError(f"it has {len(tensors)} tensors")
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: int(tensor["data_offsets"][1])):
        shape, (start, stop) = tensor["shape"], tensor["data_offsets"]
        if not all(type(number) is int and 0 <= number < 2**40 for number in (*shape, start, stop)):
            raise ValueError("a shape or an offset is out of range")
        if start != end or stop - start != math.prod(shape) * BYTES[tensor["dtype"]]:
            raise ValueError("the tensors do not lie side by side")
        end = stop
    return end
