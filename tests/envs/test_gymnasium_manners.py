"""Every registered id as a Gymnasium environment: shapes, repeatability, refusals, plans and start states."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from scipy.spatial.transform import Rotation

from scaffold_bench import OracleProvider, Waypoints, failed_scaffold, save_scaffolds, scaffold_from_waypoints
from scaffold_bench.envs import mdp
from scaffold_bench.envs.start_states import FOLDER, StartStateError, frozen_states
from scaffold_bench.registration import get_task, task_ids, task_names, task_spec
from scaffold_bench.scaffolds import ScaffoldEntry
from scaffold_bench.types import EPISODE_STEPS, WORLD, InvalidScaffoldError, Scaffold, StartState

HAMMER, DRAWER, BOTTLE, PLIERS = (
    "Scaffold-Hammer-v0",
    "Scaffold-OpenDrawer-v0",
    "Scaffold-MoveBottle-v0",
    "Scaffold-ClosePliers-v0",
)
IDS = task_ids()
ALL_TASKS = pytest.mark.parametrize("env_id", IDS)
BOTH_SPLITS = pytest.mark.parametrize("split", ["train", "eval"])
GOLDEN_STATES = {
    "apple-train": "9d90d07d104ec5fb259a792ac5adf00bf28168d19b96c121a0c73f87c730ed42",
    "apple-eval": "72978a72d9b7049ff8973c3ff61a90941e0b400d804597f7d7a21a66609e6840",
    "bottle-train": "2a593d618b1f07ddac905cc54874ac661b165f2135c65d46787770421a1e40f1",
    "bottle-eval": "ab6366782357d6388255194dc2a5f842a3e89fd90b53441f8984594bc7cf23df",
    "drawer-train": "5f3fd19a5df107c15bb3e3d8c67c58cdd307b5f1b09bb1971f007837c24ab5e8",
    "drawer-eval": "2113094a67a8c48c8e751dbc840bd3498e293f091590d884754e5a93e3a159a0",
    "fridge-train": "31fdee28959a05d115fc6c149c430f8aae9821cf2a95771b49c9facad60939c0",
    "fridge-eval": "0104bee4d60d7b327c9b76486214aa1a068dea93c3c0f055841da72d809199f4",
    "hammer-train": "5419c0a5133a00ad267f34c6e300b474520b98b1309b60c36e5975e781439212",
    "hammer-eval": "ca0025445de661c04e45a30923c29619e43a3b8345f71390280a7c0e066f096c",
    "sponge-train": "e28b634f185e14bbaeb9131ad25b7a9df416278462ece2711b95afb40287697c",
    "sponge-eval": "c0eedb243aa83d3ffa46ecdb8437568c40b7f981e427fab714e147cf5aeb2eff",
    "scissors-train": "2d77bb82b144da8ddf096e81b5debf55fd23844327ce103aeb061539f63684ea",
    "scissors-eval": "783e619df09eb06f5248b7e1111f07bb0d7159e3e5066a52d3b9d9a8808c01ca",
    "pliers-train": "88629782e7eb4e8bbf5ac648fa04e48241ab2542185c8ecff6fa67c8563065a2",
    "pliers-eval": "68eb3522af170de43bc0ea9de643edb103695e72fd2679d24242fc7d872297a6",
}


# ------------------------------------------------------------------------------------------------ helpers
@pytest.fixture(scope="module")
def make() -> Iterator[Callable[[str], Any]]:
    """Environments without tracking termination, one per task for the whole file."""
    made: dict[str, Any] = {}

    def make(env_id: str) -> Any:
        if env_id not in made:
            made[env_id] = gym.make(env_id, tracking_threshold=None)
        return made[env_id]

    yield make
    for env in made.values():
        env.close()


@pytest.fixture
def fresh() -> Iterator[Callable[..., Any]]:
    """Environments of a test's own."""
    made = []

    def fresh(env_id: str = HAMMER, **kwargs: Any) -> Any:
        made.append(gym.make(env_id, **kwargs))
        return made[-1]

    yield fresh
    for env in made:
        env.close()


def still(env: Any) -> np.ndarray:
    """The action that follows the plan with an open hand."""
    return np.zeros(env.action_space.shape, np.float32)


