"""The base action on real episodes, against the plan it is read from."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from scaffold_bench.control import RESIDUAL_LIMITS
from scaffold_bench.evaluation import evaluate
from scaffold_bench.policies.plan_following import GRASP_DISTANCE, PlanFollowing


def test_it_looks_ahead_and_grasps_before_the_plan_moves_the_hammer() -> None:
    env: Any = gym.make_vec("Scaffold-Hammer-v0", num_envs=1, split="eval", tracking_threshold=None)
    observation, _ = env.reset(seed=0, options={"state": 0})
    base, plan = PlanFollowing(lead=10, grasp=0.7), env.scaffolds[0]
    wrist, keypoints = np.asarray(plan.wrist), np.asarray(plan.keypoints)
    moved = np.linalg.norm(keypoints - keypoints[0], axis=2).max(1)
    commands = []
    for step in range(120):
        action = base(torch.from_numpy(observation), env.observation_layout, 7)[0]
        expected = np.clip((wrist[step + 10] - wrist[step + 1]) / np.array(RESIDUAL_LIMITS), -1, 1)
        np.testing.assert_allclose(action[:6], expected, atol=2e-5)
        assert 0.0 <= action[6] <= 0.7 * min(moved[step + 40] / GRASP_DISTANCE, 1.0) + 2e-4
        commands.append(float(action[6]))
        observation, *_ = env.step(np.zeros((1, 7), np.float32))
    assert commands[0] == pytest.approx(0.0, abs=1e-4)  # open at first ...
    assert commands[-1] == pytest.approx(0.7)  # ... closed when it lifts
    env.close()


def test_as_a_policy_it_opens_the_drawer_which_the_plan_alone_does_not() -> None:
    for policy, solves in (("plan-grasp", True), ("plan-only", False)):
        results = evaluate(policy, "drawer", states=2, trials=1)
        assert [record.success_once for record in results.records] == [solves] * 2


def test_by_default_it_is_the_plan_with_an_open_hand() -> None:
    assert not PlanFollowing()(torch.randn(3, 54), LAYOUT, 10).any()


LAYOUT = {
    "initial_keypoints": slice(0, 3),
    "planned_keypoints": slice(3, 18),
    "wrist": slice(18, 24),
    "planned_wrist": slice(24, 54),
}


def fingers(keypoints: np.ndarray, hand: np.ndarray, now: np.ndarray) -> float:
    """The finger command for plans (5, 3) of one keypoint, which is at the origin, and of a hand that is at ``now``."""
    wrist = np.concatenate([hand, np.zeros((5, 3))], axis=1)
    pieces = [np.zeros(3), keypoints.ravel(), now, np.zeros(3), wrist.ravel()]
    observation = torch.from_numpy(np.concatenate(pieces).astype(np.float32))[None]
    action = PlanFollowing(grasp=0.5)(observation, LAYOUT, 10)[0]
    assert not action[:6].any()
    assert len(set(action[6:].tolist())) == 1
    return float(action[6])


AHEAD = np.array([1.0, 5.0, 10.0, 20.0, 40.0])[:, None] / 40
STAYS, LEFT, UP = np.zeros((5, 3)), np.array([0.2, 0, 0]), np.array([0, 0, 0.2])
SITUATIONS = {
    "on its way to what stays": (STAYS, LEFT - AHEAD * LEFT, LEFT, 0.0),
    "on its way to what noise moves": (AHEAD * UP / 4, LEFT - AHEAD * LEFT + AHEAD * UP / 4, LEFT, 0.0),
    "there, and the plan does nothing yet": (STAYS, STAYS, np.zeros(3), 0.0),
    "there, and about to lift it": (AHEAD * UP, AHEAD * UP, np.zeros(3), 0.5),
    "there, and about to lift it half as far as a grasp needs": (
        AHEAD * UP * 0.075,
        AHEAD * UP * 0.075,
        np.zeros(3),
        0.25,
    ),
    "far behind its plan": (AHEAD * UP, AHEAD * UP, LEFT, 0.0),
    "carrying it": (LEFT + AHEAD * UP, LEFT + AHEAD * UP, LEFT, 0.5),
}


@pytest.mark.parametrize(("keypoints", "hand", "now", "command"), SITUATIONS.values(), ids=SITUATIONS)
def test_the_fingers_close_when_the_hand_is_there_and_something_is_about_to_move(
    keypoints: np.ndarray, hand: np.ndarray, now: np.ndarray, command: float
) -> None:
    assert fingers(keypoints, hand, now) == pytest.approx(command, abs=2e-2)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lead": 7}, "lead must be 0 or one of the frame offsets"),
        ({"grasp": 1.1}, "grasp must be a finger command between 0 and 1"),
        ({"grasp": float("nan")}, "grasp must be a finger command between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PlanFollowing(**settings)
