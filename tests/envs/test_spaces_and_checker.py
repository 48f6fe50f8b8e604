"""Every registered id as Gymnasium wants it: spaces, its own checker, how it is made and made again."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from env_helpers import ALL_TASKS, HAMMER, IDS, PLIERS, first_difference, follow, random_actions, reference, still
from gymnasium.utils.env_checker import check_env

from scaffold_bench.registration import get_task, task_names, task_spec


@ALL_TASKS
def test_spaces_are_those_of_the_paper(make: Callable[[str], Any], env_id: str) -> None:
    env, spec = make(env_id), task_spec(env_id)
    keypoints = len(spec.keypoints)
    assert env.observation_space.shape == (130 + 21 * keypoints,)
    assert env.observation_space.dtype == np.float32
    assert env.action_space.shape == (10 if spec.name in ("scissors", "pliers") else 7,)
    assert env.action_space.dtype == np.float32
    np.testing.assert_array_equal(env.action_space.low, -1)
    np.testing.assert_array_equal(env.action_space.high, 1)
    observation, _ = env.reset(seed=0)
    assert observation.shape == env.observation_space.shape
    assert observation.dtype == np.float32
    for action in random_actions(env, 20):
        observation, reward, terminated, truncated, _ = env.step(action)
        assert env.observation_space.contains(observation)
        assert type(reward) is float
        assert type(terminated) is bool
        assert type(truncated) is bool


@ALL_TASKS
def test_gymnasium_has_nothing_to_complain_about(fresh: Callable[..., Any], env_id: str) -> None:
    env = fresh(env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)


@ALL_TASKS
def test_gym_make_itself_warns_of_nothing(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()


def test_the_environment_is_stepped_after_a_reset_only(fresh: Callable[..., Any]) -> None:
    env = fresh()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(still(env))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"split": "test"}, "split must be one of train, eval, fresh, got 'test'"),
        ({"tracking_threshold": 0}, "tracking_threshold must be positive metres"),
        ({"tracking_threshold": -0.1}, "tracking_threshold must be positive metres"),
        ({"tracking_threshold": math.nan}, "tracking_threshold must be positive metres"),
        ({"tracking_threshold": "tasks"}, "tracking_threshold must be .*'task' or None, got 'tasks'"),
        ({"frame_offsets": ()}, "frame_offsets must be whole frames from 0 to 300"),
        ({"frame_offsets": (1, -1)}, "frame_offsets must be whole frames from 0 to 300"),
        ({"frame_offsets": (1, 301)}, "frame_offsets must be whole frames from 0 to 300"),
        ({"frame_offsets": (1.5,)}, "frame_offsets must be whole frames from 0 to 300"),
        ({"frame_offsets": "123"}, "frame_offsets must be whole frames from 0 to 300"),
        ({"tracking_threshold": True}, "tracking_threshold must be positive metres"),
        ({"render_mode": "foo"}, "render_mode must be one of .*got 'foo'"),
        ({"scaffolds": "orcale"}, "scaffolds='orcale' is neither a planner nor an existing plan file"),
        ({"num_envs": 2}, "use gym.make_vec"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        gym.make(HAMMER, **arguments)


@ALL_TASKS
def test_a_vector_environment_has_different_rows(env_id: str) -> None:
    single = task_spec(env_id)
    envs = gym.make_vec(env_id, num_envs=4)
    observation, info = envs.reset(seed=0)
    assert observation.shape == (4, 130 + 21 * len(single.keypoints))
    assert envs.action_space.shape == (4, single.action_dim)
    assert len({row.tobytes() for row in observation}) == 4
    assert info["tracking_error"].shape == (4, len(single.keypoints))
    after, reward, terminated, truncated, _ = envs.step(np.zeros(envs.action_space.shape, np.float32))
    assert (after != observation).any(axis=1).all()
    assert reward.shape == terminated.shape == truncated.shape == (4,)
    envs.close()


def test_a_row_of_a_vector_environment_is_the_single_environment(make: Callable[[str], Any]) -> None:
    envs = gym.make_vec(HAMMER, num_envs=2, tracking_threshold=None)
    envs.reset(seed=[21, 22])
    env = make(HAMMER)
    env.reset(seed=22)
    for step in range(100):
        action = reference(env, step)
        row = envs.step(np.stack([np.zeros_like(action), action]))[0][1]
    np.testing.assert_array_equal(row, follow_last(env, 22, 100))
    envs.close()


def follow_last(env: Any, seed: int, steps: int) -> np.ndarray:
    env.reset(seed=seed)
    for step in range(steps):
        observation = env.step(reference(env, step))[0]
    return observation


@pytest.mark.parametrize("how", ["spec", "json", "pickle"])
def test_an_environment_can_be_made_again_from_its_spec(fresh: Callable[..., Any], how: str) -> None:
    env = fresh(PLIERS, split="eval", tracking_threshold=0.5, frame_offsets=(0, 3))
    spec = {
        "spec": lambda: env.spec,
        "json": lambda: gym.envs.registration.EnvSpec.from_json(env.spec.to_json()),
        "pickle": lambda: pickle.loads(pickle.dumps(env.spec)),
    }[how]()
    again = gym.make(spec)
    assert str(again) == str(env)
    assert again.unwrapped.split == "eval"
    assert again.unwrapped.tracking_threshold == 0.5
    assert again.observation_space == env.observation_space
    assert first_difference(*(follow(one, lambda _: still(env), 20, seed=1) for one in (env, again))) is None
    again.close()


def test_tasks_know_themselves_by_id_and_name() -> None:
    assert [get_task(name).spec.id for name in task_names()] == list(IDS)


def test_a_closed_environment_and_a_missing_gpu_are_told_in_one_sentence() -> None:
    env = gym.make(HAMMER)
    env.reset(seed=0)
    env.close()
    with pytest.raises(RuntimeError, match="is closed; make a new one"):
        env.unwrapped.reset(seed=0)
    with pytest.raises(ValueError, match="simulates on the CPU; use gym"):
        gym.make(HAMMER, sim_backend="physx_cuda")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="needs a CUDA GPU and torch sees none; leave it out for the CPU"):
            gym.make_vec(HAMMER, num_envs=2, sim_backend="physx_cuda")
