"""The single-file reference script does what the packaged reference policy does."""

from __future__ import annotations

import runpy
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "baselines" / "reference.py"))


@pytest.mark.parametrize("env_id", ["Scaffold-Hammer-v0", "Scaffold-ClosePliers-v0"])
def test_the_script_acts_like_the_reference_policy(env_id: str) -> None:
    env = gym.make(env_id, split="eval").unwrapped
    env.reset(seed=0, options={"state": 0})
    for step in range(300):
        np.testing.assert_allclose(
            SCRIPT["act"](env.scaffold, env.task.finger_schedule, step, 12),
            env.task.reference_action(step, env.scaffold),
            atol=1e-6,
        )
    env.close()


def test_the_script_hammers(capsys: pytest.CaptureFixture[str]) -> None:
    args = SCRIPT["Args"](episodes=1)
    assert SCRIPT["main"](args) == 1.0
    assert "Scaffold-Hammer-v0: 100 % of 1 episodes" in capsys.readouterr().out
