"""``gym.make_vec``: each environment of the batch has the bits of ``gym.make``, whatever happens to its neighbours."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from scaffold_bench.registration import task_ids
from scaffold_bench.types import EPISODE_STEPS, InvalidScaffoldError

HAMMER, APPLE = "Scaffold-Hammer-v0", "Scaffold-MoveApple-v0"


def vector(env_id: str = HAMMER, num_envs: int = 3, **kwargs: Any) -> Any:
    return gym.make_vec(env_id, num_envs=num_envs, **{"split": "eval", "tracking_threshold": None, **kwargs})


def wander(env: Any, rng: np.random.Generator, step: int) -> np.ndarray:
    """The reference action of every environment, shaken."""
    task = env.unwrapped.task
    actions = np.stack([task.reference_action(step, plan) for plan in env.unwrapped.scaffolds])
    return (actions + rng.normal(0, 0.05, actions.shape)).astype(np.float32)


class Twin:
    """One environment of ``gym.make`` that must see what row ``row`` of a batch sees."""

    def __init__(self, env_id: str, row: int, **kwargs: Any) -> None:
        self.row = row
        self.env = gym.make(env_id, **{"split": "eval", "tracking_threshold": None, **kwargs})

    def reset(self, observation: np.ndarray, **kwargs: Any) -> None:
        mine, _ = self.env.reset(**kwargs)
        np.testing.assert_array_equal(mine, observation[self.row])

    def step(self, action: np.ndarray, outcome: tuple[Any, ...]) -> None:
        observation, reward, terminated, truncated, info = self.env.step(action[self.row])
        theirs = outcome[4]
        if terminated or truncated:  # the batch has begun a new episode already
            theirs = dict(theirs["final_info"])
            np.testing.assert_array_equal(observation, outcome[4]["final_obs"][self.row])
        else:
            np.testing.assert_array_equal(observation, outcome[0][self.row])
        assert np.float32(reward) == outcome[1][self.row]
        assert (terminated, truncated) == (outcome[2][self.row], outcome[3][self.row])
        for name, value in info.items():
            np.testing.assert_array_equal(np.asarray(value, dtype=theirs[name].dtype), theirs[name][self.row], name)
        if terminated or truncated:
            self.reset(outcome[0])


@pytest.mark.parametrize("env_id", task_ids())
def test_every_task_has_the_bits_of_a_single_environment(env_id: str) -> None:
    env, rng = vector(env_id), np.random.default_rng(0)
    observation, _ = env.reset(seed=7, options={"state": [0, 40, 99]})
    twins = [Twin(env_id, row) for row in (0, 2)]
    for twin in twins:
        twin.reset(observation, seed=7 + twin.row, options={"state": (0, 40, 99)[twin.row]})
    for step in range(EPISODE_STEPS + 5):  # a whole episode, and the reset after it
        actions = wander(env, rng, step % EPISODE_STEPS)
        outcome = env.step(actions)
        for twin in twins:
            twin.step(actions, outcome)


@pytest.mark.parametrize("num_envs", [1, 16, 64])
def test_bits_do_not_depend_on_neighbours_resets_or_history(num_envs: int) -> None:
    env, rng = vector(num_envs=num_envs), np.random.default_rng(1)
    rows = sorted({0, num_envs // 2, num_envs - 1})
    observation, _ = env.reset(seed=3)
    twins = [Twin(HAMMER, row) for row in rows]
    for twin in twins:
        twin.reset(observation, seed=3 + twin.row)
    for step in range(EPISODE_STEPS + 20):
        if step in (90, 200):  # some begin anew, others are in the middle of a swing
            mask = np.arange(num_envs) % 2 == (step == 200)
            observation, _ = env.reset(options={"reset_mask": mask})
            for twin in twins:
                if mask[twin.row]:
                    twin.reset(observation)
        actions = wander(env, rng, step % EPISODE_STEPS)
        outcome = env.step(actions)
        for twin in twins:
            twin.step(actions, outcome)


def test_an_episode_that_ends_is_reset_in_the_same_step() -> None:
    env = vector(APPLE, 2, tracking_threshold=0.02)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    twin = Twin(APPLE, 1, tracking_threshold=0.02)
    observation, _ = env.reset(seed=0)
    twin.reset(observation, seed=1)
    ended = np.zeros(2, dtype=int)
    for _ in range(EPISODE_STEPS + 5):
        actions = np.zeros(env.action_space.shape, np.float32)  # the apple stays behind its plan
        outcome = env.step(actions)
        twin.step(actions, outcome)
        done = outcome[2] | outcome[3]
        ended += done
        assert ("final_obs" in outcome[4]) == done.any()
        if done.any():
            np.testing.assert_array_equal(outcome[4]["_final_obs"], done)
            assert (outcome[4]["final_info"]["tracking_error"][done].max(axis=1) > 0.02).all()
            assert (outcome[4]["elapsed_steps"][done] == 0).all()
    assert (ended >= 2).all()


def test_without_autoreset_episodes_wait_for_the_caller() -> None:
    env = vector(APPLE, 2, tracking_threshold=0.02, autoreset=False)
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    env.reset(seed=0)
    plans = env.scaffolds
    for _ in range(EPISODE_STEPS):
        observation, _, terminated, _, infos = env.step(np.zeros(env.action_space.shape, np.float32))
    assert terminated.all()
    assert (infos["elapsed_steps"] == EPISODE_STEPS).all()
    assert "final_obs" not in infos
    assert env.scaffolds == plans
    again, infos = env.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(again[0], observation[0])
    np.testing.assert_array_equal(infos["elapsed_steps"], [EPISODE_STEPS, 0])


def test_all_episodes_are_truncated_together_after_their_plan() -> None:
    env = vector(num_envs=2)
    env.reset(seed=0)
    for step in range(1, EPISODE_STEPS + 1):
        _, _, terminated, truncated, _ = env.step(np.zeros(env.action_space.shape, np.float32))
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (step == EPISODE_STEPS)


def test_tensors_in_and_out() -> None:
    arrays, tensors = vector(num_envs=2), vector(num_envs=2, array="torch")
    expected, _ = arrays.reset(seed=0)
    observation, _ = tensors.reset(seed=0)
    assert isinstance(observation, torch.Tensor)
    np.testing.assert_array_equal(observation.numpy(), expected)
    action = torch.full(tensors.action_space.shape, 0.3)
    outcome = tensors.step(action)
    assert all(isinstance(part, torch.Tensor) for part in outcome[:4])
    np.testing.assert_array_equal(outcome[0].numpy(), arrays.step(action.numpy())[0])


def test_what_was_returned_is_not_changed_later() -> None:
    env = vector(num_envs=2)
    first, infos = env.reset(seed=0)
    kept = first.copy(), {name: np.copy(value) for name, value in infos.items()}
    for _ in range(3):
        env.step(env.action_space.sample())
    env.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(first, kept[0])
    for name, value in infos.items():
        np.testing.assert_array_equal(value, kept[1][name], name)


def test_the_threshold_can_be_set() -> None:
    env = vector(num_envs=1, tracking_threshold="task")
    assert env.tracking_threshold == 0.08
    env.set_tracking_threshold(0.04)
    assert env.tracking_threshold == 0.04
    env.set_tracking_threshold(None)
    assert env.tracking_threshold == np.inf


def test_a_plan_for_each_environment() -> None:
    env = vector(num_envs=2)
    env.reset(seed=0, options={"state": [4, 5]})
    four, five = env.scaffolds
    env.reset(seed=0, options={"state": 4, "scaffold": [five, four]})
    assert env.scaffolds == (five, four)
    with pytest.raises(InvalidScaffoldError, match="expected a Scaffold"):
        env.reset(options={"scaffold": {}})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sate": 1}, r"unknown reset options \['sate'\]"),
        ({"state": 100}, "index from 0 to 99, got 100"),
        ({"state": [1, 2, 3]}, "has 3 entries for 2 environments"),
        ({"reset_mask": [True]}, r"reset_mask has shape \(1,\), expected \(2,\)"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options: dict[str, Any], told: str) -> None:
    env = vector(num_envs=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.reset(options=options)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"array": "jax"}, "array must be 'numpy' or 'torch', got 'jax'"),
        ({"max_episode_steps": 100}, "an episode has 300 steps"),
        ({"split": "test"}, "split must be one of"),
        ({"sim_backend": "gpu"}, "sim_backend must be 'physx_cpu' or 'physx_cuda', got 'gpu'"),
        ({"sim_backend": "physx_cuda", "num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        vector(**arguments)


def test_bad_actions_and_a_closed_environment_are_refused() -> None:
    env = vector(num_envs=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions have shape \(7,\), expected \(2, 7\)"):
        env.step(np.zeros(7, np.float32))
    action = np.zeros((2, 7), np.float32)
    action[1, 4] = np.nan
    with pytest.raises(ValueError, match=r"not finite at index \(1, 4\)"):
        env.step(action)
    env.close()
    for use in (lambda: env.step(np.zeros((2, 7), np.float32)), env.reset):
        with pytest.raises(RuntimeError, match="is closed; make a new one"):
            use()


def test_without_a_wrist_plan_an_action_moves_the_wrist_s_target() -> None:
    make: Any = gym.make_vec
    envs = make("Scaffold-Hammer-v0", num_envs=2, wrist_plan=False, tracking_threshold=None, split="eval")
    single: Any = gym.make("Scaffold-Hammer-v0", wrist_plan=False, tracking_threshold=None, split="eval").unwrapped
    observation, _ = envs.reset(seed=0, options={"state": [0, 1]})
    alone, _ = single.reset(seed=0, options={"state": 0})
    wrist, planned = envs.observation_layout["wrist"], envs.observation_layout["planned_wrist"]
    start = observation[:, wrist].copy()
    np.testing.assert_allclose(observation[:, planned].reshape(2, -1, 6), np.tile(start[:, None], (1, 5, 1)), atol=1e-6)
    action = np.zeros((2, 7), np.float32)
    action[0, [2, 4]] = 1.0, -0.5
    for step in range(40):
        observation, *_ = envs.step(action)
        alone, *_ = single.step(action[0])
        if step == 19:
            saved = single.get_state_dict()
            middle = alone.copy()
    target = observation[:, planned].reshape(2, -1, 6)
    np.testing.assert_allclose(target[0, 0] - start[0], [0, 0, 0.4, 0, -2.0, 0], atol=1e-4)  # 1 cm, 0.05 rad per step
    np.testing.assert_allclose(target[1, 0], start[1], atol=1e-5)
    assert observation[0, wrist][2] - start[0, 2] > 0.25  # the wrist follows its target, late
    np.testing.assert_array_equal(observation[0], alone)
    single.set_state_dict(saved)
    np.testing.assert_allclose(single.get_obs()[0].numpy()[planned], middle[planned], atol=1e-6)
    envs.close()
    single.close()
