"""The plan-conditioned MDP of n environments, between what a simulator reads and Gymnasium's five-tuple.

Everything an episode must remember lives here, as tensors with ``n`` in front; nothing here knows a simulator. The
arithmetic is in ``mdp.py``, in ``control`` and in the robot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from scaffold_bench.control import compose, smooth
from scaffold_bench.envs import mdp
from scaffold_bench.plan import (
    MAX_KEYPOINT_REACH,
    MAX_START_GAP,
    MAX_START_TURN,
    InvalidScaffoldError,
    Scaffold,
)
from scaffold_bench.robots.base import Robot
from scaffold_bench.spec import WORLD, WRIST_DIM, SceneState, TaskSpec
from scaffold_bench.tasks.base import Task


@dataclass(frozen=True)
class SimulationReading:
    """Raw facts after a control step; ``D`` joints of the robot, ``B`` tracked bodies, ``J`` tracked joints.

    Attributes:
        joint_position, joint_velocity: (n, D) of the robot.
        tip_poses: (n, fingers, 7). body_poses: (n, B + 1, 7), the last row is the world's identity.
        object_joints: (n, J) positions.
        tip_forces: (n, fingers, B + 1, 3) force of each fingertip on each body, newtons; zero for the world.
    """

    joint_position: torch.Tensor
    joint_velocity: torch.Tensor
    tip_poses: torch.Tensor
    body_poses: torch.Tensor
    object_joints: torch.Tensor
    tip_forces: torch.Tensor


def check_plan(plan: Any, spec: TaskSpec) -> Scaffold:
    """Return the plan if it fits the task.

    Raises:
        InvalidScaffoldError: it is no plan, or one for other keypoints or bodies.
    """
    if not isinstance(plan, Scaffold):
        raise InvalidScaffoldError(
            "type", f"is {type(plan).__name__}, expected a Scaffold; scaffold_from_waypoints makes one from waypoints"
        )
    if plan.task != spec.name:
        raise InvalidScaffoldError("task", f"is {plan.task!r}, this environment's task is {spec.name!r}")
    if plan.horizon != spec.horizon:
        raise InvalidScaffoldError(
            "keypoints",
            f"has {plan.horizon + 1} frames, {spec.name} needs {spec.horizon + 1}, one per control step",
        )
    if plan.num_keypoints != len(spec.keypoints):
        raise InvalidScaffoldError(
            "keypoints", f"has K = {plan.num_keypoints}, {spec.name} needs {len(spec.keypoints)}: {spec.keypoints}"
        )
    if unknown := set(plan.attachments) - {*spec.bodies, WORLD}:
        raise InvalidScaffoldError(
            "attachments", f"names {sorted(unknown)}; the bodies of {spec.name} are {', '.join((*spec.bodies, WORLD))}"
        )
    return plan


FREE_STEP = 0.1
"""Without a wrist plan, an action moves the wrist's target by at most this share of the residual's limits per step:
1 cm and 0.1 rad (ours)."""


class Episodes:
    """Plans, smoothing, tracking and memory of n episodes that run side by side.

    :meth:`begin` and :meth:`step` take in what a simulation reads; everything else tells what they found.

    Args:
        task: the task object.
        robot: with the simulation's joint limits, on the device where the tensors shall live.
        count: number n of environments.
        frame_offsets: future plan frames in the observation.
        wrist_plan: False withholds the planned wrist; an action then moves the last wrist target.

    Attributes:
        threshold: tracking error at which an episode terminates, metres; ``inf`` for never.
        elapsed: (n,) control steps taken.
        keypoints: (n, K, 3) tracked keypoints.
        plan_keypoints: (n, T + 1, K, 3). plans: the plan of each environment.
    """

    def __init__(
        self, task: Task, robot: Robot, count: int, frame_offsets: Sequence[int], wrist_plan: bool = True
    ) -> None:
        spec, device = task.spec, robot.lower.device
        keypoints, bodies = len(spec.keypoints), len(spec.bodies) + 1
        sizes = mdp.Sizes.of(task.robot, keypoints, len(frame_offsets))
        self.task, self.robot, self.horizon = task, robot, spec.horizon
        self.threshold = math.inf
        self._offsets = torch.tensor(tuple(frame_offsets), device=device)
        self._bounds = torch.from_numpy(mdp.observation_bounds(mdp.observation_layout(sizes))).to(device)
        self._rows = torch.arange(count, device=device)
        self.plans: list[Scaffold | None] = [None] * count
        self.elapsed = torch.zeros(count, dtype=torch.long, device=device)
        self.keypoints = torch.zeros(count, keypoints, 3, device=device)
        self.plan_keypoints = torch.zeros(count, spec.horizon + 1, keypoints, 3, device=device)
        self._plan_wrist = torch.zeros(count, spec.horizon + 1 if wrist_plan else 1, WRIST_DIM, device=device)
        self._wrist_plan = wrist_plan
        self._plan_valid = torch.zeros(count, dtype=torch.bool, device=device)
        self._attached_to = torch.zeros(count, keypoints, dtype=torch.long, device=device)
        self._touchable = torch.zeros(count, bodies, device=device)
        self._keypoint_offsets = torch.zeros(count, keypoints, 3, device=device)
        self._initial_keypoints = torch.zeros(count, keypoints, 3, device=device)
        self._smoothed = torch.zeros(count, sizes.joints, device=device)
        self._success_once = torch.zeros(count, dtype=torch.bool, device=device)
        self._memory: dict[str, torch.Tensor] = {}

    # -------------------------------------------------------------------------------------------- what happens
    def begin(self, rows: torch.Tensor, plans: Sequence[Scaffold], reading: SimulationReading) -> None:
        """Begin new episodes: smoothing starts from the start pose, keypoints attach where their plans begin.

        Args:
            rows: (m,) environments. plans: the plan of each of them.
            reading: the simulation at the start, of all n environments.

        Raises:
            InvalidScaffoldError: a plan does not fit the task or the start.
        """
        names, wrist = (*self.task.spec.bodies, WORLD), self.robot.wrist(reading.joint_position)
        for row, plan in zip(rows.tolist(), plans, strict=True):
            self.plans[row] = check_plan(plan, self.task.spec)
            self._plan_valid[row] = plan.valid
            self.plan_keypoints[row] = torch.tensor(plan.keypoints)
            if self._wrist_plan:
                self._plan_wrist[row] = torch.tensor(plan.wrist)
            self._attached_to[row] = torch.tensor([names.index(name) for name in plan.attachments])
            self._touchable[row] = torch.tensor([float(name in plan.attachments) for name in names])
        self._touchable[:, -1] = 0.0  # nobody touches the world
        if not self._wrist_plan:
            self._plan_wrist[rows, 0] = wrist[rows]
        self.elapsed[rows] = 0
        self._success_once[rows] = False
        self._smoothed[rows] = self.robot.normalize(reading.joint_position)[rows].clamp(-1.0, 1.0)
        initial = self.plan_keypoints[rows, 0]
        self._initial_keypoints[rows] = initial
        self._keypoint_offsets[rows] = mdp.attach_keypoints(reading.body_poses[rows], self._attached_to[rows], initial)
        for row, plan in zip(rows.tolist(), plans, strict=True):
            if plan.valid:
                self._check_beginning(row, wrist[row], reading)
        self._take_in(reading)
        initial_memory = self.task.initial_memory(self._state)
        self._memory = {name: self._memory.get(name, value).clone() for name, value in initial_memory.items()}
        for name, value in initial_memory.items():
            self._memory[name][rows] = value[rows]
        self._measure()

    def _check_beginning(self, row: int, wrist: torch.Tensor, reading: SimulationReading) -> None:
        """Refuse a plan that begins where neither the hand nor its keypoints' bodies can be."""
        gap = (self._plan_wrist[row, 0] - wrist).abs()
        if float(gap[:3].norm()) > MAX_START_GAP or float(gap[3:].max()) > MAX_START_TURN:
            raise InvalidScaffoldError(
                "wrist",
                f"begins {float(gap[:3].norm()):.2f} m and {float(gap[3:].max()):.2f} rad from the hand, more than "
                f"{MAX_START_GAP} m or {MAX_START_TURN} rad",
            )
        attached = self._attached_to[row]
        reach = (self.plan_keypoints[row, 0] - reading.body_poses[row, attached, :3]).norm(dim=1)
        for name, body, distance in zip(self.task.spec.keypoints, attached.tolist(), reach.tolist(), strict=True):
            if body < len(self.task.spec.bodies) and distance > MAX_KEYPOINT_REACH:
                raise InvalidScaffoldError(
                    "keypoints",
                    f"puts {name!r} {distance:.2f} m from {self.task.spec.bodies[body]!r}, the body it is attached to",
                )

    def command(self, action: torch.Tensor) -> torch.Tensor:
        """Compose an action (n, A) with the next plan frame and smooth it; return joint position targets (n, D)."""
        frame = (self.elapsed + 1).clamp(max=self.horizon)
        if not self._wrist_plan:
            action = action.clamp(-1.0, 1.0)
            action[:, :WRIST_DIM] *= FREE_STEP
        target = self.robot.targets(*compose(self._planned_wrist(self._rows, frame), action))
        if not self._wrist_plan:  # where the wrist is sent now is what the next action is added to
            self._plan_wrist[:, 0] = self.robot.wrist(self.robot.denormalize(target))
        self._smoothed = smooth(self._smoothed, target)
        return self.joint_targets()

    def step(self, reading: SimulationReading) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Count one control step and take in the simulation after it; return reward, terminated and truncated (n,)."""
        self.elapsed = self.elapsed + 1
        self._take_in(reading)
        self._memory = self.task.remember(self._state, self._memory)
        self._measure()
        terminated = (self._errors > self.threshold).any(dim=1)
        return mdp.total_reward(self._terms), terminated, self.elapsed >= self.horizon

    def _take_in(self, reading: SimulationReading) -> None:
        """Keep a reading, and what tasks and keypoints make of it."""
        spec = self.task.spec
        self._reading, self._wrist = reading, self.robot.wrist(reading.joint_position)
        self.keypoints = mdp.track_keypoints(reading.body_poses, self._attached_to, self._keypoint_offsets)
        self._state = SceneState(
            wrist=self._wrist,
            bodies={name: reading.body_poses[:, i] for i, name in enumerate(spec.bodies)},
            joints={name: reading.object_joints[:, i] for i, name in enumerate(spec.joints)},
            tip_forces={name: reading.tip_forces[:, :, i] for i, name in enumerate(spec.bodies)},
        )

    def _measure(self) -> None:
        """Judge the current state: measures, success, tracking, contact and unweighted reward terms."""
        self._measures = self.task.measures(self._state, self._memory)
        self._success = self.task.success(self._measures)
        self._success_once = self._success_once | self._success
        frame = self.elapsed.clamp(max=self.horizon)
        self._errors = mdp.tracking_errors(self.keypoints, self.plan_keypoints[self._rows, frame])
        self._tip_force = mdp.contact_forces(self._reading.tip_forces, self._touchable)
        self._terms = mdp.reward_terms(self._errors, self._tip_force, self._smoothed)

    # -------------------------------------------------------------------------------------------- what is there
    def _planned_wrist(self, rows: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """The planned wrist (..., 6) at frames (...); the last wrist target if there is no wrist plan."""
        return self._plan_wrist[rows, frames if self._wrist_plan else torch.zeros_like(frames)]

    def joint_targets(self) -> torch.Tensor:
        """The joint position targets (n, D) in force, metres and radians."""
        return self.robot.denormalize(self._smoothed)

    def info(self) -> dict[str, torch.Tensor]:
        """What was found about the current state: success, measures, tracking, contact, unweighted reward terms."""
        return {
            "elapsed_steps": self.elapsed.clone(),
            "success": self._success,
            "success_once": self._success_once.clone(),
            "tracking_error": self._errors,
            "tip_forces": self._tip_force,
            **{f"reward/{name}": value for name, value in self._terms.items()},
            **{f"measure/{name}": value for name, value in self._measures.items()},
            "plan_valid": self._plan_valid.clone(),
        }

    def observation(self) -> torch.Tensor:
        """The observation (n, D); see :data:`mdp.PIECES`."""
        frames = (self.elapsed[:, None] + self._offsets).clamp(max=self.horizon)
        rows, reading = self._rows[:, None], self._reading
        observed = mdp.Observed(
            joint_position=reading.joint_position,
            joint_velocity=reading.joint_velocity,
            smoothed_target=self._smoothed,
            fingertip_poses=reading.tip_poses,
            initial_keypoints=self._initial_keypoints,
            keypoints=self.keypoints,
            planned_keypoints=self.plan_keypoints[rows, frames],
            wrist=self._wrist,
            planned_wrist=self._planned_wrist(rows, frames),
        )
        return mdp.observe(observed, self._bounds)

    # -------------------------------------------------------------------------------------------- saved and restored
    def _saved(self) -> dict[str, torch.Tensor]:
        """The tensors that make up an episode's memory, apart from its plan."""
        return {
            "elapsed": self.elapsed,
            "smoothed_target": self._smoothed,
            "keypoint_offsets": self._keypoint_offsets,
            "initial_keypoints": self._initial_keypoints,
            "success_once": self._success_once,
            **({} if self._wrist_plan else {"wrist_target": self._plan_wrist[:, 0]}),
            **{f"memory_{name}": value for name, value in self._memory.items()},
        }

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The episodes' memory as float tensors (n, d), by name. The plans are not part of it."""
        return {name: value.float().reshape(len(value), -1).clone() for name, value in self._saved().items()}

    def load_state_dict(self, state: Mapping[str, Any], rows: torch.Tensor) -> None:
        """Restore what :meth:`state_dict` returned, for environments ``rows`` (m,); then :meth:`look` at the rest."""
        self._memory = {name: value.clone() for name, value in self._memory.items()}  # measures may show it to someone
        for name, tensor in self._saved().items():
            value = torch.as_tensor(state[name], device=tensor.device)
            tensor[rows] = value.reshape(len(rows), *tensor.shape[1:]).to(tensor.dtype)

    def look(self, reading: SimulationReading) -> None:
        """Take in a reading without counting it as a step: of a simulation that was put into another state."""
        self._take_in(reading)
        self._measure()
