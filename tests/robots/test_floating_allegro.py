"""The floating hand and the simulation around it, against the paper's Table 2, and how it moves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scaffold_bench.objects import dimensions
from scaffold_bench.registration import task_ids
from scaffold_bench.types import EPISODE_STEPS, FINGERTIPS

WRIST = [f"wrist_{kind}_{axis}" for kind in ("translation", "rotation") for axis in "xyz"]
# SAPIEN orders joints by depth: the first joint of every finger, then the second, ...
FINGERS = [f"joint_{4 * finger + depth}.0" for depth in range(4) for finger in range(4)]
TIPS = ["link_3.0_tip", "link_7.0_tip", "link_11.0_tip", "link_15.0_tip"]
LAG = 12  # control steps that a moving wrist is behind


@pytest.fixture(scope="module")
def env() -> Iterator[Any]:
    env = gym.make("Scaffold-Hammer-v0", tracking_threshold=None)
    env.reset(seed=0)
    yield env
    env.close()


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    """An environment with one command per finger."""
    env = gym.make("Scaffold-ClosePliers-v0", tracking_threshold=None)
    yield env
    env.close()


@pytest.fixture
def hand(env: Any) -> Any:
    """SAPIEN's articulation."""
    return env.unwrapped.agent.robot._objs[0]


def own(name: str) -> str:
    """A joint's or link's name without ManiSkill's prefix."""
    return name.removeprefix("scene-0-scaffold_floating_allegro_right_")


def hover(env: Any, **wrist: Any) -> None:
    """Start an episode whose plan holds the wrist still, high above everything."""
    env.reset(seed=0, options={"state": 0})
    inner = env.unwrapped
    place = inner.start_state.wrist + np.array([0, 0, 0.6, 0, 0, 0])
    place[3:] = wrist.get("euler", place[3:])
    still = np.repeat(place[None], EPISODE_STEPS + 1, axis=0)
    plan = dataclasses.replace(inner.scaffold, wrist=still, waypoints=None)
    start = dataclasses.replace(inner.start_state, wrist=place)
    env.reset(seed=0, options={"start": start, "scaffold": plan})


def act(env: Any, steps: int, **entries: float) -> np.ndarray:
    """Repeat an action, given by entry (``a6=1.0``); the joint positions after it."""
    action = np.zeros(env.action_space.shape, np.float32)
    for name, value in entries.items():
        action[int(name[1:])] = value
    for _ in range(steps):
        env.step(action)
    return env.unwrapped.agent.robot.get_qpos()[0].numpy()


# ------------------------------------------------------------------------------------------------ Table 2
def test_the_hand_has_22_joints_in_a_known_order(hand: Any) -> None:
    assert [own(joint.name) for joint in hand.active_joints] == WRIST + FINGERS
    assert hand.dof == 22


@pytest.mark.parametrize(
    ("joints", "stiffness", "damping", "force"),
    [(slice(0, 6), 2000, 100, 1000), (slice(6, 22), 10, 0.3, 10)],
    ids=["wrist", "fingers"],
)
def test_drives_have_the_published_gains(
    hand: Any, joints: slice, stiffness: float, damping: float, force: float
) -> None:
    for joint in hand.active_joints[joints]:
        assert (joint.stiffness, joint.damping, joint.force_limit) == pytest.approx((stiffness, damping, force))
        assert joint.drive_mode == "force"
        assert joint.drive_velocity_target == 0
        np.testing.assert_array_equal(joint.friction, 0)


def test_joint_limits(hand: Any) -> None:
    limits = np.concatenate([joint.limits for joint in hand.active_joints])
    np.testing.assert_allclose(limits[:3], [[-10, 10]] * 3)
    np.testing.assert_allclose(limits[3:6], [[-4 * math.pi, 4 * math.pi]] * 3)
    fingers = dict(zip(FINGERS, limits[6:], strict=True))
    for finger in range(3):  # Allegro's data sheet: spread, then three flexing joints
        np.testing.assert_allclose(fingers[f"joint_{4 * finger}.0"], [-0.47, 0.47])
        np.testing.assert_allclose(fingers[f"joint_{4 * finger + 1}.0"], [-0.196, 1.61])
        np.testing.assert_allclose(fingers[f"joint_{4 * finger + 2}.0"], [-0.174, 1.709])
        np.testing.assert_allclose(fingers[f"joint_{4 * finger + 3}.0"], [-0.227, 1.618])
    np.testing.assert_allclose(fingers["joint_12.0"], [0.263, 1.396])


