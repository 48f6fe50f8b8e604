"""Places, drives, steps and reads a simulation: raw SAPIEN handles of any number of scenes on the CPU.

Everything above this file works on the tensors of a ``SimulationReading`` and knows a :class:`Simulation` only, not
which one fills them. The other one, for a GPU, is in ``gpu_simulation.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import sapien
import torch
from mani_skill.envs.scene import ManiSkillScene
from mani_skill.envs.utils.system.backend import parse_sim_and_render_backend
from mani_skill.utils.structs import Pose
from mani_skill.utils.structs.types import DefaultMaterialsConfig, GPUMemoryConfig, SceneConfig, SimConfig
from sapien import physx

from scaffold_bench.envs.episodes import SimulationReading
from scaffold_bench.objects.scenes import PLACE_CONTACT_OFFSET, build_counter, build_floor
from scaffold_bench.robots.agent import HandAgent, agent_of
from scaffold_bench.robots.base import Robot
from scaffold_bench.spec import StartState
from scaffold_bench.tasks.base import BuiltTask, Task

SIM_HZ, CONTROL_HZ = 120, 60  # paper, Table 2
SUBSTEPS = SIM_HZ // CONTROL_HZ
CONTACT_OFFSET = 0.002
"""Metres within which a shape that moves looks for others (ours): a grasp costs a third of what it does with 0.01. What
does not move has ``scenes.PLACE_CONTACT_OFFSET``."""


class Simulation(Protocol):
    """n environments of one task. Tensors live on the robot's device.

    Attributes:
        robot: with the simulation's joint limits.
    """

    robot: Robot

    def begin(self, rows: Sequence[int], starts: Sequence[StartState]) -> SimulationReading:
        """Put environments ``rows`` at rest at their start states, as if nothing had been simulated before; read."""
        ...

    def drive(self, rows: Sequence[int], targets: torch.Tensor) -> None:
        """Set joint position targets (n, D), metres and radians, in environments ``rows``."""
        ...

    def step(self, targets: torch.Tensor) -> SimulationReading:
        """Set joint position targets (n, D) everywhere, simulate one control step, read."""
        ...


WorldReading = tuple[np.ndarray, np.ndarray, list[float], bytes, list[int], list[np.ndarray]]
"""Positions (D,) and velocities (D,) of the robot's joints; positions of the tracked object joints; poses (E, 7) of
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


def configure_physics(config: SimConfig) -> None:
    """Set SAPIEN's process-wide defaults, as ManiSkill's ``BaseEnv`` does before it makes a scene."""
    scene = config.scene_config
    physx.set_shape_config(contact_offset=scene.contact_offset, rest_offset=scene.rest_offset)
    physx.set_body_config(
        solver_position_iterations=scene.solver_position_iterations,
        solver_velocity_iterations=scene.solver_velocity_iterations,
        sleep_threshold=scene.sleep_threshold,
    )
    of_the_scene = (
        "gravity",
        "bounce_threshold",
        "enable_pcm",
        "enable_tgs",
        "enable_ccd",
        "enable_enhanced_determinism",
        "enable_friction_every_iteration",
        "cpu_workers",
    )
    physx.set_scene_config(**{name: getattr(scene, name) for name in of_the_scene})
    physx.set_default_material(**config.default_materials_config.dict())


def build_scene(
    task: Task, sub_scenes: Sequence[sapien.Scene], config: SimConfig, backend: str
) -> tuple[ManiSkillScene, HandAgent, BuiltTask]:
    """Scene, agent and the task's parts, built in the order in which ManiSkill's ``BaseEnv`` does it."""
    info = parse_sim_and_render_backend(backend, "none")
    scene = ManiSkillScene(list(sub_scenes), sim_config=config, device=info.device, backend=info)
    scene.px.timestep = 1.0 / SIM_HZ
    agent = agent_of(task.robot)(scene, CONTROL_HZ, initial_pose=sapien.Pose())
    built = build_task(task, scene)
    scene._setup(enable_gpu=backend != "physx_cpu")
    return scene, agent, built


def build_task(task: Task, scene: ManiSkillScene) -> BuiltTask:
    """Build the place and the task's objects in a ManiSkill scene; return what the task built.

    Raises:
        ValueError: the task built other bodies or joints than its spec names.
    """
    {"counter": build_counter, "floor": build_floor}[task.scene](scene)
    made = task.build(scene)
    for actor in scene.actors.values():
        if actor.px_body_type == "static":
            for component in actor._bodies:
                for shape in component.collision_shapes:
                    shape.set_contact_offset(PLACE_CONTACT_OFFSET)
    for field, parts in (("bodies", made.bodies), ("joints", made.joints)):
        if disputed := set(getattr(task.spec, field)) ^ set(parts):
            raise ValueError(f"{task.spec.id}: build() and spec.{field} disagree about {sorted(disputed)}")
    return made


