"""Two ways to read a simulation and to drive its hand: raw SAPIEN handles on the CPU, ManiSkill's structs on a GPU.

Everything above this file works on the tensors of a ``SimulationReading`` and does not know which one filled them. The
CPU way takes any number of scenes: one for ``gym.make``, many in one process for ``gym.make_vec``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sapien
import torch
from mani_skill.utils.structs import Pose
from mani_skill.utils.structs.types import DefaultMaterialsConfig, GPUMemoryConfig, SceneConfig, SimConfig
from sapien import physx

from scaffold_bench.envs.episodes import SimulationReading
from scaffold_bench.spec import FINGERTIPS, StartState, TaskSpec

SIM_HZ, CONTROL_HZ = 120, 60  # paper, Table 2
SUBSTEPS = SIM_HZ // CONTROL_HZ
CONTACT_OFFSET = 0.002
"""Metres within which a shape that moves looks for others (ours): a grasp costs a third of what it does with 0.01. What
does not move has ``scenes.PLACE_CONTACT_OFFSET``."""

WorldReading = tuple[np.ndarray, np.ndarray, list[float], bytes, list[int], list[np.ndarray]]
"""Positions (22,) and velocities (22,) of the hand's joints; positions of the tracked object joints; poses (E, 7) of
all entities, quaternion first, as float32 bytes; and for every contact point between a fingertip and a tracked body
the number ``2 * (tip * (B + 1) + body) + opposite`` and its impulse (3,), N s, on the body, or on the fingertip if
``opposite``."""


def simulation_config(num_envs: int) -> SimConfig:
    """The simulation's settings (paper, Table 2; authors' code)."""
    return SimConfig(
        sim_freq=SIM_HZ,
        control_freq=CONTROL_HZ,
        scene_config=SceneConfig(
            contact_offset=CONTACT_OFFSET,
            bounce_threshold=2.0,
            sleep_threshold=0.0,  # (ours) nothing falls asleep: PhysX' sleep counters outlive a reset
            solver_position_iterations=8,
            solver_velocity_iterations=0,
        ),
        default_materials_config=DefaultMaterialsConfig(1.0, 1.0, 0.0),
        gpu_memory_config=GPUMemoryConfig(  # authors' code
            max_rigid_contact_count=num_envs * max(2048, num_envs) * 8,
            max_rigid_patch_count=num_envs * max(2048, num_envs) * 2,
            found_lost_pairs_capacity=2**27,
        ),
    )


def place(built: Any, agent: Any, starts: Sequence[StartState]) -> None:
    """Put objects and hand where the start states say (ManiSkill's reset mask picks the environments).

    Args:
        built: what the task put into the scene. agent: the hand. starts: one per environment being reset.
    """

    def stacked(rows: Sequence[Any]) -> torch.Tensor:
        return torch.as_tensor(np.asarray(rows), dtype=torch.float32, device=agent.device)

    for name, thing in built.objects.items():
        thing.set_pose(Pose.create(stacked([start.objects[name] for start in starts])))
        if hasattr(thing, "set_qpos"):
            names = {index: name for name, (articulation, index) in built.joints.items() if articulation is thing}
            rows = [[start.joints.get(names.get(i, ""), 0.0) for i in range(thing.max_dof)] for start in starts]
            thing.set_qpos(stacked(rows))
    agent.robot.set_qpos(agent.open_joints(stacked([start.wrist for start in starts])))


class CpuWorld:
    """Raw handles of one scene on SAPIEN's CPU PhysX.

    Args:
        scene: the ManiSkill scene, with one sub-scene.
        agent: the hand. built: what the task put into the scene. spec: the task.
    """

    def __init__(self, scene: Any, agent: Any, built: Any, spec: TaskSpec) -> None:
        self.scene, self.agent, self.built = scene, agent, built
        hand = agent.robot._objs[0]
        tips = [tip._bodies[0] for tip in agent.tip_links]
        bodies = [built.bodies[name]._bodies[0] for name in spec.bodies]
        joints = [(built.joints[name][0]._objs[0], built.joints[name][1]) for name in spec.joints]
        self._positions, self._velocities = hand.get_qpos, hand.get_qvel
        self._object_joints = [(articulation.get_qpos, index) for articulation, index in joints]
        self._drives = [joint.set_drive_target for joint in hand.active_joints]
        self._targets: list[float] = [float("nan")] * len(self._drives)
        self._tip_index = {tip: index for index, tip in enumerate(tips)}
        self._body_index = {body: index for index, body in enumerate(bodies)}
        entities = list(scene.sub_scenes[0].entities)
        self.pose_rows = [entities.index(component.entity) for component in (*tips, *bodies)]

    def apply_targets(self, targets: list[float]) -> None:
        """Set the drive targets (22) that changed."""
        for drive, value, old in zip(self._drives, targets, self._targets, strict=True):
            if value != old:
                drive(value)
        self._targets = targets

    def step(self) -> None:
        """Simulate one control step."""
        step = self.scene.px.step
        for _ in range(SUBSTEPS):
            step()

    def read(self) -> WorldReading:
        """Read everything that an episode looks at."""
        system = self.scene.px
        pairs: list[int] = []
        impulses: list[np.ndarray] = []
        tip_of, body_of, bodies = self._tip_index.get, self._body_index.get, len(self._body_index) + 1
        for contact in system.get_contacts():
            first, second = contact.bodies
            # a contact's impulse acts on the first body; PhysX lists the two in either order
            if (tip := tip_of(second)) is not None:
                body, opposite = body_of(first), 0
            elif (tip := tip_of(first)) is not None:
                body, opposite = body_of(second), 1
            else:
                continue
            if body is not None:
                points = [point.impulse for point in contact.points]
                impulses += points
                pairs += [2 * (tip * bodies + body) + opposite] * len(points)
        object_joints = [joints()[index] for joints, index in self._object_joints]
        poses = self.scene.sub_scenes[0].pack_poses()
        return self._positions(), self._velocities(), object_joints, poses, pairs, impulses

    def renew_physics(self) -> None:
        """Move everything into a fresh PhysX scene.

        PhysX keeps contact manifolds, broad-phase order and index pools between steps, so without this the bits of an
        episode would depend on the episodes before it. Costs about a quarter of a millisecond; handles stay valid.
        """
        scene = self.scene
        old = scene.sub_scenes[0]
        entities = list(old.entities)
        for entity in reversed(entities):
            old.remove_entity(entity)
        physx.set_scene_config(old.physx_system.config)  # another environment may have changed the process-wide default
        system = physx.PhysxCpuSystem()
        system.timestep = old.physx_system.timestep
        fresh = sapien.Scene([system, old.render_system] if scene.can_render() else [system])
        for entity in entities:
            fresh.add_entity(entity)
        scene.sub_scenes[0] = fresh
        scene.px = system
        self._targets = [float("nan")] * len(self._drives)


class CpuSimulation:
    """Any number of worlds of the same make, one after the other in one process."""

    def __init__(self, worlds: Sequence[CpuWorld]) -> None:
        self.worlds = list(worlds)
        self._readings = [world.read() for world in worlds]
        self._pose_rows = np.array(worlds[0].pose_rows)
        self._bodies = len(worlds[0].pose_rows) - len(FINGERTIPS) + 1  # and the world

    def apply_targets(self, targets: torch.Tensor) -> None:
        """Set the hand's joint position targets (n, 22), radians and metres."""
        for world, row in zip(self.worlds, targets.tolist(), strict=True):
            world.apply_targets(row)

    def step(self, targets: torch.Tensor) -> SimulationReading:
        """Apply joint position targets (n, 22), simulate one control step and read.

        Each world is driven, stepped and read before the next one is touched, while it is in the processor's cache.
        """
        readings = self._readings
        for index, (world, row) in enumerate(zip(self.worlds, targets.tolist(), strict=True)):
            world.apply_targets(row)
            world.step()
            readings[index] = world.read()
        return self._stacked()

    def read(self, rows: Iterable[int] | None = None) -> SimulationReading:
        """Read the simulation; worlds that are not in ``rows`` are taken as they were read last."""
        for row in range(len(self.worlds)) if rows is None else rows:
            self._readings[row] = self.worlds[row].read()
        return self._stacked()

    def _stacked(self) -> SimulationReading:
        """The last reading of every world, side by side."""
        count, tips = len(self.worlds), len(FINGERTIPS)
        positions, velocities, object_joints, poses, pairs, impulses = zip(*self._readings, strict=True)
        entities = np.frombuffer(b"".join(poses), dtype=np.float32).reshape(count, -1, 7)
        tracked = np.zeros((count, tips + self._bodies, 7), dtype=np.float32)
        tracked[:, :-1, :3] = entities[:, self._pose_rows, 4:]
        tracked[:, :-1, 3:] = entities[:, self._pose_rows, :4]
        tracked[:, -1, 3] = 1.0
        tensor = torch.from_numpy
        all_poses = tensor(tracked)
        return SimulationReading(
            joint_position=tensor(np.concatenate(positions).reshape(count, -1)),
            joint_velocity=tensor(np.concatenate(velocities).reshape(count, -1)),
            tip_poses=all_poses[:, :tips],
            body_poses=all_poses[:, tips:],
            object_joints=tensor(np.array(object_joints, dtype=np.float32).reshape(count, -1)),
            tip_forces=tensor(self._forces(pairs, impulses)),
        )

    def _forces(self, pairs: Sequence[list[int]], impulses: Sequence[list[np.ndarray]]) -> np.ndarray:
        """Force (n, 4, B + 1, 3) of each fingertip on each body, newtons, from the impulses at their contact points.

        PhysX lists contacts in an order that depends on where things lie in memory. Single-precision numbers are summed
        in double precision, where the order does not show.
        """
        count, tips, bodies = len(self.worlds), len(FINGERTIPS), self._bodies
        forces = np.zeros((count * tips * bodies, 3))
        points = [impulse for of_world in impulses for impulse in of_world]
        if points:
            per_second = np.float32(1.0 / self.worlds[0].scene.px.timestep)
            pair = np.array([one for of_world in pairs for one in of_world])
            of_world = np.repeat(np.arange(count), [len(one) for one in pairs])
            signed = np.where(pair % 2, -per_second, per_second)[:, None] * np.concatenate(points).reshape(-1, 3)
            np.add.at(forces, of_world * (tips * bodies) + pair // 2, signed)
        return forces.astype(np.float32).reshape(count, tips, bodies, 3)


class GpuSimulation:
    """ManiSkill's structs on PhysX GPU simulation. Written against mani_skill 3.0.1; see docs for what was run."""

    def __init__(self, scene: Any, agent: Any, built: Any, spec: TaskSpec) -> None:
        self._scene = scene
        self._hand = agent.robot
        self._tips = list(agent.tip_links)
        self._bodies = [built.bodies[name] for name in spec.bodies]
        self._joints = [built.joints[name] for name in spec.joints]

    def apply_targets(self, targets: torch.Tensor) -> None:
        """Set the hand's joint position targets (n, 22), radians and metres."""
        self._hand.set_joint_drive_targets(targets, self._hand.active_joints, self._hand.active_joint_indices)
        self._scene.px.gpu_apply_articulation_target_position()

    def read(self) -> SimulationReading:
        tip_poses = torch.stack([tip.pose.raw_pose for tip in self._tips], dim=1)
        world = tip_poses.new_tensor([0, 0, 0, 1.0, 0, 0, 0]).expand(len(tip_poses), 7)
        joints = [articulation.qpos[:, index] for articulation, index in self._joints]
        forces = tip_poses.new_zeros(len(tip_poses), len(self._tips), len(self._bodies) + 1, 3)
        for t, tip in enumerate(self._tips):
            for b, body in enumerate(self._bodies):
                forces[:, t, b] = self._scene.get_pairwise_contact_forces(body, tip)
        return SimulationReading(
            joint_position=self._hand.qpos.clone(),
            joint_velocity=self._hand.qvel.clone(),
            tip_poses=tip_poses,
            body_poses=torch.stack([*(body.pose.raw_pose for body in self._bodies), world], dim=1),
            object_joints=torch.stack(joints, dim=1) if joints else tip_poses.new_zeros(len(tip_poses), 0),
            tip_forces=forces,
        )
