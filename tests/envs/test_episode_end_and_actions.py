"""When an episode ends, and which actions are taken, clipped or refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from env_helpers import ALL_TASKS, HAMMER, first_difference, follow, random_actions, still

from scaffold_bench.registration import task_spec
from scaffold_bench.types import EPISODE_STEPS, Scaffold


def shifted(plan: Scaffold, offset: np.ndarray) -> Scaffold:
    """A plan with other keypoints: ``offset`` broadcasts to (T + 1, K, 3)."""
    return dataclasses.replace(plan, keypoints=plan.keypoints + offset, waypoints=None)


@ALL_TASKS
@pytest.mark.parametrize("wrapped", [True, False])
def test_an_episode_is_truncated_after_300_steps(make: Callable[[str], Any], env_id: str, wrapped: bool) -> None:
    env = make(env_id) if wrapped else make(env_id).unwrapped
    env.reset(seed=0)
    wild = random_actions(env, EPISODE_STEPS)
    for step in range(1, EPISODE_STEPS + 1):
        _, _, terminated, truncated, info = env.step(wild[step - 1])
        assert (terminated, truncated) == (False, step == 300)  # no threshold: never terminated, however wild
        assert info["elapsed_steps"] == step


@ALL_TASKS
def test_the_default_threshold_is_the_task_s_and_can_be_set(fresh: Callable[..., Any], env_id: str) -> None:
    inner, initial = fresh(env_id).unwrapped, task_spec(env_id).tracking_threshold
    assert inner.tracking_threshold == initial
    inner.set_tracking_threshold(0.123)
    assert inner.tracking_threshold == 0.123
    inner.set_tracking_threshold("task")
    assert inner.tracking_threshold == initial
    inner.set_tracking_threshold(None)
    assert inner.tracking_threshold == math.inf
    assert fresh(env_id, tracking_threshold=0.5).unwrapped.tracking_threshold == 0.5


@ALL_TASKS
def test_terminated_as_soon_as_one_keypoint_is_too_far_from_its_plan(fresh: Callable[..., Any], env_id: str) -> None:
    env, threshold = fresh(env_id), task_spec(env_id).tracking_threshold
    env.reset(seed=0, options={"state": 0})
    plan = env.unwrapped.scaffold
    frames, last = EPISODE_STEPS + 1, plan.num_keypoints - 1
    away = np.zeros((frames, plan.num_keypoints, 3))
    away[:, last, 0] = np.minimum(np.arange(frames) * threshold / 20.5, 2 * threshold)  # one keypoint only
    held = dataclasses.replace(plan, keypoints=np.repeat(plan.keypoints[:1], frames, axis=0), waypoints=None)
    env.reset(seed=0, options={"state": 0, "scaffold": shifted(held, away)})
    for step in range(1, 22):
        _, _, terminated, truncated, info = env.step(still(env))
        assert terminated is bool((info["tracking_error"] > threshold).any())
        assert terminated is (step == 21)
        assert not truncated
    assert info["tracking_error"][last] == pytest.approx(threshold * 21 / 20.5, abs=0.003)


def test_a_narrower_threshold_terminates_earlier(fresh: Callable[..., Any]) -> None:
    env = fresh(HAMMER)

    def length(threshold: float | None) -> int:
        env.unwrapped.set_tracking_threshold(threshold)
        env.reset(seed=0, options={"state": 0})
        for step in range(1, EPISODE_STEPS + 1):
            _, _, terminated, truncated, _ = env.step(still(env))
            if terminated or truncated:
                return step
        return -1

    # with an open hand the hammer stays while its plan swings
    assert 0 < length(0.02) < length(0.1) < length(None) == EPISODE_STEPS


@ALL_TASKS
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_action_is_refused_by_index_and_leaves_the_episode_alone(
    make: Callable[[str], Any], env_id: str, value: float
) -> None:
    env = make(env_id)
    actions = random_actions(env, 6)
    expected = follow(env, actions.__getitem__, 6, seed=2)

    def act(step: int) -> np.ndarray:
        if step == 3:
            for index in range(env.action_space.shape[0]):
                bad = actions[step].copy()
                bad[index] = value
                with pytest.raises(ValueError, match=rf"not finite at index {index}\b"):
                    env.step(bad)
        return actions[step]

    assert first_difference(follow(env, act, 6, seed=2), expected) is None


@ALL_TASKS
@pytest.mark.parametrize("change", [(-1,), (1,), (1, 0), (2, 0)], ids=["short", "long", "two rows", "three rows"])
def test_an_action_of_the_wrong_shape_is_refused(
    make: Callable[[str], Any], env_id: str, change: tuple[int, ...]
) -> None:
    env = make(env_id)
    env.reset(seed=0)
    size = env.action_space.shape[0]
    shape = (size + change[0],) if len(change) == 1 else (1 + change[0], size)
    with pytest.raises(ValueError, match=rf"action has shape .* expected \({size},\)"):
        env.unwrapped.step(np.zeros(shape, np.float32))


def test_a_single_number_is_no_action(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action has shape \(\)"):
        env.unwrapped.step(0.5)


@ALL_TASKS
def test_an_action_out_of_range_is_clipped(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    wild = random_actions(env, 30) * 3
    assert (np.abs(wild) > 1).any()
    clipped = np.clip(wild, -1, 1)
    assert first_difference(*(follow(env, a.__getitem__, 30, seed=6) for a in (wild, clipped))) is None
    gentle = follow(env, (clipped / 2).__getitem__, 30, seed=6)
    assert first_difference(gentle, follow(env, clipped.__getitem__, 30, seed=6)) == 1


def test_the_caller_s_action_is_left_alone(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    env.reset(seed=0)
    action = np.full(7, 3.0, np.float32)
    env.step(action)
    np.testing.assert_array_equal(action, 3.0)
