"""The same actions give the same bits: in copies, after other episodes, elsewhere, and with arrays overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from env_helpers import (
    ALL_TASKS,
    DRAWER,
    HAMMER,
    PLIERS,
    fingerprints,
    first_difference,
    follow,
    leaves,
    random_actions,
    reference,
)

from scaffold_bench.types import EPISODE_STEPS


@ALL_TASKS
def test_two_copies_agree_in_every_bit(make: Callable[[str], Any], fresh: Callable[..., Any], env_id: str) -> None:
    first, second = make(env_id), fresh(env_id, tracking_threshold=None)
    actions = random_actions(first, 60)
    one, other = (follow(env, actions.__getitem__, 60, seed=3) for env in (first, second))
    assert first_difference(one, other) is None


@ALL_TASKS
def test_an_episode_does_not_depend_on_those_before_it(fresh: Callable[..., Any], env_id: str) -> None:
    env = fresh(env_id, tracking_threshold=None)
    script = lambda step: reference(env, step)  # noqa: E731
    first = follow(env, script, EPISODE_STEPS, seed=7)
    wild = random_actions(env, 150)
    follow(env, wild.__getitem__, 150, seed=8)  # left in the middle, hand and object anywhere
    follow(env, script, 110, seed=9)
    assert first_difference(follow(env, script, EPISODE_STEPS, seed=7), first) is None


def test_an_episode_does_not_depend_on_other_environments(fresh: Callable[..., Any]) -> None:
    def script(step: int) -> np.ndarray:
        if others:
            others[0].step(others[0].action_space.sample())
            others[1].step(reference(others[1], step))
        return reference(env, step)

    others: list[Any] = []
    env = fresh(PLIERS, tracking_threshold=None)
    alone = follow(env, script, 200, seed=7)
    # ManiSkill's own environment sets another bounce threshold and contact offset for the whole process
    others += [fresh("PickCube-v1", obs_mode="state", render_backend="none"), fresh(DRAWER, tracking_threshold=None)]
    for other in others:
        other.reset(seed=0)
    assert first_difference(follow(env, script, 200, seed=7), alone) is None


def test_rebuilding_the_scene_changes_nothing(fresh: Callable[..., Any]) -> None:
    env = fresh(PLIERS, tracking_threshold=None)
    plain, rebuilt = (
        follow(env, lambda step: reference(env, step), 200, seed=4, options={"state": 5, "reconfigure": rebuild})
        for rebuild in (False, True)
    )
    assert first_difference(plain[1:], rebuilt[1:]) is None  # the reset's info tells them apart, by design


def test_another_process_agrees_in_every_bit() -> None:
    code = (
        f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import env_helpers as t; print(json.dumps(t.fingerprints()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == fingerprints()


@ALL_TASKS
def test_returned_arrays_belong_to_the_caller(make: Callable[[str], Any], env_id: str) -> None:
    env, actions = make(env_id), random_actions(make(env_id), 12)
    untouched = follow(env, actions.__getitem__, 12, seed=5)
    observation, info = env.reset(seed=5)
    kept = [(observation, observation.copy())]
    seen = [observation.tobytes() + leaves(info)]
    for action in actions:
        for value in info.values():
            if isinstance(value, np.ndarray):
                value[...] = 77.0
        env.unwrapped.keypoints[...] = 77.0
        observation, reward, terminated, truncated, info = env.step(action)
        seen.append(observation.tobytes() + np.array([reward, terminated, truncated], float).tobytes() + leaves(info))
        kept.append((observation, observation.copy()))
    assert first_difference(seen, untouched) is None
    assert all((now == before).all() for now, before in kept)
    arrays = [array for array, _ in kept]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_scribbling_over_an_observation_changes_nothing(make: Callable[[str], Any]) -> None:
    env, actions = make(HAMMER), random_actions(make(HAMMER), 12)
    untouched = follow(env, actions.__getitem__, 12, seed=5)

    def act(step: int) -> np.ndarray:
        inner._last_obs[...] = 77.0  # the very memory that a returned array could be a view of
        return actions[step]

    inner = env.unwrapped
    assert first_difference(follow(env, act, 12, seed=5), untouched) is None
