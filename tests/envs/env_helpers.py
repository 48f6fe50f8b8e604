"""What several files of environment tests share: ids, actions and an episode's bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scaffold_bench.registration import task_ids

HAMMER, DRAWER, BOTTLE, PLIERS = (
    "Scaffold-Hammer-v0",
    "Scaffold-OpenDrawer-v0",
    "Scaffold-MoveBottle-v0",
    "Scaffold-ClosePliers-v0",
)


IDS = task_ids()


ALL_TASKS = pytest.mark.parametrize("env_id", IDS)


def still(env: Any) -> np.ndarray:
    """The action that follows the plan with an open hand."""
    return np.zeros(env.action_space.shape, np.float32)


def random_actions(env: Any, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)


def reference(env: Any, step: int) -> np.ndarray:
    inner = env.unwrapped
    return inner.task.reference_action(step, inner.scaffold)


def leaves(info: dict[str, Any]) -> bytes:
    """Every bit of an info dictionary."""
    return b"|".join(key.encode() + np.asarray(value).tobytes() for key, value in sorted(info.items()))


def follow(env: Any, action: Callable[[int], np.ndarray], steps: int, **reset: Any) -> list[bytes]:
    """Reset and step: all bits the environment returned, step by step."""
    observation, info = env.reset(**reset)
    seen = [observation.tobytes() + leaves(info)]
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(action(step))
        seen.append(observation.tobytes() + np.array([reward, terminated, truncated], float).tobytes() + leaves(info))
    return seen


def first_difference(one: list[bytes], other: list[bytes]) -> int | None:
    assert len(one) == len(other)
    return next((step for step, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)


def fingerprints(steps: int = 100) -> dict[str, str]:
    """A hash per task of an episode: half scripted, half random. Also called in another process."""
    hashes = {}
    for env_id in task_ids():
        env = gym.make(env_id, tracking_threshold=None)
        wild = random_actions(env, steps)

        def action(step: int, env: Any = env, wild: np.ndarray = wild) -> np.ndarray:
            return reference(env, step) if step < steps // 2 else wild[step]

        hashes[env_id] = hashlib.sha256(b"".join(follow(env, action, steps, seed=11))).hexdigest()
        env.close()
    return hashes


def rotation(pose: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.asarray(pose, np.float64)[[4, 5, 6, 3]])
