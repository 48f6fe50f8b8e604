"""Policy files that are not the safetensors files they should be are refused with a reason."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from hostile import GIGABYTES, Case, check, declare, linked_away, with_text
from synthetic import edited

from scaffold_bench.files import actor_files, hash_of_files


def with_policy(submission: Path, raw: bytes, declare: bool = True) -> Path:
    """The first policy file replaced; its declared hash follows, and that of the checkpoint."""
    with edited(submission) as told:
        file = told["policy"]["files"][0]
        (submission / file["path"]).write_bytes(raw)
        if declare:
            file |= {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
            told["policy"]["checkpoints"][0] = hash_of_files(actor_files(submission / "policy" / "seed-0"))
    return submission


def safetensors(header: Any, tensors: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def tensor(shape: list[int], start: int, stop: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


CASES: dict[str, Case] = {
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


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_policy_is_refused_with_a_reason(actor: Path, case: Case) -> None:
    check(actor, case)
