"""A planner and a policy from outside the package take one class each, and nothing in the package changes.

A task from outside is in tests/tasks/test_external_task.py.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from scaffold_bench import Scaffold, ScaffoldRequest, Waypoints, evaluate, scaffold_from_waypoints
from scaffold_bench.scaffolds import names, register_provider


class Raise:
    """Plans to lift the hand straight up, with every keypoint fixed to the world."""

    privileged = False

    def __init__(self, height: str = "0.2") -> None:
        self.height = float(height)

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        up = np.linspace(0, self.height, 20)[:, None] * np.array([0, 0, 1, 0, 0, 0])
        keypoints = np.zeros((20, len(request.keypoint_names), 3))
        attachments = ("world",) * len(request.keypoint_names)
        return scaffold_from_waypoints(
            request.task, Waypoints(keypoints, request.wrist + up, attachments), {"provider": "raise"}
        )


POLICY = """
class Scripted:
    def reset(self, episode):
        self.script, self.step = episode.scripted_action, -1

    def act(self, observation):
        self.step += 1
        return self.script(self.step)
"""


@pytest.fixture
def registered() -> Iterator[str]:
    """The name of the planner, which is forgotten afterwards."""
    register_provider("raise", Raise)
    yield "raise"
    names._made_by.pop("raise")


def test_a_planner_s_name_is_known_to_gym_make_with_its_options(registered: str) -> None:
    rises = []
    for name in (registered, f"{registered}?height=0.1"):
        env = gym.make("Scaffold-OpenDrawer-v0", scaffolds=name)
        _, info = env.reset(seed=0)
        plan: Scaffold = env.unwrapped.scaffold  # type: ignore[attr-defined]
        assert info["plan_valid"]
        assert plan.provenance["provider"] == "raise"
        rises.append(float(plan.wrist[-1, 2] - plan.wrist[0, 2]))
        env.close()
    assert rises == pytest.approx([0.2, 0.1], abs=1e-6)


def test_every_environment_of_a_batch_asks_the_planner(registered: str) -> None:
    envs = gym.make_vec("Scaffold-OpenDrawer-v0", num_envs=2, scaffolds=registered)
    envs.reset(seed=0)
    plans: list[Scaffold] = list(envs.scaffolds)  # type: ignore[attr-defined]
    envs.close()
    assert [plan.provenance["provider"] for plan in plans] == ["raise", "raise"]
    assert plans[0].sha256 != plans[1].sha256  # two start states


def test_evaluate_follows_the_planner_s_plans(registered: str, tmp_path: Path) -> None:
    own = evaluate("plan-only", ["drawer"], states=1, trials=1, scaffolds=registered, out=tmp_path / "own")
    oracle = evaluate("plan-only", ["drawer"], states=1, trials=1, out=tmp_path / "oracle")
    env = gym.make("Scaffold-OpenDrawer-v0", split="eval", scaffolds=registered)
    env.reset(seed=0, options={"state": 0, "trial": 0})
    plan: Scaffold = env.unwrapped.scaffold  # type: ignore[attr-defined]
    env.close()
    assert own.manifest["scaffolds"] == registered
    assert [record.plan for record in own.records] == [plan.sha256[:16]]
    assert own.records[0].plan != oracle.records[0].plan
    assert not own.records[0].success_once


def test_an_unknown_name_or_option_is_refused(registered: str) -> None:
    with pytest.raises(ValueError, match="neither a planner nor an existing plan file"):
        gym.make("Scaffold-OpenDrawer-v0", scaffolds="raised")
    with pytest.raises(ValueError, match="width"):
        gym.make("Scaffold-OpenDrawer-v0", scaffolds=f"{registered}?width=1")


def test_evaluate_takes_a_policy_class_by_module_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "policy_from_outside.py"
    file.write_text(POLICY)
    try:
        own = evaluate("policy_from_outside:Scripted", ["drawer"], states=1, trials=1)
        reference = evaluate("reference", ["drawer"], states=1, trials=1)
    finally:
        sys.modules.pop("policy_from_outside", None)
    assert own.manifest["policy"] == "policy_from_outside:Scripted"
    assert own.manifest["policy_source"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert own.records[0].success_once
    assert own.records == reference.records  # the same actions, so the same bits
