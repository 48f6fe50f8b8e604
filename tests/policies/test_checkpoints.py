"""Checkpoints: what is restored is what was saved, and only a whole one counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scaffold_bench.policies import latest_checkpoint, load_checkpoint, save_checkpoint


def trained(steps: int) -> tuple[torch.nn.Linear, torch.optim.Adam]:
    """A layer after some steps of Adam, with a parameter that is not trained."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    model.register_buffer("seen", torch.full((2,), float(steps), dtype=torch.float64))
    model.bias.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        step(model, optimizer)
    return model, optimizer


def step(model: torch.nn.Linear, optimizer: torch.optim.Adam) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


def test_a_restored_model_trains_on_as_the_saved_one(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    optimizer.param_groups[0]["lr"] = 0.03
    save_checkpoint(tmp_path / "checkpoints", 3, model, optimizer, {"minutes": 1.5})
    path = latest_checkpoint(tmp_path / "checkpoints")
    assert path is not None
    other, restored = trained(0)
    load_checkpoint(path, other, restored)
    assert json.loads(path.read_text(encoding="utf-8"))["minutes"] == 1.5
    assert restored.param_groups[0]["lr"] == 0.03
    assert other.seen.tolist() == [3.0, 3.0]
    for pair in ((model, optimizer), (other, restored)):
        step(*pair)
    assert torch.equal(model.weight, other.weight)


def test_the_last_two_are_kept_and_only_whole_ones_count(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "nowhere") is None
    model, optimizer = trained(1)
    for iteration in (5, 10, 15):
        save_checkpoint(tmp_path, iteration, model, optimizer, {})
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["000010", "000010", "000015", "000015"]
    (tmp_path / "000020.safetensors").write_bytes(b"cut off")  # killed before the JSON file was written
    assert latest_checkpoint(tmp_path) == tmp_path / "000015.json"


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damage_is_noticed(damage: str, tmp_path: Path) -> None:
    model, optimizer = trained(1)
    save_checkpoint(tmp_path, 1, model, optimizer, {})
    file = tmp_path / "000001.safetensors"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(
        ValueError, match=r"000001.safetensors is damaged: .* delete .*000001.json to go on from the last"
    ):
        load_checkpoint(tmp_path / "000001.json", model, optimizer)
