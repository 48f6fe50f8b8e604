"""What ManiSkill's own tools do with our environments: states saved and restored, episodes recorded."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
import pytest
import torch
from mani_skill.utils.wrappers import RecordEpisode

from scaffold_bench.registration import task_ids, task_spec
from scaffold_bench.types import EPISODE_STEPS

HAMMER, DRAWER, PLIERS = "Scaffold-Hammer-v0", "Scaffold-OpenDrawer-v0", "Scaffold-ClosePliers-v0"
ALL_TASKS = pytest.mark.parametrize("env_id", task_ids())
IN_HAND = 130  # a control step at which every script holds its object
# a pose goes through PhysX' own frames, which rounds its last bit
ONE_BIT = {"rtol": 0, "atol": 3e-7}


@pytest.fixture(scope="module")
def make(kept_envs: Callable[..., Any]) -> Callable[[str], Any]:
    """Environments on the evaluation states, one per task for the whole file."""
    return lambda env_id: kept_envs(env_id, split="eval", tracking_threshold=None).unwrapped


def play(env: Any, first: int, last: int) -> list[str]:
    """Let the script act from step ``first`` on; a hash of every bit it saw, step by step."""
    seen = []
    for step in range(first, last):
        observation, reward, _, _, info = env.step(env.unwrapped.task.reference_action(step, env.unwrapped.scaffold))
        numbers = [info["tip_forces"], info["tracking_error"], [reward, info["success_once"], info["elapsed_steps"]]]
        seen.append(hashlib.sha256(observation.tobytes() + np.concatenate(numbers).tobytes()).hexdigest())
    return seen


def play_until(env: Any, step: int, state: int = 0) -> None:
    env.reset(seed=0, options={"state": state})
    play(env, 0, step)


def flat(state: Any, prefix: str = "") -> dict[str, np.ndarray]:
    if not isinstance(state, dict):
        return {prefix: np.array(state, dtype=np.float64)}
    return {key: value for name in state for key, value in flat(state[name], f"{prefix}/{name}").items()}


def assert_same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    one, other = flat(one), flat(other)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(one[key], other[key], err_msg=key, **ONE_BIT)


def wander(env: Any, steps: int) -> None:
    """Go somewhere else, so that a restored state has something to undo."""
    wild = np.random.default_rng(0).uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)
    for action in wild:
        env.step(action)


# ------------------------------------------------------------------------------------------------ states
@ALL_TASKS
@pytest.mark.parametrize("kind", ["dict", "flat"])
def test_a_restored_state_is_the_saved_one(make: Callable[[str], Any], env_id: str, kind: str) -> None:
    env = make(env_id)
    play_until(env, IN_HAND)
    saved, vector = copy.deepcopy(env.get_state_dict()), env.get_state().clone()
    observation, info = env.get_obs()[0].numpy().copy(), env.get_info()
    assert vector.shape == (1, sum(part.shape[1] for part in flat(saved).values()))
    wander(env, 40)
    assert np.abs(env.get_state() - vector).max() > 0.01
    if kind == "dict":
        env.set_state_dict(saved)
    else:
        env.set_state(vector)
    assert_same_state(env.get_state_dict(), saved)
    np.testing.assert_allclose(env.get_state(), vector, **ONE_BIT)
    np.testing.assert_allclose(env.get_obs()[0], observation, rtol=0, atol=2e-6)
    assert int(env.get_info()["elapsed_steps"]) == IN_HAND
    for key, value in env.get_info().items():
        if key.startswith("measure/") and "tips" not in key:  # contacts are not part of a state
            torch.testing.assert_close(value, info[key], rtol=0, atol=2e-6, msg=key)


@ALL_TASKS
def test_a_restored_state_has_one_future(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    play_until(env, IN_HAND)
    saved, vector = copy.deepcopy(env.get_state_dict()), env.get_state().clone()
    futures = []
    for steps, restore in ((0, env.set_state_dict), (5, env.set_state_dict), (60, env.set_state)):
        wander(env, steps)  # what happened before must not matter
        restore(vector if restore == env.set_state else saved)
        futures.append(play(env, IN_HAND, IN_HAND + 30))
    assert futures[0] == futures[1]
    assert futures[0] == futures[2]
    assert len(set(futures[0])) == 30


@ALL_TASKS
def test_a_restored_state_goes_on_like_the_episode_it_was_taken_from(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    play_until(env, IN_HAND)
    saved = copy.deepcopy(env.get_state_dict())
    play(env, IN_HAND, IN_HAND + 30)
    keypoints, wrist = env.keypoints.clone(), env.agent.robot.get_qpos()[:, :6].clone()
    env.set_state_dict(saved)
    play(env, IN_HAND, IN_HAND + 30)
    # not bitwise: contacts begin anew
    torch.testing.assert_close(env.keypoints, keypoints, rtol=0, atol=0.01)
    torch.testing.assert_close(env.agent.robot.get_qpos()[:, :6], wrist, rtol=0, atol=0.05)


def test_a_state_can_be_carried_to_another_environment_with_the_same_plan(make: Callable[[str], Any]) -> None:
    env = make(PLIERS)
    play_until(env, IN_HAND)
    saved, plan = copy.deepcopy(env.get_state_dict()), env.scaffold
    other = gym.make(PLIERS, tracking_threshold=None).unwrapped
    other.reset(seed=9, options={"scaffold": plan})
    env.set_state_dict(saved)
    other.set_state_dict(saved)
    assert play(env, IN_HAND, IN_HAND + 30) == play(other, IN_HAND, IN_HAND + 30)
    other.close()


def test_hammer_swings_are_part_of_the_state(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    play_until(env, EPISODE_STEPS)
    saved = copy.deepcopy(env.get_state_dict())
    swings = float(env.get_info()["measure/swings"])
    assert swings >= 3
    assert bool(env.get_info()["success_once"])
    env.reset(seed=1)
    info = env.get_info()
    assert (float(info["measure/swings"]), bool(info["success_once"]), int(info["elapsed_steps"])) == (0, False, 0)
    env.set_state_dict(saved)
    info = env.get_info()
    assert float(info["measure/swings"]) == swings
    assert (bool(info["success_once"]), int(info["elapsed_steps"])) == (True, EPISODE_STEPS)
    assert int(env.elapsed_steps) == EPISODE_STEPS


def test_a_swing_begun_before_saving_is_finished_after_restoring(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    env.reset(seed=0, options={"state": 0})
    play(env, 0, 100)
    while float(env._episodes._memory["rising"]) > 0:  # until the head has risen by 5 cm
        step = int(env.get_info()["elapsed_steps"])
        play(env, step, step + 1)
    saved, step = copy.deepcopy(env.get_state_dict()), int(env.get_info()["elapsed_steps"])
    assert float(env.get_info()["measure/swings"]) == 0
    env.reset(seed=0, options={"state": 0})
    env.set_state_dict(saved)
    play(env, step, step + 60)
    assert float(env.get_info()["measure/swings"]) == 1


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_state_of_the_wrong_size_is_refused(make: Callable[[str], Any], extra: int) -> None:
    env = make(DRAWER)
    env.reset(seed=0)
    size = env.get_state().shape[1]
    with pytest.raises(ValueError, match=f"has {size} numbers, got {size + extra}"):
        env.set_state(torch.zeros(1, size + extra))


# ------------------------------------------------------------------------------------------------ recording
@pytest.mark.parametrize("env_id", [HAMMER, DRAWER, PLIERS])
def test_an_episode_is_recorded_whole(tmp_path: Path, env_id: str) -> None:
    env = RecordEpisode(
        gym.make(env_id, split="eval", tracking_threshold=None), str(tmp_path), trajectory_name="t", save_video=False
    )
    inner, spec = env.unwrapped, task_spec(env_id)
    observations, rewards, actions = [env.reset(seed=0, options={"state": 1})[0]], [], []
    for step in range(EPISODE_STEPS):
        actions.append(inner.task.reference_action(step, inner.scaffold))
        observation, reward, _, truncated, info = env.step(actions[-1])
        observations.append(observation)
        rewards.append(reward)
    assert truncated
    assert info["success_once"]
    last = copy.deepcopy(inner.get_state_dict())
    env.close()

    told = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert told["env_info"]["env_id"] == env_id
    assert told["env_info"]["max_episode_steps"] == EPISODE_STEPS
    assert told["env_info"]["env_kwargs"]["split"] == "eval"
    (episode,) = told["episodes"]
    assert episode["elapsed_steps"] == EPISODE_STEPS
    assert episode["reset_kwargs"] == {"options": {"state": 1}, "seed": 0}
    assert episode["success"] is info["success"]
    with h5py.File(tmp_path / "t.h5") as file:
        assert list(file) == ["traj_0"]
        recorded = file["traj_0"]
        np.testing.assert_array_equal(recorded["obs"][:], observations)
        assert recorded["obs"].shape == (EPISODE_STEPS + 1, 130 + 21 * len(spec.keypoints))
        np.testing.assert_array_equal(recorded["actions"][:], actions)
        assert recorded["actions"].shape == (EPISODE_STEPS, spec.action_dim)
        np.testing.assert_array_equal(recorded["rewards"][:], np.array(rewards, np.float32))
        for name in ("success", "terminated", "truncated"):
            assert recorded[name].shape == (EPISODE_STEPS,)
            assert recorded[name].dtype == bool
        assert recorded["success"][-1] == info["success"]
        assert not recorded["success"][0]
        assert recorded["truncated"][:].sum() == 1
        assert not recorded["terminated"][:].any()
        states: list[tuple[str, np.ndarray]] = []
        recorded["env_states"].visititems(
            lambda name, node: states.append((name, node[:])) if isinstance(node, h5py.Dataset) else None
        )
    assert {f"/{name}" for name, _ in states} == set(flat(last))
    for name, values in states:
        assert len(values) == EPISODE_STEPS + 1
        np.testing.assert_allclose(values[-1], flat(last)[f"/{name}"].reshape(values[-1].shape), **ONE_BIT)


def test_every_episode_is_recorded_apart_and_can_be_played_again(tmp_path: Path) -> None:
    env = RecordEpisode(gym.make(HAMMER, tracking_threshold=None), str(tmp_path), trajectory_name="t", save_video=False)
    for seed, steps in ((5, 20), (6, 30)):
        env.reset(seed=seed)
        wander(env, steps)
    env.close()
    told = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert [episode["elapsed_steps"] for episode in told["episodes"]] == [20, 30]
    again = gym.make(told["env_info"]["env_id"], **told["env_info"]["env_kwargs"])
    with h5py.File(tmp_path / "t.h5") as file:
        for number, episode in enumerate(told["episodes"]):
            recorded = file[f"traj_{number}"]
            observation, _ = again.reset(**episode["reset_kwargs"])
            if number == 0:  # of a later first observation, mani_skill 3.0.1 records the first number only
                np.testing.assert_array_equal(recorded["obs"][0], observation)
            for row, action in enumerate(recorded["actions"][:], start=1):
                np.testing.assert_array_equal(recorded["obs"][row], again.step(action)[0])
    again.close()


@pytest.mark.parametrize("kind", ["dict", "flat"])
def test_an_episode_can_begin_at_a_saved_state(make: Callable[[str], Any], kind: str) -> None:
    env = make(PLIERS)
    play_until(env, IN_HAND)
    saved = copy.deepcopy(env.get_state_dict()) if kind == "dict" else env.get_state().clone()
    expected = env.get_obs()[0].numpy().copy()
    env.set_state_dict(saved) if kind == "dict" else env.set_state(saved)
    future = play(env, IN_HAND, IN_HAND + 20)
    wander(env, 30)
    observation, info = env.reset(options={"reset_to_env_states": {"env_states": saved}})
    np.testing.assert_allclose(observation, expected, rtol=0, atol=2e-6)
    assert info["elapsed_steps"] == IN_HAND
    assert play(env, IN_HAND, IN_HAND + 20) == future


def test_a_given_observation_is_returned_without_touching_earlier_ones(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    earlier, _ = env.reset(seed=0)
    kept, saved = earlier.copy(), copy.deepcopy(env.get_state_dict())
    given = np.full((1, earlier.size), 0.5, np.float32)
    observation, _ = env.reset(options={"reset_to_env_states": {"env_states": saved, "obs": given}})
    np.testing.assert_array_equal(observation, given[0])
    np.testing.assert_array_equal(earlier, kept)


@pytest.mark.rendering
def test_an_episode_is_filmed(tmp_path: Path) -> None:
    import imageio.v3 as imageio

    camera = {"width": 128, "height": 128}
    env = RecordEpisode(
        gym.make(HAMMER, render_mode="rgb_array", human_render_camera_configs=camera),
        str(tmp_path),
        save_trajectory=False,
        video_fps=30,
    )
    env.reset(seed=0)
    wander(env, 6)
    env.close()
    (video,) = tmp_path.glob("*.mp4")
    frames = imageio.imread(video)
    assert frames.shape == (7, 128, 128, 3)
    assert frames.std() > 10
