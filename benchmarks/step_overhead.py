"""What one environment's step costs beyond physics, compared with ManiSkill's own single-environment loop.

    python benchmarks/step_overhead.py

Prints milliseconds of Python per control step (wall time of ``env.step`` minus the time inside ``scene.step``; best of
five passes) and each as a ratio to ManiSkill's PickCube with state observations, in one run: first with its
batched tensors, then with its NumPy wrapper, which is the fair comparison with ``gym.make`` here.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import mani_skill.envs
import numpy as np
import torch
from mani_skill.utils.wrappers import CPUGymWrapper

from scaffold_bench.registration import task_ids

STEPS, PASSES = 150, 5
assert mani_skill.envs  # registers PickCube


def python_ms_per_step(env: Any, actions: list[np.ndarray]) -> float:
    """Milliseconds per step outside ``scene.step``, best of several passes over the same actions."""
    scene = env.unwrapped.scene
    simulate, inside = scene.step, 0.0

    def timed_step() -> None:
        nonlocal inside
        start = time.perf_counter()
        simulate()
        inside += time.perf_counter() - start

    scene.step = timed_step
    best = float("inf")
    for _ in range(PASSES):
        env.reset(seed=0)
        inside, start = 0.0, time.perf_counter()
        for action in actions:
            env.step(action)
        best = min(best, (time.perf_counter() - start - inside) / len(actions))
    return 1000 * best


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    theirs = gym.make("PickCube-v1", obs_mode="state", num_envs=1, sim_backend="physx_cpu", render_backend="none")
    size = theirs.unwrapped.single_action_space.shape  # type: ignore[attr-defined]
    noise = [rng.uniform(-0.1, 0.1, size).astype(np.float32) for _ in range(STEPS)]
    batched, wrapped = python_ms_per_step(theirs, noise), python_ms_per_step(CPUGymWrapper(theirs), noise)
    print(f"{'ManiSkill PickCube-v1':28} {batched:6.2f} ms  1.00  {batched / wrapped:.2f}")
    print(f"{'... with its NumPy wrapper':28} {wrapped:6.2f} ms  {wrapped / batched:.2f}  1.00")
    for env_id in task_ids():
        env = gym.make(env_id, tracking_threshold=None)
        env.reset(seed=0)
        ours = env.unwrapped
        actions = [ours.task.reference_action(step, ours.scaffold) for step in range(STEPS)]  # type: ignore[attr-defined]
        cost = python_ms_per_step(env, actions)
        print(f"{env_id:28} {cost:6.2f} ms  {cost / batched:.2f}  {cost / wrapped:.2f}")
        env.close()


if __name__ == "__main__":
    main()