def test_fingertips_grip_and_the_rest_slides(hand: Any) -> None:
    shapes = [(own(link.name), shape) for link in hand.links for shape in link.collision_shapes]
    assert {name for name, _ in shapes} >= set(TIPS)
    for name, shape in shapes:
        material, tip = shape.physical_material, name in TIPS
        assert material.static_friction == (2.0 if tip else 1.0)
        assert material.dynamic_friction == 1.0
        assert material.restitution == 0.0
        assert shape.patch_radius == pytest.approx(0.1 if tip else 0.0)
        assert shape.contact_offset == pytest.approx(0.002)


def test_the_tips_are_listed_in_the_order_of_the_fingers(env: Any) -> None:
    assert FINGERTIPS == ("index", "middle", "ring", "thumb")
    assert [own(link._objs[0].name) for link in env.unwrapped.agent.tip_links] == TIPS
    hover(env)
    base = env.unwrapped.agent.robot.links_map["base_link"].pose.sp
    local = np.stack([(base.inv() * link.pose.sp).p for link in env.unwrapped.agent.tip_links])
    # hand frame: +y is the side of index finger and thumb, +z points along the open fingers
    assert local[0, 1] > local[1, 1] + 0.03 > local[2, 1] + 0.06
    assert local[:3, 2].min() > 0.1
    assert local[3, 2] < 0.1


def test_gravity_acts_on_objects_and_not_on_the_hand(env: Any, hand: Any) -> None:
    assert all(link.disable_gravity for link in hand.links)
    bodies = [body for actor in env.unwrapped._built.bodies.values() for body in actor._bodies]
    assert not any(body.disable_gravity for body in bodies)
    np.testing.assert_allclose(env.unwrapped.scene.px.config.gravity, [0, 0, -9.81], rtol=1e-6)


@pytest.mark.parametrize("resets", [0, 3])
def test_simulation_settings_survive_resets(env: Any, hand: Any, resets: int) -> None:
    inner = env.unwrapped
    for _ in range(resets):
        env.reset()
    assert (inner.sim_freq, inner.control_freq) == (120, 60)
    assert inner.scene.px.timestep == pytest.approx(1 / 120)
    assert inner.scene.px.config.bounce_threshold == 2.0
    (hammer,) = inner._built.bodies["hammer"]._bodies
    for body in (hand, hammer):
        assert (body.solver_position_iterations, body.solver_velocity_iterations) == (8, 0)
    for shape in hammer.collision_shapes:
        material = shape.physical_material
        assert (material.static_friction, material.dynamic_friction, material.restitution) == (1, 1, 0)


def test_a_control_step_is_a_sixtieth_of_a_second_in_two_simulation_steps(env: Any) -> None:
    hover(env)
    inner = env.unwrapped
    start = inner.start_state
    lifted = {name: pose + np.array([0, 0, 1.0, 0, 0, 0, 0]) for name, pose in start.objects.items()}
    env.reset(options={"start": dataclasses.replace(start, objects=lifted), "scaffold": inner.scaffold})
    (hammer,) = inner._built.bodies["hammer"]._bodies
    act(env, 3)
    assert hammer.linear_velocity[2] == pytest.approx(-9.81 * 3 / 60, rel=1e-3)
    # semi-implicit Euler with n steps of dt falls g dt^2 n (n + 1) / 2: here n = 6, dt = 1 / 120
    fallen = lifted["hammer"][2] - hammer.entity.pose.p[2]
    assert fallen == pytest.approx(9.81 / 120**2 * 6 * 7 / 2, rel=1e-2)


# ------------------------------------------------------------------------------------------------ objects
@pytest.mark.parametrize("env_id", task_ids())
def test_objects_weigh_what_they_should_and_cannot_be_shot(env_id: str) -> None:
    masses = {"apple": 0.15, "board": 0.8, "bottle": 0.5, "hammer": 0.5, "sponge": 0.03, "scissors": 0.081}
    masses |= {"pliers": 0.173, "cabinet": 32 + 3 * 2.5, "fridge": 60 + 5.5 + 12}
    env = gym.make(env_id).unwrapped
    assert env._built.objects
    for name, built in env._built.objects.items():
        bodies = built._objs[0].links if hasattr(built, "max_dof") else built._bodies
        assert sum(body.mass for body in bodies) == pytest.approx(masses[name], rel=0.01)
        if name in ("cabinet", "fridge"):
            continue
        for body in bodies:
            assert body.max_linear_velocity == pytest.approx(10.0)
            assert body.max_depenetration_velocity == pytest.approx(3.0)
            assert (np.asarray(body.inertia) > 0).all()
    env.close()