def place(built: BuiltTask, agent: HandAgent, starts: Sequence[StartState]) -> None:
    """Put objects and robot where the start states say (ManiSkill's reset mask picks the environments).

    Args:
        built: what the task put into the scene. agent: the robot's. starts: one per environment being reset.
    """

    def stacked(rows: Sequence[Any]) -> torch.Tensor:
        return torch.as_tensor(np.asarray(rows), dtype=torch.float32, device=agent.device)

    for name, thing in built.objects.items():
        thing.set_pose(Pose.create(stacked([start.objects[name] for start in starts])))
        if hasattr(thing, "set_qpos"):
            names = {index: name for name, (articulation, index) in built.joints.items() if articulation is thing}
            rows = [[start.joints.get(names.get(i, ""), 0.0) for i in range(thing.max_dof)] for start in starts]
            thing.set_qpos(stacked(rows))
    agent.robot.set_qpos(agent.hand.rest_pose(stacked([start.wrist for start in starts])))


def put_to_rest(scene: ManiSkillScene) -> None:
    """Set every velocity to zero, as ManiSkill does before it initialises an episode."""
    zero = torch.zeros(3, device=scene.device)
    for actor in scene.actors.values():
        if actor.px_body_type == "dynamic":
            actor.set_linear_velocity(zero)
            actor.set_angular_velocity(zero)
    for articulation in scene.articulations.values():
        articulation.set_qvel(torch.zeros(articulation.max_dof, device=scene.device))
        articulation.set_root_linear_velocity(zero)
        articulation.set_root_angular_velocity(zero)


class CpuWorld:
    """Raw handles of one scene on SAPIEN's CPU PhysX.

    Args:
        task: the task.
        scene: the ManiSkill scene, with one sub-scene.
        agent: the robot's. built: what the task put into the scene.
    """

    def __init__(self, task: Task, scene: ManiSkillScene, agent: HandAgent, built: BuiltTask) -> None:
        self.scene, self.agent, self.built, spec = scene, agent, built, task.spec
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

    @classmethod
    def make(cls, task: Task) -> CpuWorld:
        """Build a scene without a renderer."""
        config = simulation_config(1)
        configure_physics(config)
        return cls(task, *build_scene(task, [sapien.Scene([physx.PhysxCpuSystem()])], config, "physx_cpu"))

    def begin(self, start: StartState) -> None:
        """Put everything at rest at a start state, in a fresh PhysX scene."""
        put_to_rest(self.scene)
        self.renew_physics()
        place(self.built, self.agent, [start])

    def apply_targets(self, targets: list[float]) -> None:
        """Set the drive targets (D) that changed."""
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
        self.worlds, self.robot = list(worlds), worlds[0].agent.hand
        self._readings = [world.read() for world in worlds]
        self._pose_rows = np.array(worlds[0].pose_rows)
        self._tips = len(self.robot.fingers)
        self._bodies = len(worlds[0].pose_rows) - self._tips + 1  # and the world

    def begin(self, rows: Sequence[int], starts: Sequence[StartState]) -> SimulationReading:
        """Put worlds ``rows`` at rest at their start states; the others are not touched."""
        for row, start in zip(rows, starts, strict=True):
            self.worlds[row].begin(start)
        return self.read(rows)

    def drive(self, rows: Sequence[int], targets: torch.Tensor) -> None:
        """Set joint position targets (n, D), radians and metres, in worlds ``rows``."""
        values = targets.tolist()
        for row in rows:
            self.worlds[row].apply_targets(values[row])

    def step(self, targets: torch.Tensor) -> SimulationReading:
        """Set joint position targets (n, D), simulate one control step and read.

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
        count, tips = len(self.worlds), self._tips
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
        """Force (n, fingers, B + 1, 3) of each fingertip on each body, newtons, from the impulses at contact points.

        PhysX lists contacts in an order that depends on where things lie in memory. Single-precision numbers are summed
        in double precision, where the order does not show.
        """
        count, tips, bodies = len(self.worlds), self._tips, self._bodies
        forces = np.zeros((count * tips * bodies, 3))
        points = [impulse for of_world in impulses for impulse in of_world]
        if points:
            per_second = np.float32(1.0 / self.worlds[0].scene.px.timestep)
            pair = np.array([one for of_world in pairs for one in of_world])
            of_world = np.repeat(np.arange(count), [len(one) for one in pairs])
            signed = np.where(pair % 2, -per_second, per_second)[:, None] * np.concatenate(points).reshape(-1, 3)
            np.add.at(forces, of_world * (tips * bodies) + pair // 2, signed)
        return forces.astype(np.float32).reshape(count, tips, bodies, 3)
