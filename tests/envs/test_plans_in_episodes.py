"""Plans in an episode: injected, from a planner or a file, and those that do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from env_helpers import ALL_TASKS, HAMMER, first_difference, follow, reference, still

from scaffold_bench import OracleProvider, Waypoints, failed_scaffold, save_scaffolds, scaffold_from_waypoints
from scaffold_bench.scaffolds import ScaffoldEntry
from scaffold_bench.types import EPISODE_STEPS, InvalidScaffoldError, Scaffold


def test_an_injected_plan_is_followed(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    env.reset(seed=0, options={"state": 0})
    oracle = env.unwrapped.scaffold
    # 30 cm higher and 30 cm to the side within 200 steps, and stay there
    aside = np.repeat(oracle.wrist[:1], EPISODE_STEPS + 1, axis=0)
    aside[:, 2] += 0.3
    aside[:, 1] += np.linspace(0, 0.45, EPISODE_STEPS + 1).clip(max=0.3)
    plan = dataclasses.replace(oracle, wrist=aside, provenance={"provider": "test"}, waypoints=None)
    start = dataclasses.replace(env.unwrapped.start_state, wrist=aside[0])
    env.reset(seed=0, options={"start": start, "scaffold": plan})
    assert env.unwrapped.scaffold is plan
    for _ in range(EPISODE_STEPS):
        observation = env.step(still(env))[0]
    wrist = observation[env.unwrapped.observation_layout["wrist"]]
    np.testing.assert_allclose(wrist, aside[-1], atol=0.005)
    assert np.linalg.norm(wrist[:3] - oracle.wrist[-1, :3]) > 0.2
    env.reset(seed=0, options={"state": 0})
    assert env.unwrapped.scaffold.sha256 == oracle.sha256  # for that episode only


def test_a_plan_that_could_not_be_made_is_data(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    env.reset(seed=0, options={"state": 0})
    failed = dataclasses.replace(env.unwrapped.scaffold, valid=False, reason="no hammer in the picture")
    _, info = env.reset(seed=0, options={"state": 0, "scaffold": failed})
    assert info["plan_valid"] is False
    assert env.step(still(env))[-1]["plan_valid"] is False


def other_plan(env: Any, change: str) -> Any:
    plan = env.unwrapped.scaffold
    return {
        "one keypoint": lambda: dataclasses.replace(
            plan, keypoints=plan.keypoints[:, :1], attachments=plan.attachments[:1], waypoints=None
        ),
        "other task": lambda: dataclasses.replace(plan, task="apple"),
        "unknown body": lambda: dataclasses.replace(plan, attachments=("hammer", "anvil"), waypoints=None),
        "no plan": lambda: {"keypoints": plan.keypoints},
    }[change]()


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        ("one keypoint", "keypoints", r"has K = 1, hammer needs 2: \('handle', 'head'\)"),
        ("other task", "task", "is 'apple', this environment's task is 'hammer'"),
        ("unknown body", "attachments", r"names \['anvil'\]; the bodies of hammer are hammer, world"),
        ("no plan", "type", "is dict, expected a Scaffold"),
    ],
)
@pytest.mark.parametrize("source", ["option", "provider"])
def test_a_plan_that_does_not_fit_is_refused_by_field(
    fresh: Callable[..., Any], change: str, field: str, told: str, source: str
) -> None:
    env = fresh()
    env.reset(seed=0)
    plan = other_plan(env, change)
    if source == "option":
        options: dict[str, Any] = {"scaffold": plan}
    else:
        env, options = fresh(scaffolds=Fixed(plan)), {}
    with pytest.raises(InvalidScaffoldError, match=told) as caught:
        env.reset(seed=0, options=options)
    assert caught.value.field == field


class Fixed:
    """A provider that knows one plan, and remembers what it was asked."""

    def __init__(self, plan: Any, privileged: bool = False) -> None:
        self.answer, self.privileged, self.asked = plan, privileged, []

    def plan(self, request: Any) -> Any:
        self.asked.append(request)
        return self.answer


def test_a_provider_is_told_what_a_robot_could_know_and_no_more(fresh: Callable[..., Any]) -> None:
    env = fresh(split="eval")
    env.reset(seed=0, options={"state": 6})
    plan, start = env.unwrapped.scaffold, env.unwrapped.start_state
    for privileged in (False, True):
        provider = Fixed(plan, privileged)
        mine = fresh(split="eval", scaffolds=provider)
        mine.reset(seed=0, options={"state": 6})
        assert mine.unwrapped.scaffold is plan
        (request,) = provider.asked
        assert (request.task, request.split, request.state) == ("hammer", "eval", 6)
        assert request.instruction == "Hammer three times"
        assert request.keypoint_names == ("handle", "head")
        assert request.bodies == ("hammer",)
        np.testing.assert_array_equal(request.wrist, start.wrist)
        assert hasattr(request, "start") is privileged
        assert hasattr(request, "reference") is privileged
        request.wrist[:] = 9.0  # a provider's mess is its own
        assert (mine.unwrapped.start_state.wrist != 9.0).all()


@ALL_TASKS
def test_recorded_plans_come_back_bit_for_bit(fresh: Callable[..., Any], tmp_path: Path, env_id: str) -> None:
    oracle = fresh(env_id, split="eval", tracking_threshold=None)
    entries = []
    for state in (3, 0, 8):
        oracle.reset(seed=0, options={"state": state})
        entries.append(ScaffoldEntry(oracle.unwrapped.scaffold, "eval", state))
    path = tmp_path / "plans.npz"
    save_scaffolds(path, entries)
    for scaffolds in (path, str(path)):
        env = fresh(env_id, split="eval", scaffolds=scaffolds, tracking_threshold=None)
        for entry in entries:
            env.reset(seed=0, options={"state": entry.state})
            plan = env.unwrapped.scaffold
            assert plan.keypoints.tobytes() == entry.scaffold.keypoints.tobytes()
            assert plan.wrist.tobytes() == entry.scaffold.wrist.tobytes()
            assert plan.sha256 == entry.scaffold.sha256
    one, other = (
        follow(e, lambda step, e=e: reference(e, step), 60, seed=0, options={"state": 3}) for e in (oracle, env)
    )
    assert first_difference(one, other) is None
    with pytest.raises(LookupError, match=r"plans\.npz has no plan for .*split eval, state 5"):
        env.reset(seed=0, options={"state": 5})


def test_an_oracle_with_fewer_waypoints_makes_another_plan(fresh: Callable[..., Any]) -> None:
    plans = []
    for provider in ("oracle", OracleProvider(), OracleProvider(waypoints=10)):
        env = fresh(scaffolds=provider)
        env.reset(seed=0, options={"state": 0})
        plans.append(env.unwrapped.scaffold)
    assert plans[0].sha256 == plans[1].sha256 != plans[2].sha256
    assert [plan.provenance["waypoints"] for plan in plans] == [20, 20, 10]


def test_a_thing_that_cannot_plan_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"scaffolds must be a planner's name, a path or an object with plan\(request\)"
    ):
        gym.make(HAMMER, scaffolds=object())


class Shifted:
    """A planner that begins its plan in the wrong place."""

    privileged = True

    def __init__(self, wrist: float = 0.0, keypoints: float = 0.0) -> None:
        self.wrist, self.keypoints = wrist, keypoints

    def plan(self, request: Any) -> Scaffold:
        coarse = request.reference(20)
        moved = Waypoints(coarse.keypoints + self.keypoints, coarse.wrist + self.wrist, coarse.attachments)
        return scaffold_from_waypoints(request.task, moved, {})


@pytest.mark.parametrize(
    ("planner", "told"),
    [
        (Shifted(wrist=0.5), "wrist: begins 0.87 m and 0.50 rad from the hand, more than 0.5 m or 1.2 rad"),
        (Shifted(keypoints=1.5), r"keypoints: puts 'handle' 2.60 m from 'hammer', the body it is attached to"),
    ],
    ids=["wrist", "keypoints"],
)
def test_a_plan_that_begins_elsewhere_is_refused(fresh: Callable[..., Any], planner: Any, told: str) -> None:
    env = fresh(HAMMER, split="eval", scaffolds=planner)
    with pytest.raises(InvalidScaffoldError, match=told):
        env.reset(seed=0, options={"state": 0})
    near = fresh(HAMMER, split="eval", scaffolds=Shifted(wrist=0.1, keypoints=0.05))
    near.reset(seed=0, options={"state": 0})


def test_a_planner_may_say_that_it_has_no_plan(fresh: Callable[..., Any]) -> None:
    class Helpless:
        privileged = False

        def plan(self, request: Any) -> Scaffold:
            return failed_scaffold(request, "saw nothing")

    env = fresh(HAMMER, split="eval", scaffolds=Helpless())
    _, info = env.reset(seed=0, options={"state": 0})
    assert not info["plan_valid"]
    assert env.unwrapped.scaffold.reason == "saw nothing"
