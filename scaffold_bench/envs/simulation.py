"""Two ways to read a simulation and to drive its hand: raw SAPIEN handles on the CPU, ManiSkill's structs on a GPU.

Everything above this file works on the tensors of a ``SimulationReading`` and does not know which one filled them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import sapien
import torch
from sapien import physx

from scaffold_bench.envs.episodes import SimulationReading
from scaffold_bench.types import FINGERTIPS


class Simulation(Protocol):
    """What the environment needs from a simulator."""

    def read(self) -> SimulationReading: ...

    def apply_targets(self, targets: torch.Tensor) -> None:
        """Set the hand's joint position targets (n, 22), radians and metres."""
        ...


def renew_physics(scene: Any) -> None:
    """Move everything in a ManiSkill scene (CPU, one environment) into a fresh PhysX scene.

    PhysX keeps contact manifolds, broad-phase order and index pools between steps, so without this the bits of an
    episode would depend on the episodes before it. Costs about a quarter of a millisecond; handles stay valid.
    """
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


class CpuSimulation:
    """Raw handles of one scene on SAPIEN's CPU PhysX.

    Args:
        system: the scene's PhysX system; set anew when the physics is renewed.
        hand: the hand's ``PhysxArticulation``.
        tips: link components of the four fingertips.
        bodies: rigid body components of the tracked bodies.
        joints: ``(articulation, index)`` of each tracked joint.
    """

    def __init__(
        self, system: Any, hand: Any, tips: Sequence[Any], bodies: Sequence[Any], joints: Sequence[tuple[Any, int]]
    ) -> None:
        self.system = system
        self._hand = hand
        self._drives = [joint.set_drive_target for joint in hand.active_joints]
        self._tips = list(tips)
        self._bodies = list(bodies)
        self._joints = list(joints)
        self._tip_index = {tip: index for index, tip in enumerate(tips)}
        self._body_index = {body: index for index, body in enumerate(bodies)}

    def apply_targets(self, targets: torch.Tensor) -> None:
        for set_drive_target, value in zip(self._drives, targets[0].tolist(), strict=True):
            set_drive_target(value)

    def read(self) -> SimulationReading:
        tips, bodies = len(self._tips), len(self._bodies)
        poses = np.zeros((tips + bodies + 1, 7), dtype=np.float32)
        for row, component in zip(poses, self._tips + self._bodies, strict=False):
            pose = component.entity_pose
            row[:3], row[3:] = pose.p, pose.q
        poses[-1, 3] = 1.0
        joints = np.array([[articulation.qpos[index] for articulation, index in self._joints]], dtype=np.float32)
        tensor = torch.from_numpy
        all_poses = tensor(poses)[None]
        return SimulationReading(
            joint_position=tensor(np.array(self._hand.qpos, dtype=np.float32))[None],
            joint_velocity=tensor(np.array(self._hand.qvel, dtype=np.float32))[None],
            tip_poses=all_poses[:, :tips],
            body_poses=all_poses[:, tips:],
            object_joints=tensor(joints.reshape(1, -1)),
            tip_forces=tensor(self._tip_forces())[None],
        )

    def _tip_forces(self) -> np.ndarray:
        """Sum the contact impulses of each declared fingertip-body pair; PhysX lists bodies in either order."""
        forces = np.zeros((len(FINGERTIPS), len(self._bodies) + 1, 3), dtype=np.float32)
        per_second = 1.0 / self.system.timestep
        for contact in self.system.get_contacts():
            first, second = contact.bodies
            # a contact's impulse acts on the first body
            if (tip := self._tip_index.get(second)) is not None:
                body, sign = self._body_index.get(first), per_second
            elif (tip := self._tip_index.get(first)) is not None:
                body, sign = self._body_index.get(second), -per_second
            else:
                continue
            if body is not None:
                for point in contact.points:
                    forces[tip, body] += sign * point.impulse
        return forces


class GpuSimulation:
    """ManiSkill's structs on PhysX GPU simulation. Written against mani_skill 3.0.1; see docs for what was run."""

    def __init__(
        self, scene: Any, hand: Any, tips: Sequence[Any], bodies: Sequence[Any], joints: Sequence[tuple[Any, int]]
    ) -> None:
        self._scene = scene
        self._hand = hand
        self._tips = list(tips)
        self._bodies = list(bodies)
        self._joints = list(joints)

    def apply_targets(self, targets: torch.Tensor) -> None:
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
