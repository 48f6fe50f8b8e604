"""The GPU's simulation as far as a CPU can tell: with one environment it reads what the CPU's reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scaffold_bench.envs.gpu_simulation import GpuSimulation
from scaffold_bench.envs.vector_env import ScaffoldVectorEnv
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds import resolve_provider

REACHED = 60
"""Control steps until the hand has arrived and begins to touch."""


def both(task: str, **settings: Any) -> tuple[ScaffoldVectorEnv, ScaffoldVectorEnv]:
    """An environment on ManiSkill's structs and one on SAPIEN's handles."""
    made = get_task(task)
    first, second = (
        ScaffoldVectorEnv(
            made, resolve_provider("oracle"), 1, start_states(made, "eval"), "eval", simulation=simulation, **settings
        )
        for simulation in (GpuSimulation(made, 1, "physx_cpu"), None)
    )
    return first, second


@pytest.mark.parametrize("task", ["hammer", "drawer", "scissors"])
def test_the_structs_read_what_the_handles_read(task: str) -> None:
    ours, theirs = both(task, tracking_threshold=None)
    for state in (3, 4):  # a second episode, too
        observation, infos = ours.reset(seed=0, options={"state": state})
        expected, expected_infos = theirs.reset(seed=0, options={"state": state})
        np.testing.assert_array_equal(observation, expected)
        assert infos.keys() == expected_infos.keys()
        for step in range(REACHED):
            action = ours.task.reference_action(step, ours.scaffolds[0])[None]
            outcome, wanted = ours.step(action), theirs.step(action)
        np.testing.assert_allclose(outcome[0], wanted[0], atol=1e-3)
        np.testing.assert_allclose(outcome[1], wanted[1], atol=1e-3)


def test_contact_forces_are_those_of_the_handles() -> None:
    ours, theirs = both("hammer", tracking_threshold=None)
    for env in (ours, theirs):
        env.reset(seed=0, options={"state": 0})
    forces = []
    for step in range(120):  # the hand has closed and lifts
        action = ours.task.reference_action(step, ours.scaffolds[0])[None]
        forces.append([env.step(action)[4]["tip_forces"][0] for env in (ours, theirs)])
    ours_, theirs_ = np.array(forces)[80:].transpose(1, 0, 2)  # type: ignore[misc]
    assert theirs_.max() > 5
    np.testing.assert_allclose(ours_.mean(axis=0), theirs_.mean(axis=0), rtol=0.15, atol=1.0)


def test_episodes_end_and_begin_in_the_same_step() -> None:
    ours, theirs = both("apple", tracking_threshold=0.02, array="torch")
    for env in (ours, theirs):
        env.reset(seed=4)
    ended = 0
    for _ in range(150):  # the apple stays behind a plan that nobody grasps for
        still = torch.zeros(ours.action_space.shape)
        outcome, wanted = ours.step(still), theirs.step(still)
        assert torch.equal(outcome[2], wanted[2])
        assert all(isinstance(part, torch.Tensor) for part in outcome[:4])
        ended += "final_obs" in outcome[4]
    assert ended >= 1
