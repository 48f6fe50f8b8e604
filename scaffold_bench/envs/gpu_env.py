"""Many environments on ManiSkill's GPU simulation: what ``gym.make_vec(..., sim_backend="physx_cuda")`` gives.

ManiSkill steps them; this file only gives its vector wrapper the manners of ``BatchedScaffoldEnv``. It has been run on
the CPU with one environment, where both must agree, and never on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from mani_skill.vector.wrappers.gymnasium import ManiSkillVectorEnv

from scaffold_bench.envs.env import ScaffoldEnv
from scaffold_bench.envs.requests import VECTOR_RESET_OPTIONS, EpisodeSource, check_reset_mask, check_vector_arguments
from scaffold_bench.envs.start_states import StartStates
from scaffold_bench.plan import Scaffold


class GpuScaffoldEnv(ManiSkillVectorEnv):  # type: ignore[misc]  # mani_skill is untyped
    """``num_envs`` environments of one task on one GPU. See ``BatchedScaffoldEnv``, whose interface it has.

    Args:
        env: the environments, with their batch axis. array: "torch" (tensors stay on the GPU) or "numpy".
        autoreset: False leaves episodes that ended to the caller.
    """

    def __init__(self, env: ScaffoldEnv, array: str = "numpy", autoreset: bool = True) -> None:
        check_vector_arguments(env.num_envs, array)
        super().__init__(env, auto_reset=autoreset)
        mode = AutoresetMode.SAME_STEP if autoreset else AutoresetMode.DISABLED
        self.metadata = {"render_modes": [], "autoreset_mode": mode}
        self._array = array
        self._everywhere = np.ones(self.num_envs, dtype=bool)

    @property
    def task(self) -> Any:
        """The task object."""
        return self.base_env.task

    @property
    def observation_layout(self) -> dict[str, slice]:
        """Names of the observation's slices."""
        layout: dict[str, slice] = self.base_env.observation_layout
        return layout

    @property
    def tracking_threshold(self) -> float:
        """Distance from the plan at which an episode terminates, metres; ``inf`` when it does not."""
        return float(self.base_env.tracking_threshold)

    def set_tracking_threshold(self, threshold: float | str | None) -> None:
        """Set the termination threshold: metres, "task" for the task's epsilon_0, or None for no termination."""
        self.base_env.set_tracking_threshold(threshold)

    def anneal_tracking_threshold(self, progress: float) -> None:
        """Set the threshold for a share of training done: epsilon_0 at 0, epsilon_0 / 2 at 1."""
        self.base_env.anneal_tracking_threshold(progress)

    @property
    def split(self) -> str:
        """Whose start states: "train", "eval" or "fresh"."""
        return str(self.base_env.split)

    @property
    def start_state_set(self) -> StartStates:
        """The frozen start states of the split."""
        states: StartStates = self.base_env.start_state_set
        return states

    @property
    def scaffolds(self) -> tuple[Scaffold | None, ...]:
        """The plan each environment is following."""
        plans: tuple[Scaffold | None, ...] = self.base_env.scaffolds
        return plans

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes; seeds and options as for ``BatchedScaffoldEnv``."""
        chosen = dict(options or {})
        if "env_idx" not in chosen:  # ManiSkill's word, which it says itself when an episode ends
            EpisodeSource.refuse_unknown(chosen, VECTOR_RESET_OPTIONS)
            if (mask := chosen.pop("reset_mask", None)) is not None:
                rows = np.flatnonzero(check_reset_mask(mask, self.num_envs))
                chosen["env_idx"] = torch.from_numpy(rows).to(self.device)
        observation, info = super().reset(seed=seed, options=chosen)
        return self._out(observation), self._infos(info)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one control step (1/60 s) in every environment."""
        tensor = torch.as_tensor(actions, dtype=torch.float32, device=self.device)
        observation, reward, terminated, truncated, infos = super().step(tensor)
        observation, reward, terminated, truncated = map(self._out, (observation, reward, terminated, truncated))
        if (final := infos.pop("final_observation", None)) is not None:
            done = _to_numpy(infos.pop("_final_observation"))
            infos["final_info"] = self._infos(infos["final_info"])
            infos.update(final_obs=self._out(final), _final_obs=done, _final_info=done.copy())
            infos["_elapsed_steps"] = self._everywhere.copy()  # ManiSkill's mask says who was reset
            return observation, reward, terminated, truncated, infos
        return observation, reward, terminated, truncated, self._infos(infos)

    def _out(self, value: Any) -> Any:
        return value if self._array == "torch" else _to_numpy(value)

    def _infos(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Infos as Gymnasium's vector environments give them: ``name`` and the mask ``_name`` of who has it."""
        infos: dict[str, Any] = {}
        for name, value in info.items():
            if isinstance(value, torch.Tensor):
                infos[name], infos[f"_{name}"] = self._out(value), self._everywhere.copy()
        return infos


def _to_numpy(value: Any) -> np.ndarray:
    """An array on the host."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
