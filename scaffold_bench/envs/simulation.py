"""Two ways to read a simulation and to drive its hand: raw SAPIEN handles on the CPU, ManiSkill's structs on a GPU.

Everything above this file works on the tensors of a ``SimulationReading`` and does not know which one filled them. The
CPU way takes any number of scenes: one for ``gym.make``, many in one process for ``gym.make_vec``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sapien
import torch
from mani_skill.utils.structs import Pose
from mani_skill.utils.structs.types import DefaultMaterialsConfig, GPUMemoryConfig, SceneConfig, SimConfig
from sapien import physx

from scaffold_bench.envs.episodes import SimulationReading
from scaffold_bench.types import FINGERTIPS, StartState, TaskSpec

SIM_HZ, CONTROL_HZ = 120, 60  # paper, Table 2
SUBSTEPS = SIM_HZ // CONTROL_HZ
_BODY_NUMBERS, _JOINT_NUMBERS = 13, 4
"""In ``PhysxCpuSystem.pack`` a body is its pose and velocities, a joint is position, velocity and two drive targets."""


def simulation_config(num_envs: int) -> SimConfig:
    """The simulation's settings (paper, Table 2; authors' code)."""
    return SimConfig(
        sim_freq=SIM_HZ,
        control_freq=CONTROL_HZ,
        scene_config=SceneConfig(
            contact_offset=0.01,  # (ours) objects and furniture; the hand's shapes have their own
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
        joints = [built.joints[name] for name in spec.joints]
        self._drives = [joint.set_drive_target for joint in hand.active_joints]
        self._targets: list[float] = [float("nan")] * len(self._drives)
        self._tip_index = {tip: index for index, tip in enumerate(tips)}
        self._body_index = {body: index for index, body in enumerate(bodies)}
        entities = list(scene.sub_scenes[0].entities)
        self.pose_rows = [entities.index(component.entity) for component in (*tips, *bodies)]
        offsets = _articulation_offsets(scene.px)
        start, dof = offsets[hand], hand.dof
        self.hand_columns = np.arange(start, start + dof), np.arange(start + dof, start + 2 * dof)
        self.joint_columns = np.array([offsets[thing._objs[0]] + index for thing, index in joints], dtype=int)

    def pack(self) -> tuple[bytes, bytes]:
        """All joint and body states, and all entity poses (quaternion first), as float32 bytes."""
        return self.scene.px.pack(), self.scene.sub_scenes[0].pack_poses()

    def apply_targets(self, targets: list[float]) -> None:
        """Set the drive targets (22) that changed."""
        for index, (value, old) in enumerate(zip(targets, self._targets, strict=True)):
            if value != old:
                self._drives[index](value)
        self._targets = targets

    def add_tip_forces(self, forces: np.ndarray) -> None:
        """Add the contact force of each declared fingertip-body pair to ``forces`` (4, B + 1, 3), newtons."""
        system = self.scene.px
        per_second = 1.0 / system.timestep
        for contact in system.get_contacts():
            first, second = contact.bodies
            # a contact's impulse acts on the first body; PhysX lists the two in either order
            if (tip := self._tip_index.get(second)) is not None:
                body, sign = self._body_index.get(first), per_second
            elif (tip := self._tip_index.get(first)) is not None:
                body, sign = self._body_index.get(second), -per_second
            else:
                continue
            if body is not None:
                for point in contact.points:
                    forces[tip, body] += sign * point.impulse

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


def _articulation_offsets(system: Any) -> dict[Any, int]:
    """Where each articulation's joint positions begin in ``system.pack()``, in numbers.

    Raises:
        RuntimeError: this version of SAPIEN packs something else.
    """
    offsets, position = {}, _BODY_NUMBERS * len(system.rigid_dynamic_components)
    for link in system.articulation_link_components:
        if link.articulation not in offsets:
            offsets[link.articulation] = position + _BODY_NUMBERS
            position += _BODY_NUMBERS + _JOINT_NUMBERS * link.articulation.dof
    if position * 4 != len(system.pack()):
        raise RuntimeError("this version of sapien packs its state in another way; install sapien 3.0.3")
    return offsets


class CpuSimulation:
    """Any number of worlds of the same make, one after the other in one process."""

    def __init__(self, worlds: Sequence[CpuWorld]) -> None:
        self.worlds = list(worlds)
        self._pose_rows = np.array(worlds[0].pose_rows)
        self._bodies = len(worlds[0].pose_rows) - len(FINGERTIPS) + 1  # and the world

    def apply_targets(self, targets: torch.Tensor) -> None:
        """Set the hand's joint position targets (n, 22), radians and metres."""
        for world, row in zip(self.worlds, targets.tolist(), strict=True):
            world.apply_targets(row)

    def step(self) -> None:
        """Simulate one control step, both substeps of a world before the next world."""
        for world in self.worlds:
            system = world.scene.px
            for _ in range(SUBSTEPS):
                system.step()

    def read(self) -> SimulationReading:
        count, tips = len(self.worlds), len(FINGERTIPS)
        states, poses = zip(*(world.pack() for world in self.worlds), strict=True)
        numbers = np.frombuffer(b"".join(states), dtype=np.float32).reshape(count, -1)
        entities = np.frombuffer(b"".join(poses), dtype=np.float32).reshape(count, -1, 7)
        tracked = np.zeros((count, tips + self._bodies, 7), dtype=np.float32)
        tracked[:, :-1, :3] = entities[:, self._pose_rows, 4:]
        tracked[:, :-1, 3:] = entities[:, self._pose_rows, :4]
        tracked[:, -1, 3] = 1.0
        forces = np.zeros((count, tips, self._bodies, 3), dtype=np.float32)
        for world, row in zip(self.worlds, forces, strict=True):
            world.add_tip_forces(row)
        (position, velocity), joints = self.worlds[0].hand_columns, self.worlds[0].joint_columns
        tensor = torch.from_numpy
        all_poses = tensor(tracked)
        return SimulationReading(
            joint_position=tensor(numbers[:, position]),
            joint_velocity=tensor(numbers[:, velocity]),
            tip_poses=all_poses[:, :tips],
            body_poses=all_poses[:, tips:],
            object_joints=tensor(numbers[:, joints]),
            tip_forces=tensor(forces),
        )


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