def random_actions(env: Any, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)


def reference(env: Any, step: int) -> np.ndarray:
    inner = env.unwrapped
    return inner.task.reference_action(step, inner.scaffold)


def leaves(info: dict[str, Any]) -> bytes:
    """Every bit of an info dictionary."""
    return b"|".join(key.encode() + np.asarray(value).tobytes() for key, value in sorted(info.items()))


def follow(env: Any, action: Callable[[int], np.ndarray], steps: int, **reset: Any) -> list[bytes]:
    """Reset and step: all bits the environment returned, step by step."""
    observation, info = env.reset(**reset)
    seen = [observation.tobytes() + leaves(info)]
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(action(step))
        seen.append(observation.tobytes() + np.array([reward, terminated, truncated], float).tobytes() + leaves(info))
    return seen


def first_difference(one: list[bytes], other: list[bytes]) -> int | None:
    assert len(one) == len(other)
    return next((step for step, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)


def fingerprints(steps: int = 100) -> dict[str, str]:
    """A hash per task of an episode: half scripted, half random. Also called in another process."""
    hashes = {}
    for env_id in task_ids():
        env = gym.make(env_id, tracking_threshold=None)
        wild = random_actions(env, steps)

        def action(step: int, env: Any = env, wild: np.ndarray = wild) -> np.ndarray:
            return reference(env, step) if step < steps // 2 else wild[step]

        hashes[env_id] = hashlib.sha256(b"".join(follow(env, action, steps, seed=11))).hexdigest()
        env.close()
    return hashes


def shifted(plan: Scaffold, offset: np.ndarray) -> Scaffold:
    """A plan with other keypoints: ``offset`` broadcasts to (T + 1, K, 3)."""
    return dataclasses.replace(plan, keypoints=plan.keypoints + offset, waypoints=None)


# ------------------------------------------------------------------------------------------------ spaces and checks
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


# ------------------------------------------------------------------------------------------------ repeatability
@ALL_TASKS
def test_two_copies_agree_in_every_bit(make: Callable[[str], Any], fresh: Callable[..., Any], env_id: str) -> None:
    first, second = make(env_id), fresh(env_id, tracking_threshold=None)
    actions = random_actions(first, 60)
    one, other = (follow(env, actions.__getitem__, 60, seed=3) for env in (first, second))
    assert first_difference(one, other) is None


@ALL_TASKS
def test_an_episode_does_not_depend_on_those_before_it(fresh: Callable[..., Any], env_id: str) -> None:
    env = fresh(env_id, tracking_threshold=None)
    script = lambda step: reference(env, step)  # noqa: E731
    first = follow(env, script, EPISODE_STEPS, seed=7)
    wild = random_actions(env, 150)
    follow(env, wild.__getitem__, 150, seed=8)  # left in the middle, hand and object anywhere
    follow(env, script, 110, seed=9)
    assert first_difference(follow(env, script, EPISODE_STEPS, seed=7), first) is None


def test_an_episode_does_not_depend_on_other_environments(fresh: Callable[..., Any]) -> None:
    def script(step: int) -> np.ndarray:
        if others:
            others[0].step(others[0].action_space.sample())
            others[1].step(reference(others[1], step))
        return reference(env, step)

    others: list[Any] = []
    env = fresh(PLIERS, tracking_threshold=None)
    alone = follow(env, script, 200, seed=7)
    # ManiSkill's own environment sets another bounce threshold and contact offset for the whole process
    others += [fresh("PickCube-v1", obs_mode="state", render_backend="none"), fresh(DRAWER, tracking_threshold=None)]
    for other in others:
        other.reset(seed=0)
    assert first_difference(follow(env, script, 200, seed=7), alone) is None


def test_rebuilding_the_scene_changes_nothing(fresh: Callable[..., Any]) -> None:
    env = fresh(PLIERS, tracking_threshold=None)
    plain, rebuilt = (
        follow(env, lambda step: reference(env, step), 200, seed=4, options={"state": 5, "reconfigure": rebuild})
        for rebuild in (False, True)
    )
    assert first_difference(plain[1:], rebuilt[1:]) is None  # the reset's info tells them apart, by design


def test_another_process_agrees_in_every_bit() -> None:
    code = (
        f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import test_gymnasium_manners as t; print(json.dumps(t.fingerprints()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == fingerprints()


@ALL_TASKS
def test_a_seed_decides_the_start_and_no_seed_goes_on(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)

    def starts(seed: int) -> list[bytes]:
        observations = [env.reset(seed=seed)[0]] + [env.reset()[0] for _ in range(7)]
        return [observation.tobytes() for observation in observations]

    first, again, other = starts(1), starts(1), starts(2)
    assert first == again
    assert len(set(first)) >= 6  # 8 draws of 100 states
    assert first != other


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 + 5, 2**63])
def test_seeds_of_any_size_are_distinct(make: Callable[[str], Any], seed: int) -> None:
    env = make(HAMMER)
    assert (env.reset(seed=seed)[0] == env.reset(seed=seed)[0]).all()
    assert (env.reset(seed=seed)[0] != env.reset(seed=seed + 1)[0]).any()


def test_fresh_states_are_drawn_anew_and_repeat_with_the_seed(fresh: Callable[..., Any]) -> None:
    env = fresh(HAMMER, split="fresh")
    frozen = {state.wrist.tobytes() for split in ("train", "eval") for state in frozen_states("hammer", split)}

    def wrists(seed: int) -> list[bytes]:
        drawn = []
        for step in range(5):
            env.reset(seed=seed if step == 0 else None)
            drawn.append(env.unwrapped.start_state.wrist.tobytes())
        return drawn

    first = wrists(1)
    assert wrists(1) == first
    assert len({*first, *wrists(2)}) == 10
    assert not frozen & set(first)
    with pytest.raises(ValueError, match="no frozen start states"):
        _ = env.unwrapped.start_state_set


# ------------------------------------------------------------------------------------------------ observation
def constant_entries(env_id: str) -> set[tuple[str, int]]:
    """Entries that cannot vary, by slice and place in it, and why."""
    spec, frames = task_spec(env_id), len(mdp.DEFAULT_FRAME_OFFSETS)
    width = 3 * len(spec.keypoints)
    # objects start on the counter or the floor, so the height of their keypoints does not vary between starts
    allowed = {("initial_keypoints", entry) for entry in range(2, width, 3)}
    level = {  # keypoints whose plan stays at one height
        "apple": [5],  # the board stays where it is
        "drawer": [2],  # slides horizontally
        "fridge": [2],  # turns about the vertical
        "sponge": [2],  # wipes a level counter
        "scissors": [2, 5],  # lie flat while they are closed
        "pliers": [2, 5],
    }.get(spec.name, [])
    if spec.name == "bottle":  # the target point is fixed to the world
        level = [3, 4, 5]
        allowed |= {(piece, entry) for piece in ("initial_keypoints", "keypoints") for entry in level}
    return allowed | {("planned_keypoints", width * frame + entry) for frame in range(frames) for entry in level}


@ALL_TASKS
def test_no_observed_number_is_constant(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    rows = []
    for state in range(4):
        wild = random_actions(env, 40, seed=state)
        rows.append(env.reset(seed=0, options={"state": state})[0])
        for step in range(200):
            rows.append(env.step(wild[step] if step < len(wild) else reference(env, step))[0])
    varies = np.ptp(np.stack(rows), axis=0) > 0
    constant = {
        (name, entry)
        for name, piece in env.unwrapped.observation_layout.items()
        for entry in np.flatnonzero(~varies[piece]).tolist()
    }
    assert constant <= constant_entries(env_id)


def rotation(pose: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.asarray(pose, np.float64)[[4, 5, 6, 3]])


@ALL_TASKS
@pytest.mark.parametrize("offsets", [mdp.DEFAULT_FRAME_OFFSETS, mdp.AUTHORS_FRAME_OFFSETS], ids=["ours", "authors"])
def test_every_slice_holds_what_its_name_says(fresh: Callable[..., Any], env_id: str, offsets: tuple[int, ...]) -> None:
    env = fresh(env_id, tracking_threshold=None, frame_offsets=offsets)
    inner, layout = env.unwrapped, env.unwrapped.observation_layout
    count = len(inner.task.spec.keypoints)
    observation, _ = env.reset(seed=0, options={"state": 2})
    assert observation.shape == (94 + 6 + 6 * len(offsets) + 3 * count * (2 + len(offsets)),)
    plan = inner.scaffold
    start = {name: body.pose.raw_pose[0].numpy().astype(np.float64) for name, body in inner._built.bodies.items()}
    low, high = (inner.agent.robot.get_qlimits()[0, :, side].double().numpy() for side in (0, 1))
    smoothed = 2 * (inner.agent.robot.get_qpos()[0].double().numpy() - low) / (high - low) - 1
    np.testing.assert_allclose(smoothed[6:], -1, atol=1e-6)  # open fingers
    checked = 0
    for step in range(EPISODE_STEPS + 1):
        if step > 0:
            action = reference(env, step - 1)
            observation = env.step(action)[0]
            wrist = plan.wrist[step] + action[:6] * [0.1, 0.1, 0.1, 1, 1, 1]
            commands = np.broadcast_to(action[6:], 4) if action.size == 7 else action[6:]
            fingers = np.tile(-1 + 2 * np.clip(commands.astype(np.float64), 0, 1), 4)
            target = np.concatenate([2 * (wrist - low[:6]) / (high[:6] - low[:6]) - 1, fingers])
            smoothed = 0.9 * smoothed + 0.1 * np.clip(target, -1, 1)
        if step not in (0, 1, 77, 180, 280, 295, 300):
            continue
        checked += 1
        seen = {name: observation[piece] for name, piece in layout.items()}
        robot = inner.agent.robot
        np.testing.assert_array_equal(seen["joint_position"], robot.get_qpos()[0])
        np.testing.assert_array_equal(seen["joint_velocity"], robot.get_qvel()[0])
        np.testing.assert_allclose(seen["smoothed_target"], smoothed, atol=2e-6)
        tips = [robot.links_map[f"link_{number}.0_tip"].pose.raw_pose[0].numpy() for number in (3, 7, 11, 15)]
        np.testing.assert_array_equal(seen["fingertip_poses"].reshape(4, 7), tips)
        np.testing.assert_array_equal(seen["wrist"], seen["joint_position"][:6])
        np.testing.assert_array_equal(seen["initial_keypoints"].reshape(-1, 3), plan.keypoints[0])
        frames = [min(step + offset, EPISODE_STEPS) for offset in offsets]
        np.testing.assert_array_equal(seen["planned_keypoints"].reshape(len(offsets), -1, 3), plan.keypoints[frames])
        np.testing.assert_array_equal(seen["planned_wrist"].reshape(len(offsets), 6), plan.wrist[frames])
        for k, body in enumerate(plan.attachments):
            expected = plan.keypoints[0, k].astype(np.float64)
            if body != WORLD:
                now = inner._built.bodies[body].pose.raw_pose[0].numpy().astype(np.float64)
                local = rotation(start[body]).inv().apply(expected - start[body][:3])
                expected = now[:3] + rotation(now).apply(local)
            np.testing.assert_allclose(seen["keypoints"].reshape(-1, 3)[k], expected, atol=3e-6)
    assert checked == 7


def test_keypoints_equal_the_plan_at_the_start(make: Callable[[str], Any]) -> None:
    for env_id in IDS:
        env = make(env_id)
        observation, info = env.reset(seed=0, options={"state": 8})
        keypoints = observation[env.unwrapped.observation_layout["keypoints"]].reshape(-1, 3)
        np.testing.assert_allclose(keypoints, env.unwrapped.scaffold.keypoints[0], atol=1e-6)
        assert info["tracking_error"].max() < 1e-6


@ALL_TASKS
def test_returned_arrays_belong_to_the_caller(make: Callable[[str], Any], env_id: str) -> None:
    env, actions = make(env_id), random_actions(make(env_id), 12)
    untouched = follow(env, actions.__getitem__, 12, seed=5)
    observation, info = env.reset(seed=5)
    kept = [(observation, observation.copy())]
    seen = [observation.tobytes() + leaves(info)]
    for action in actions:
        for value in info.values():
            if isinstance(value, np.ndarray):
                value[...] = 77.0
        env.unwrapped.keypoints[...] = 77.0
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append(observation.tobytes() + np.array([reward, terminated, truncated], float).tobytes() + leaves(info))
        kept.append((observation, observation.copy()))
    assert first_difference(seen, untouched) is None
    assert all((now == before).all() for now, before in kept)
    arrays = [array for array, _ in kept]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_scribbling_over_an_observation_changes_nothing(make: Callable[[str], Any]) -> None:
    env, actions = make(HAMMER), random_actions(make(HAMMER), 12)
    untouched = follow(env, actions.__getitem__, 12, seed=5)

    def act(step: int) -> np.ndarray:
        inner._last_obs[...] = 77.0  # the very memory that a returned array could be a view of
        return actions[step]

    inner = env.unwrapped
    assert first_difference(follow(env, act, 12, seed=5), untouched) is None


# ------------------------------------------------------------------------------------------------ info and reward
@ALL_TASKS
def test_info_says_everything_by_name(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    count = len(task_spec(env_id).keypoints)
    _, at_reset = env.reset(seed=0)
    assert at_reset["elapsed_steps"] == 0
    for step in range(1, 4):
        info = env.step(still(env))[-1]
        assert set(info) == set(at_reset) - {"reconfigure"}
        assert info["elapsed_steps"] == step
    assert info["tracking_error"].shape == (count,)
    assert info["tip_forces"].shape == (4,)
    assert {key: type(info[key]) for key in ("success", "success_once", "plan_valid")} == dict.fromkeys(
        ("success", "success_once", "plan_valid"), bool
    )
    assert {key for key in info if key.startswith("reward/")} == {"reward/tracking", "reward/contact", "reward/action"}
    measures = {key: value for key, value in info.items() if key.startswith("measure/")}
    assert measures
    assert all(type(value) is float and math.isfinite(value) for value in measures.values())
    assert info["plan_valid"]
    assert not info["success"]


@ALL_TASKS
def test_reward_is_the_weighted_sum_of_its_terms(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    env.reset(seed=0, options={"state": 1})
    contact = 0.0
    for step in range(200):
        _, reward, _, _, info = env.step(reference(env, step))
        terms = {name: info[f"reward/{name}"] for name in ("tracking", "contact", "action")}
        assert reward == pytest.approx(terms["tracking"] + terms["contact"] - 0.001 * terms["action"], abs=1e-6)
        assert terms["tracking"] == pytest.approx(math.exp(-20 * info["tracking_error"].mean()), abs=1e-6)
        force = np.minimum(info["tip_forces"], 1.0).sum()
        assert terms["contact"] == pytest.approx(math.exp(-1 / (force + 1e-6)), abs=1e-5)
        contact = max(contact, terms["contact"])
    assert contact > 0.3  # the script did touch something


def test_success_once_outlives_success_but_not_the_episode(fresh: Callable[..., Any]) -> None:
    env = fresh(DRAWER, tracking_threshold=None)
    cabinet = env.unwrapped._built.objects["cabinet"]
    env.reset(seed=0, options={"state": 0})
    opened = torch.zeros(1, cabinet.max_dof)
    opened[0, env.unwrapped._built.joints[task_spec(DRAWER).joints[0]][1]] = 0.3

    def flags() -> tuple[bool, bool]:
        info = env.step(still(env))[-1]
        return info["success"], info["success_once"]

    assert flags() == (False, False)
    cabinet.set_qpos(opened)
    assert flags() == (True, True)
    cabinet.set_qpos(torch.zeros_like(opened))
    assert flags() == (False, True)
    assert flags() == (False, True)
    assert env.reset(seed=0)[1]["success_once"] is False
    assert flags() == (False, False)


# ------------------------------------------------------------------------------------------------ end of an episode
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
def test_the_default_threshold_is_the_task_s_and_is_annealed_to_half(fresh: Callable[..., Any], env_id: str) -> None:
    inner, initial = fresh(env_id).unwrapped, task_spec(env_id).tracking_threshold
    assert inner.tracking_threshold == initial
    for progress, share in ((0.0, 1.0), (0.5, 0.75), (1.0, 0.5), (2.0, 0.5)):
        inner.anneal_tracking_threshold(progress)
        assert inner.tracking_threshold == pytest.approx(share * initial)
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


# ------------------------------------------------------------------------------------------------ actions
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


# ------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sate": 3}, r"unknown reset options \['sate'\]; known are state, trial, start"),
        ({"state": 100}, "index from 0 to 99, got 100"),
        ({"state": -1}, "index from 0 to 99, got -1"),
        ({"state": 1.0}, "index from 0 to 99, got 1.0"),
        ({"state": "3"}, "index from 0 to 99, got '3'"),
        ({"state": True}, "index from 0 to 99, got True"),
        ({"state": 0, "trial": -1}, r"trial.* must be a whole number from 0 on, got -1"),
        ({"state": 0, "trial": 1.7}, r"trial.* must be a whole number from 0 on, got 1.7"),
        ({"trial": 1}, r"say which one with options\[\"state\"\]"),
        ({"start": 5}, "must be a StartState, got int"),
        ({"start": StartState(np.zeros(6), {})}, r"must have the objects \['hammer'\]"),
        ({"start": StartState(np.zeros(5), {"hammer": np.zeros(7)})}, "wrist must be 6 finite numbers"),
        ({"start": StartState(np.zeros(6), {"hammer": np.full(7, np.nan)})}, "hammer must be 7 finite numbers"),
        ({"start": StartState(np.zeros(6), {"hammer": np.zeros(7)}), "state": 3}, 'leave "state" and "trial" out'),
        ({"scaffold": {}}, "is dict, expected a Scaffold"),
    ],
    ids=str,
)
def test_bad_reset_options_are_refused(make: Callable[[str], Any], options: dict[str, Any], told: str) -> None:
    env = make(HAMMER)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.reset(options=options)


def test_a_refused_reset_leaves_the_episode_running(make: Callable[[str], Any]) -> None:
    env, actions = make(HAMMER), random_actions(make(HAMMER), 8)
    expected = follow(env, actions.__getitem__, 8, seed=2)

    def act(step: int) -> np.ndarray:
        if step == 4:
            for options in ({"state": 100}, {"sate": 3}):
                with pytest.raises(ValueError, match="state"):
                    env.unwrapped.reset(options=options)
        return actions[step]

    assert first_difference(follow(env, act, 8, seed=2), expected) is None


def test_a_numpy_index_picks_a_state(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    by_numpy, by_int = (env.reset(options={"state": index})[0] for index in (np.int64(7), 7))
    np.testing.assert_array_equal(by_numpy, by_int)


def test_a_state_needs_a_frozen_split(fresh: Callable[..., Any]) -> None:
    env = fresh(HAMMER, split="fresh")
    with pytest.raises(ValueError, match='split="fresh"'):
        env.reset(seed=0, options={"state": 3})


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


# ------------------------------------------------------------------------------------------------ making
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


# ------------------------------------------------------------------------------------------------ start states
def test_frozen_states_are_the_ones_they_always_were() -> None:
    assert json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8")) == GOLDEN_STATES
    assert {f"{path.stem}" for path in FOLDER.glob("*.npz")} == set(GOLDEN_STATES)


@pytest.mark.parametrize("key", sorted(GOLDEN_STATES))
def test_a_state_file_s_numbers_have_the_golden_hash(key: str) -> None:
    task, split = key.split("-")
    with np.load(FOLDER / f"{key}.npz", allow_pickle=False) as file:
        digest = hashlib.sha256()
        for name in sorted(file.files):
            values = file[name]
            assert values.dtype == np.float64
            digest.update(f"{name}{values.shape}".encode())
            digest.update(values.astype("<f8").tobytes())
    assert digest.hexdigest() == GOLDEN_STATES[key]
    assert frozen_states(task, split).sha256 == GOLDEN_STATES[key]


@pytest.mark.parametrize("name", task_names())
def test_all_two_hundred_states_of_a_task_differ(name: str) -> None:
    states = [state for split in ("train", "eval") for state in frozen_states(name, split)]
    assert len({state.wrist.tobytes() for state in states}) == 200
    poses = {b"".join(np.asarray(pose).tobytes() for _, pose in sorted(state.objects.items())) for state in states}
    assert len(poses) == 200


@ALL_TASKS
def test_splits_start_differently(make: Callable[[str], Any], fresh: Callable[..., Any], env_id: str) -> None:
    train, evaluation = make(env_id), fresh(env_id, split="eval")
    assert train.unwrapped.split == "train"  # the default
    first, second = (env.reset(seed=0, options={"state": 0})[0] for env in (train, evaluation))
    assert (first[:6] != second[:6]).all()
    for env, split in ((train, "train"), (evaluation, "eval")):
        start = frozen_states(task_spec(env_id).name, split)[0]
        np.testing.assert_array_equal(env.unwrapped.start_state.wrist, start.wrist)
        wrist = env.unwrapped.agent.robot.get_qpos()[0, :6]
        np.testing.assert_allclose(wrist, start.wrist, atol=1e-6)
        for name, pose in start.objects.items():
            placed = env.unwrapped._built.objects[name].pose.raw_pose[0]
            np.testing.assert_allclose(placed, pose, atol=1e-6)


@pytest.mark.parametrize("damage", ["number", "swapped", "truncated", "missing", "no manifest", "not in manifest"])
def test_tampered_states_are_refused(tmp_path: Path, damage: str) -> None:
    for name in ("hammer-eval.npz", "hammer-train.npz", "manifest.json"):
        shutil.copy(FOLDER / name, tmp_path)
    path, manifest = tmp_path / "hammer-eval.npz", tmp_path / "manifest.json"
    assert len(frozen_states("hammer", "eval", folder=tmp_path)) == 100
    if damage == "number":
        with np.load(path) as file:
            columns = dict(file)
        columns["wrist"][50, 2] = np.nextafter(columns["wrist"][50, 2], 9)
        np.savez_compressed(path, **columns)
    elif damage == "swapped":
        shutil.copy(tmp_path / "hammer-train.npz", path)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "missing":
        path.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("{}", encoding="utf-8")
    with pytest.raises(StartStateError, match="hammer-eval") as caught:
        frozen_states("hammer", "eval", folder=tmp_path)
    assert "reinstall scaffold-bench" in str(caught.value)
    assert "\n" not in str(caught.value)


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    return float((rotation(one) * rotation(other).inv()).magnitude())


@ALL_TASKS
def test_trials_jitter_a_state_slightly_and_repeatably(fresh: Callable[..., Any], env_id: str) -> None:
    env = fresh(env_id, split="eval")
    inner = env.unwrapped

    def start(trial: int | None) -> StartState:
        options: dict[str, Any] = {"state": 4} if trial is None else {"state": 4, "trial": trial}
        env.reset(seed=0, options=options)
        return inner.start_state

    frozen, trials = start(None), [start(trial) for trial in range(20)]
    assert len({one.wrist.tobytes() for one in trials}) == 20
    for name, pose in frozen.objects.items():
        assert len({one.objects[name].tobytes() for one in trials}) == 20
        shift = np.stack([one.objects[name][:3] - pose[:3] for one in trials])
        assert np.abs(shift[:, :2]).max() <= 0.002 + 1e-12
        assert np.ptp(shift[:, :2], axis=0).min() > 0.001
        np.testing.assert_array_equal(shift[:, 2], 0)
        turns = [angle_between(one.objects[name], pose) for one in trials]
        assert max(turns) <= math.radians(1) + 1e-6
        assert max(turns) > math.radians(0.5)
    wrist = np.stack([one.wrist - frozen.wrist for one in trials])
    assert 0.001 < np.abs(wrist[:, :3]).max() <= 0.002 + 1e-12
    np.testing.assert_array_equal(wrist[:, 3:], 0)
    assert start(7).wrist.tobytes() == trials[7].wrist.tobytes()
    assert [inner.start_state_set.trial_seed(4, trial) for trial in range(20)] != [
        inner.start_state_set.trial_seed(5, trial) for trial in range(20)
    ]


# ------------------------------------------------------------------------------------------------ plans
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


def test_tasks_know_themselves_by_id_and_name() -> None:
    assert [get_task(name).spec.id for name in task_names()] == list(IDS)


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


def test_a_closed_environment_and_a_missing_gpu_are_told_in_one_sentence() -> None:
    env = gym.make(HAMMER)
    env.reset(seed=0)
    env.close()
    with pytest.raises(RuntimeError, match="is closed; make a new one"):
        env.unwrapped.reset(seed=0)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="needs a CUDA GPU and torch sees none"):
            gym.make(HAMMER, sim_backend="physx_cuda")
