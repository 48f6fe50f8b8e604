"""The base action on real episodes, against the plan it is read from."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from scaffold_bench.control import RESIDUAL_LIMITS
from scaffold_bench.evaluation import evaluate
from scaffold_bench.evaluation.plan_following import GRASP_DISTANCE, PlanFollowing


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
        np.testing.assert_allclose(action[6], 0.7 * min(moved[step + 40] / GRASP_DISTANCE, 1.0), atol=2e-4)
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
    layout = {"initial_keypoints": slice(0, 3), "planned_keypoints": slice(3, 18), "planned_wrist": slice(18, 48)}
    assert not PlanFollowing()(torch.randn(3, 48), layout, 10).any()
    four = PlanFollowing(grasp=0.5)(torch.full((1, 48), 1.0) * torch.arange(48), layout, 10)
    assert four.tolist() == [[0.0] * 6 + [0.5] * 4]


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
