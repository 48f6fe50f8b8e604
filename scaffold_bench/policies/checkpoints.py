"""Checkpoints of a training run: tensors as safetensors, facts as JSON beside them, nothing that is executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from scaffold_bench.files import write_atomically

KEPT = 2
"""Checkpoints of a run that are kept, the latest."""


def latest_checkpoint(folder: Path) -> Path | None:
    """The JSON file of the latest whole checkpoint in a folder, None without any."""
    return max(folder.glob("*.json"), default=None)


def save_checkpoint(
    folder: Path, iteration: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, facts: Mapping[str, Any]
) -> None:
    """Write a model and its optimizer, which has one group of parameters; keep the last two checkpoints.

    The JSON file comes last and makes the checkpoint whole: an interrupted call leaves the earlier ones.

    Args:
        facts: whatever else a resumed run needs, as JSON has it.
    """
    path = folder / f"{iteration:06d}.json"
    file, state = path.with_suffix(".safetensors"), optimizer.state_dict()
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, moments in state["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    own = {"iteration": iteration, "learning_rate": state["param_groups"][0]["lr"], "sha256": _sha256(file)}
    write_atomically(path, json.dumps({**facts, **own}, indent=1) + "\n")
    for old in sorted(folder.glob("*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink()


def load_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Restore a model and its optimizer from a checkpoint's JSON file.

    Raises:
        ValueError: the tensors are not those that were written.
    """
    facts, file = json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".safetensors")
    if not file.is_file() or _sha256(file) != facts["sha256"]:
        raise ValueError(f"{file} is damaged: its hash is not the recorded one; delete {path} to go on from the last")
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}}
    for name, tensor in load_file(file).items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, moment = name.partition(".")
        moments.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    optimizer.param_groups[0]["lr"] = facts["learning_rate"]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
