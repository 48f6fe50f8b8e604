"""The benchmark's parts run, and the documentation holds what the kept results say."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


sys.path.insert(0, str(ROOT / "benchmarks"))  # so that the processes they spawn find them too
throughput, profile_step = (importlib.import_module(name) for name in ("throughput", "profile_step"))


def test_the_documentation_holds_the_kept_results() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "throughput.json").read_text(encoding="utf-8"))
    assert throughput.to_markdown(kept) in throughput.DOCS.read_text(encoding="utf-8")
    for row in kept["tasks"].values():
        assert row["ratios"] == pytest.approx(throughput.ratios(row))


def test_physics_alone_follows_the_recorded_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "BATCH", 2)
    monkeypatch.setattr(throughput, "IN_CONTACT", 3)
    rates = throughput.measure_physics("drawer", 6, passes=1)
    assert all(rate > 0 for rate in rates.values())
    env = throughput.make_batch("drawer", 2)
    env.reset(seed=0, options={"state": throughput.states(2)})
    targets = throughput.record_targets(env, 6)
    played = [world.agent.robot._objs[0].qpos for world in env._simulation.worlds]
    throughput.time_physics(env, targets)
    for world, position in zip(env._simulation.worlds, played, strict=True):
        assert world.agent.robot._objs[0].qpos.tolist() == position.tolist()
    env.close()


def test_every_way_is_timed() -> None:
    assert throughput.time_batch("drawer", 2, 3) > 0
    assert throughput.time_single("drawer", 3) > 0
    assert throughput.time_processes("drawer", 1, 3) > 0
    assert throughput.time_async("drawer", 1, 3) > 0


def test_the_stages_of_a_step_add_up() -> None:
    spent = profile_step.profile("hammer", profile_step.Args(num_envs=2, steps=5))
    stages = sum(spent[stage] for stage in profile_step.STAGES)
    assert set(profile_step.STAGES) < set(spent)
    assert 0.5 * spent["total"] < stages < spent["total"]
