"""ManiSkill's structs on PhysX GPU simulation: what ``gym.make_vec(..., sim_backend="physx_cuda")`` steps.

**Never run on a GPU.** On the CPU, with one environment, it is tested to read what ``CpuSimulation`` reads; what only a
GPU does (several sub-scenes, reset masks, applying and fetching) is ManiSkill's own sequence of calls, written against
mani_skill 3.0.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import sapien
import torch
from sapien import physx

from scaffold_bench.envs.episodes import SimulationReading
from scaffold_bench.envs.simulation import (
    SUBSTEPS,
    build_scene,
    configure_physics,
    place,
    put_to_rest,
    simulation_config,
)
from scaffold_bench.spec import StartState
from scaffold_bench.tasks.base import Task


class GpuSimulation:
    """``count`` environments in one PhysX system.

    Args:
        task: the task. count: number of environments. backend: "physx_cuda", or "physx_cpu" for one environment.

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(self, task: Task, count: int, backend: str = "physx_cuda") -> None:
        config = simulation_config(count)
        self._on_gpu = backend != "physx_cpu"
        if self._on_gpu:
            if not torch.cuda.is_available():
                raise RuntimeError(
                    f"sim_backend={backend!r} needs a CUDA GPU and torch sees none; leave it out for the CPU"
                )
            if not physx.is_gpu_enabled():
                physx.enable_gpu()
            physx.set_gpu_memory_config(**config.gpu_memory_config.dict())
        configure_physics(config)
        self._scene, agent, self._built = build_scene(task, self._sub_scenes(count, config.spacing), config, backend)
        self._agent, self.robot = agent, agent.hand
        self._bodies = [self._built.bodies[name] for name in task.spec.bodies]
        self._joints = [self._built.joints[name] for name in task.spec.joints]

    def _sub_scenes(self, count: int, spacing: float) -> list[sapien.Scene]:
        """A scene for each environment, side by side in a square."""
        if not self._on_gpu:
            return [sapien.Scene([physx.PhysxCpuSystem()])]
        system, side = physx.PhysxGpuSystem(), math.ceil(math.sqrt(count))
        scenes = []
        for index in range(count):
            scene = sapien.Scene([system])
            system.set_scene_offset(
                scene, [(index % side - side // 2) * spacing, (index // side - side // 2) * spacing, 0]
            )
            scenes.append(scene)
        return scenes

    def begin(self, rows: Sequence[int], starts: Sequence[StartState]) -> SimulationReading:
        """Put environments ``rows`` at rest at their start states."""
        mask = torch.zeros_like(self._scene._reset_mask)
        mask[list(rows)] = True
        self._scene._reset_mask = mask
        put_to_rest(self._scene)
        place(self._built, self._agent, starts)
        self._scene._reset_mask = torch.ones_like(mask)
        if self._on_gpu:
            self._scene._gpu_apply_all()
            self._scene.px.gpu_update_articulation_kinematics()
            self._scene._gpu_fetch_all()
        return self._read()

    def drive(self, rows: Sequence[int], targets: torch.Tensor) -> None:  # noqa: ARG002  # others keep theirs
        """Set joint position targets (n, D), radians and metres: those in force everywhere."""
        hand = self._agent.robot
        hand.set_joint_drive_targets(targets, hand.active_joints)
        if self._on_gpu:
            self._scene.px.gpu_apply_articulation_target_position()

    def step(self, targets: torch.Tensor) -> SimulationReading:
        """Set joint position targets (n, D), simulate one control step and read."""
        self.drive(range(len(targets)), targets)
        for _ in range(SUBSTEPS):
            self._scene.step()
        if self._on_gpu:
            self._scene._gpu_fetch_all()
        return self._read()

    def _read(self) -> SimulationReading:
        hand, tips = self._agent.robot, self._agent.tip_links
        tip_poses = torch.stack([tip.pose.raw_pose for tip in tips], dim=1)
        world = tip_poses.new_tensor([0, 0, 0, 1.0, 0, 0, 0]).expand(len(tip_poses), 7)
        joints = [articulation.qpos[:, index] for articulation, index in self._joints]
        forces = tip_poses.new_zeros(len(tip_poses), len(tips), len(self._bodies) + 1, 3)
        for t, tip in enumerate(tips):
            for b, body in enumerate(self._bodies):
                forces[:, t, b] = self._scene.get_pairwise_contact_forces(body, tip)
        return SimulationReading(
            joint_position=hand.qpos.clone(),
            joint_velocity=hand.qvel.clone(),
            tip_poses=tip_poses,
            body_poses=torch.stack([*(body.pose.raw_pose for body in self._bodies), world], dim=1),
            object_joints=torch.stack(joints, dim=1) if joints else tip_poses.new_zeros(len(tip_poses), 0),
            tip_forces=forces,
        )
