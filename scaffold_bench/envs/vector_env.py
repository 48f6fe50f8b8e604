"""Many environments in one process: what ``gym.make_vec`` gives.

ManiSkill refuses more than one environment on the CPU, and a single one spends most of its time outside physics. Here
every environment has its own SAPIEN scene; the arithmetic of the MDP is done once for all of them. Environment ``i``
has the same bits as ``gym.make`` with the same seed, state, plan and actions.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from scaffold_bench.envs import mdp
from scaffold_bench.envs.episodes import Episodes
from scaffold_bench.envs.requests import (
    VECTOR_RESET_OPTIONS,
    EpisodeSource,
    FollowsPlans,
    check_reset_mask,
    check_vector_arguments,
    options_of_each,
    refuse_seeing,
    resolve_offsets,
    resolve_threshold,
    seeds_of,
)
from scaffold_bench.envs.simulation import CpuSimulation, CpuWorld, Simulation
from scaffold_bench.envs.start_states import StartStates
from scaffold_bench.plan import Planner
from scaffold_bench.tasks.base import Task


class ScaffoldVectorEnv(FollowsPlans, VectorEnv[Any, Any, Any]):
    """``num_envs`` environments of one task, stepped together. See ``ScaffoldEnv`` for the MDP.

    Episodes that end are reset in the same step: the observation returned is the new episode's first one; the old
    episode's last observation and info are ``infos["final_obs"]`` and ``infos["final_info"]``, valid where
    ``infos["_final_obs"]`` is true.

    Args:
        task, provider, states, split, tracking_threshold, frame_offsets, wrist_plan: as for ``ScaffoldEnv``.
        num_envs: number of environments, at least 1.
        array: "numpy", or "torch" for tensors in and out, on the simulation's device.
        autoreset: False leaves episodes that ended to the caller, who begins others with ``reset_mask``.
        simulation: what simulates ``num_envs`` environments of the task; SAPIEN on the CPU by default.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        task: Task,
        provider: Planner,
        num_envs: int,
        states: StartStates | None = None,
        split: str = "train",
        tracking_threshold: float | str | None = "task",
        frame_offsets: Sequence[int] = mdp.DEFAULT_FRAME_OFFSETS,
        array: str = "numpy",
        autoreset: bool = True,
        wrist_plan: bool = True,
        simulation: Simulation | None = None,
    ) -> None:
        check_vector_arguments(num_envs, array)
        refuse_seeing(provider)
        self.task, self.num_envs, self._array = task, num_envs, array
        if not autoreset:
            self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode.DISABLED}
        self._autoreset = autoreset
        self._source = EpisodeSource(task, provider, states, split)
        offsets = resolve_offsets(frame_offsets, task.spec)
        threshold = resolve_threshold(tracking_threshold, task.spec)
        sizes = mdp.Sizes.of(task.robot, len(task.spec.keypoints), len(offsets))
        self.observation_layout = mdp.observation_layout(sizes)
        bounds = mdp.observation_bounds(self.observation_layout)
        self.single_action_space = spaces.Box(-1.0, 1.0, (task.spec.action_dim,), np.float32)
        self.single_observation_space = spaces.Box(-bounds, bounds, dtype=np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._simulation: Simulation | None = simulation or CpuSimulation(
            [CpuWorld.make(task) for _ in range(num_envs)]
        )
        self._episodes = Episodes(task, self._simulation.robot, num_envs, offsets, wrist_plan)
        self._episodes.threshold = threshold
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._everywhere = np.ones(num_envs, dtype=bool)

    def _open(self) -> Simulation:
        if self._simulation is None:
            raise RuntimeError("this environment is closed; make a new one")
        return self._simulation

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: one per environment, or one that gives environment ``i`` the seed ``seed + i``.
            options: ``state``, ``trial``, ``start`` and ``scaffold`` as for ``ScaffoldEnv``, each for all environments
                or a list with one per environment; ``reset_mask`` (n,) restricts the reset to some.

        Raises:
            ValueError: an unknown option, or one that gives no usable start state.
            InvalidScaffoldError: an injected plan that does not fit the task.
        """
        self._open()
        chosen = dict(options or {})
        self._source.refuse_unknown(chosen, VECTOR_RESET_OPTIONS)
        mask = check_reset_mask(chosen.pop("reset_mask", self._everywhere), self.num_envs)
        per_env = options_of_each(chosen, self.num_envs)
        rows = np.flatnonzero(mask)
        for row in rows:
            self._source.check(per_env[row])
        if seed is not None:
            seeds = seeds_of(seed, self.num_envs)
            for row in rows:
                self._generators[row] = np.random.default_rng(seeds[row])
        self._begin(rows, [per_env[row] for row in rows])
        return self._out(self._episodes.observation()), self._infos(self._episodes.info())

    def _begin(self, rows: np.ndarray, options: Sequence[Mapping[str, Any]]) -> None:
        """Begin new episodes in some environments; the others are not touched."""
        simulation, starts, plans = self._open(), [], []
        for row, mine in zip(rows, options, strict=True):
            start, index = self._source.start(self._generators[row], mine)
            starts.append(start)
            plans.append(self._source.plan(start, index, mine))
        envs: list[int] = rows.tolist()
        reading = simulation.begin(envs, starts)
        self._episodes.begin(torch.tensor(envs, dtype=torch.long, device=self._episodes.elapsed.device), plans, reading)
        simulation.drive(envs, self._episodes.joint_targets())

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one control step (1/60 s) in every environment.

        Raises:
            ValueError: a wrong shape, or an action that is not finite.
        """
        simulation = self._open()
        reading = simulation.step(self._episodes.command(self._check(actions)))
        reward, terminated, truncated = self._episodes.step(reading)
        observation, infos = self._episodes.observation(), self._infos(self._episodes.info())
        done = (terminated | truncated).cpu().numpy()
        if self._autoreset and done.any():
            infos["final_info"], infos["_final_info"] = dict(infos), done.copy()
            infos["final_obs"], infos["_final_obs"] = self._out(observation.clone()), done.copy()
            rows = np.flatnonzero(done)
            self._begin(rows, [{}] * len(rows))
            observation = self._episodes.observation()
            infos.update(self._infos(self._episodes.info()))
        return self._out(observation), self._out(reward), self._out(terminated), self._out(truncated), infos

    def _check(self, actions: Any) -> torch.Tensor:
        tensor = torch.as_tensor(actions, dtype=torch.float32, device=self._episodes.elapsed.device)
        if tuple(tensor.shape) != self.action_space.shape:
            raise ValueError(f"actions have shape {tuple(tensor.shape)}, expected {self.action_space.shape}")
        if not torch.isfinite(tensor).all():
            index = tuple(torch.nonzero(~torch.isfinite(tensor))[0].tolist())
            raise ValueError(f"actions are not finite at index {index} (value {tensor[index].item()})")
        return tensor

    def _out(self, tensor: torch.Tensor) -> Any:
        return tensor if self._array == "torch" else tensor.cpu().numpy()

    def _infos(self, info: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Infos as Gymnasium's vector environments give them: ``name`` and the mask ``_name`` of who has it."""
        infos: dict[str, Any] = {}
        for name, value in info.items():
            infos[name], infos[f"_{name}"] = self._out(value), self._everywhere.copy()
        return infos

    def close_extras(self, **_: Any) -> None:
        """Let go of every scene."""
        self._simulation = None
        gc.collect()  # ManiSkill's scenes and actors hold each other