def test_masses_are_written_down_once() -> None:
    d = dimensions
    assert (d.APPLE.mass, d.BOTTLE.mass, d.SPONGE.mass, d.SCISSORS.mass, d.PLIERS.mass) == (
        0.15,
        0.5,
        0.03,
        0.081,
        0.173,
    )
    assert pytest.approx(0.5) == d.HAMMER.handle_mass + d.HAMMER.head_mass


# ------------------------------------------------------------------------------------------------ motion
@pytest.mark.parametrize(
    "euler",
    [(0, 0, 0), (0.7, 0, 0), (0, 0.7, 0), (0, 0, 0.7), (0.4, -0.9, 2.1), (math.pi / 2, 0.3, -math.pi / 2)],
    ids=str,
)
def test_wrist_angles_are_rx_ry_rz(env: Any, euler: tuple[float, float, float]) -> None:
    hover(env, euler=euler)
    base = env.unwrapped.agent.robot.links_map["base_link"].pose.raw_pose[0].double().numpy()
    np.testing.assert_allclose(base[:3], env.unwrapped.start_state.wrist[:3], atol=1e-6)
    about_x, about_y, about_z = (Rotation.from_euler(axis, angle) for axis, angle in zip("xyz", euler, strict=True))
    seen = Rotation.from_quat(base[[4, 5, 6, 3]])
    assert ((about_x * about_y * about_z).inv() * seen).magnitude() < 1e-5


@pytest.mark.parametrize("entry", range(6))
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_residual_moves_its_own_wrist_joint(env: Any, entry: int, sign: int) -> None:
    hover(env)
    before = env.unwrapped.agent.robot.get_qpos()[0].numpy().copy()
    after = act(env, 120, **{f"a{entry}": float(sign)})
    expected = np.zeros(22)
    expected[entry] = sign * (0.1 if entry < 3 else 1.0)
    np.testing.assert_allclose(after - before, expected, atol=0.01)


@pytest.mark.parametrize("env_id", task_ids())
def test_zero_action_follows_the_plan_a_little_late(env_id: str) -> None:
    env = gym.make(env_id, tracking_threshold=None)
    env.reset(seed=0, options={"state": 0})
    plan = env.unwrapped.scaffold.wrist
    travelled = np.linalg.norm(plan[60, :3] - plan[0, :3])
    assert travelled > 0.03
    for step in range(1, 61):
        env.step(np.zeros(env.action_space.shape, np.float32))
        wrist = env.unwrapped.agent.robot.get_qpos()[0, :6].numpy()
        if step > 2 * LAG:
            late = [np.linalg.norm(wrist[:3] - plan[step - lag, :3]) for lag in range(step)]
            assert min(late[: LAG + 6]) < 0.012, step
            assert np.abs(wrist[3:] - plan[step - LAG, 3:]).max() < 0.1, step
    env.close()


def test_fingers_open_at_zero_and_close_at_one(env: Any, hand: Any) -> None:
    low, high = np.concatenate([joint.limits for joint in hand.active_joints]).T
    hover(env)
    np.testing.assert_allclose(act(env, 60)[6:], low[6:], atol=0.02)
    np.testing.assert_allclose(act(env, 60, a6=-1.0)[6:], low[6:], atol=0.02)
    share = (act(env, 90, a6=1.0)[6:] - low[6:]) / (high[6:] - low[6:])
    assert share.mean() > 0.7  # the fingers meet before all joints reach their limit
    half = act(env, 90, a6=0.5)[6:]
    np.testing.assert_allclose(half, (low + high)[6:] / 2, atol=0.1)
    np.testing.assert_allclose(act(env, 90)[6:], low[6:], atol=0.02)


def test_closing_brings_the_tips_towards_the_palm(env: Any) -> None:
    def tips() -> np.ndarray:
        base = env.unwrapped.agent.robot.links_map["base_link"].pose.sp
        return np.stack([(base.inv() * link.pose.sp).p for link in env.unwrapped.agent.tip_links])

    hover(env)
    opened = tips()
    act(env, 60, a6=0.5)
    bent = tips()
    assert (bent[:3, 0] > opened[:3, 0] + 0.04).all()  # +x is the palm's normal
    assert (bent[:3, 2] < opened[:3, 2] - 0.02).all()


@pytest.mark.parametrize("finger", range(4))
def test_each_command_closes_its_own_finger(tool: Any, finger: int) -> None:
    hover(tool)
    opened = act(tool, 30).copy()
    closed = act(tool, 60, **{f"a{6 + finger}": 0.4})
    moved = np.abs(closed - opened)[6:].reshape(4, 4)  # depth, finger
    assert (moved[1:, finger] > 0.2).all()
    assert np.delete(moved, finger, axis=1).max() < 0.05
    assert np.abs(closed - opened)[:6].max() < 0.02
