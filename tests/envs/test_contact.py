"""Narrow contact margins make a grasp cheap; what moves fast must still not pass through what it meets."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sapien

from scaffold_bench.envs.simulation import CONTROL_HZ, CpuSimulation, CpuWorld
from scaffold_bench.objects import dimensions
from scaffold_bench.registration import get_task
from scaffold_bench.tasks.counter import COUNTER_HEIGHT

BARE_SPOT = (0.25, -0.5)  # of the counter
FIST = [0.0, 0.0, 0.0, 1.2] + [1.4] * 12  # finger joints, depth by depth; the thumb turned in
PALM_DOWN = [0.0, np.pi / 2, 0.0]  # fingers along +x
PALM_DOWN_REACHING = [np.pi, -np.pi / 2, 0.0]  # fingers along -x, towards the furniture
QUARTER = np.sqrt(0.5)
LYING = ([1, 0, 0, 0], [QUARTER, 0, QUARTER, 0], [QUARTER, QUARTER, 0, 0], [0.9, 0.3, 0.3, 0.1])


def world_of(task: str) -> CpuWorld:
    world = CpuWorld.make(get_task(task))
    world.renew_physics()
    return world


def move_hand(
    world: CpuWorld, begin: list[float], end: list[float], fingers: list[float], speed: float
) -> list[np.ndarray]:
    """Put the hand at ``begin`` and lead it to ``end`` in a straight line; positions (22,) after every step."""
    hand = world.agent.robot._objs[0]
    hand.set_qpos(np.array([*begin, *fingers], dtype=np.float32))
    hand.set_qvel(np.zeros(22, dtype=np.float32))
    steps = int(CONTROL_HZ * np.linalg.norm(np.subtract(end, begin)[:3]) / speed)
    path = []
    for share in [*np.linspace(0, 1, steps), *np.ones(30)]:
        world.apply_targets([*((1 - share) * np.array(begin) + share * np.array(end)).tolist(), *fingers])
        world.step()
        path.append(hand.qpos.copy())
    return path


def lowest_link(world: CpuWorld) -> float:
    """Height of the lowest origin of a link with a shape, metres."""
    links = world.agent.robot._objs[0].links
    return min(float(link.entity.pose.p[2]) for link in links if link.collision_shapes)


@pytest.mark.parametrize("speed", [1.0, 2.0, 4.0], ids="{} m/s".format)
def test_a_fast_fist_stops_at_the_counter(speed: float) -> None:
    for height in np.linspace(0.25, 0.35, 5):  # steps meet the counter at other depths
        world = world_of("apple")
        wrist = [*BARE_SPOT, COUNTER_HEIGHT + height, *PALM_DOWN]
        path = move_hand(world, wrist, [*BARE_SPOT, COUNTER_HEIGHT - 0.05, *PALM_DOWN], FIST, speed)
        fastest = -min(np.diff([joints[2] for joints in path])) * CONTROL_HZ
        assert fastest > 0.9 * speed
        assert lowest_link(world) > COUNTER_HEIGHT, height


@pytest.mark.parametrize("speed", [1.0, 2.0, 3.0], ids="{} m/s".format)
def test_a_fast_fist_stops_at_a_thin_bar(speed: float) -> None:
    for height in np.linspace(0.25, 0.35, 5):
        world = world_of("drawer")
        cabinet = dimensions.CABINET
        x, y, z = world.built.bodies["drawer"].pose.p[0].tolist()
        over = [x + cabinet.handle_standoff, y, z + height, *PALM_DOWN_REACHING]
        path = move_hand(world, over, [*over[:2], z - 0.04, *PALM_DOWN_REACHING], FIST, speed)
        fastest = -min(np.diff([joints[2] for joints in path])) * CONTROL_HZ
        assert fastest > 0.9 * speed
        assert path[-1][2] > z + 0.05, height  # beside the bar it would end 4 cm below


@pytest.mark.parametrize("name", ["apple", "bottle", "hammer", "sponge", "scissors", "pliers"])
def test_what_falls_half_a_metre_stays_on_the_counter(name: str) -> None:
    world = world_of(name)
    (thing,) = (thing for own_name, thing in world.built.objects.items() if own_name == name)
    for drop, turned in product(np.linspace(0.17, 0.6, 10), LYING):
        world.renew_physics()
        put(thing, sapien.Pose([*BARE_SPOT, COUNTER_HEIGHT + drop], turned))
        for _ in range(75):
            world.step()
        assert float(thing.pose.p[0, 2]) > COUNTER_HEIGHT, (drop, turned)


def put(thing: Any, pose: sapien.Pose) -> None:
    """Place an actor or a tool, at rest."""
    if hasattr(thing, "set_qvel"):
        thing.set_qvel(np.zeros((1, 1), dtype=np.float32))
        thing.set_root_linear_velocity(np.zeros((1, 3), dtype=np.float32))
        thing.set_root_angular_velocity(np.zeros((1, 3), dtype=np.float32))
    else:
        thing.set_linear_velocity(np.zeros((1, 3), dtype=np.float32))
        thing.set_angular_velocity(np.zeros((1, 3), dtype=np.float32))
    thing.set_pose(pose)


def test_forces_do_not_depend_on_the_order_in_which_physics_lists_contacts() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 2 * 4 * 3, 200).tolist()
    impulses = list((rng.normal(size=(200, 3)) * 10.0 ** rng.integers(-4, 2, (200, 1))).astype(np.float32))
    world = SimpleNamespace(scene=SimpleNamespace(px=SimpleNamespace(timestep=1 / 120)))
    stub: Any = SimpleNamespace(worlds=[world], _bodies=3, _tips=4)
    expected = CpuSimulation._forces(stub, [pairs], [impulses])
    for _ in range(20):
        order = rng.permutation(200)
        again = CpuSimulation._forces(stub, [[pairs[i] for i in order]], [[impulses[i] for i in order]])
        np.testing.assert_array_equal(again, expected)
