"""What every number of an observation means, what the info says, and how the reward adds up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from env_helpers import ALL_TASKS, DRAWER, IDS, random_actions, reference, rotation, still

from scaffold_bench.envs import mdp
from scaffold_bench.registration import task_spec
from scaffold_bench.types import EPISODE_STEPS, WORLD


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


def test_asking_for_the_info_changes_nothing_and_not_asking_forgets_nothing(make: Callable[[str], Any]) -> None:
    env = make("Scaffold-OpenDrawer-v0")
    inner = env.unwrapped
    env.reset(seed=0, options={"state": 0})
    simulation, episodes = inner._simulation, inner._episodes
    solved = False
    for step in range(EPISODE_STEPS):  # nobody asks for the info
        action = torch.from_numpy(reference(env, step))[None]
        episodes.step(simulation.step(episodes.command(action)))
        solved |= bool(episodes.task.success(episodes.task.measures(episodes._state, episodes._memory)))
    assert solved
    first, second = inner.get_info(), inner.get_info()
    assert bool(first["success_once"])
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(inner.get_obs(), inner.get_obs())
