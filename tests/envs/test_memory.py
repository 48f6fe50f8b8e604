"""A batch fits into little memory, and neither resets nor rebuilds leave anything behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SIZE = """
import gymnasium as gym, numpy as np, scaffold_bench
def size():  # resident set, MiB
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 / 2**20
"""


def measured(script: str) -> dict[str, float]:
    """What a script prints as JSON, run in a process of its own."""
    run = subprocess.run([sys.executable, "-c", SIZE + script], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sixty_four_environments_fit_into_a_gibibyte() -> None:
    script = """
env = gym.make_vec("Scaffold-CloseScissors-v0", num_envs=64)
env.reset(seed=0)
for _ in range(20):
    env.step(env.action_space.sample())
import json; print(json.dumps({"size": size()}))
"""
    assert measured(script)["size"] < 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_thousand_resets_and_fifty_rebuilds_leave_nothing_behind() -> None:
    script = """
env = gym.make_vec("Scaffold-Hammer-v0", num_envs=4)
sizes = {"resets": [], "rebuilds": []}
for block in range(10):
    for _ in range(50):  # 4 episodes each
        env.reset()
        env.step(env.action_space.sample())
    sizes["resets"].append(size())
for block in range(10):
    for _ in range(5):
        env.close()
        env = gym.make_vec("Scaffold-Hammer-v0", num_envs=4)
        env.reset(seed=0)
    sizes["rebuilds"].append(size())
import json; print(json.dumps({kind: values[-1] - values[2] for kind, values in sizes.items()}))
"""
    grown = measured(script)
    assert grown["resets"] < 10, "MiB over 1,400 resets after the first 600"
    assert grown["rebuilds"] < 10, "MiB over 35 rebuilds after the first 15"
