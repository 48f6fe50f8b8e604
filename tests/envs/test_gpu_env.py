"""The GPU's vector environment as far as a CPU can tell: with one environment it is ``BatchedScaffoldEnv``."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from scaffold_bench.envs.env import ScaffoldEnv
from scaffold_bench.envs.gpu_env import GpuScaffoldEnv
from scaffold_bench.envs.requests import options_of_each
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds import resolve_provider
from scaffold_bench.types import EPISODE_STEPS

APPLE = "Scaffold-MoveApple-v0"


def on_the_cpu(threshold: float | str | None = None, array: str = "numpy", autoreset: bool = True) -> GpuScaffoldEnv:
    task = get_task("apple")
    env = ScaffoldEnv(
        task, resolve_provider("oracle"), start_states(task, "eval"), "eval", num_envs=1, tracking_threshold=threshold
    )
    return GpuScaffoldEnv(env, array, autoreset)


def same(ours: Any, theirs: Any) -> None:
    for mine, other in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(mine, other)
        assert np.asarray(mine).dtype == np.asarray(other).dtype
    same_infos(ours[-1], theirs[-1])


def same_infos(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        if isinstance(value, dict):
            same_infos(value, theirs[name])
        else:
            np.testing.assert_array_equal(value, theirs[name], name)


def test_one_environment_does_what_the_batched_one_does() -> None:
    # the apple stays behind a plan that nobody grasps for: episodes end early and begin anew
    ours = on_the_cpu(threshold=0.02)
    theirs: Any = gym.make_vec(APPLE, num_envs=1, split="eval", tracking_threshold=0.02)
    assert ours.observation_layout == theirs.observation_layout
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    same(ours.reset(seed=4), theirs.reset(seed=4))
    rng, ended = np.random.default_rng(0), 0
    for _ in range(EPISODE_STEPS + 20):
        action = rng.uniform(-0.2, 0.2, theirs.action_space.shape).astype(np.float32)
        outcome = ours.step(action)
        same(outcome, theirs.step(action))
        ended += "final_obs" in outcome[4]
    assert ended >= 2
    for env in (ours, theirs):
        env.anneal_tracking_threshold(1.0)
    assert ours.tracking_threshold == theirs.tracking_threshold
    same(ours.reset(options={"state": 7, "reset_mask": [True]}), theirs.reset(options={"state": 7}))
    assert ours.scaffolds[0].sha256 == theirs.scaffolds[0].sha256


def test_tensors_stay_tensors() -> None:
    env = on_the_cpu(array="torch")
    observation, infos = env.reset(seed=0)
    outcome = env.step(torch.zeros(env.action_space.shape))
    assert all(isinstance(part, torch.Tensor) for part in (observation, infos["success"], *outcome[:4]))


def test_episodes_can_be_left_to_the_caller() -> None:
    env = on_the_cpu(threshold=0.02, autoreset=False)
    assert env.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    env.reset(seed=0)
    for _ in range(EPISODE_STEPS):
        _, _, terminated, truncated, infos = env.step(np.zeros(env.action_space.shape, np.float32))
    assert terminated.all()
    assert truncated.all()
    assert "final_obs" not in infos


def test_mistakes_are_told() -> None:
    env = on_the_cpu()
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"sate": 1})
    with pytest.raises(ValueError, match=r"reset_mask has shape \(2,\), expected \(1,\)"):
        env.reset(options={"reset_mask": [True, False]})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action has shape"):
        env.step(np.zeros((2, 7), np.float32))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="needs a CUDA GPU and torch sees none; leave it out for the CPU"):
            gym.make_vec(APPLE, num_envs=2, sim_backend="physx_cuda")


def test_options_for_each_or_for_all() -> None:
    assert options_of_each({"state": [3, 4], "trial": 1}, 2) == [{"state": 3, "trial": 1}, {"state": 4, "trial": 1}]
    with pytest.raises(ValueError, match="has 3 entries for 2 environments"):
        options_of_each({"state": [3, 4, 5]}, 2)
