"""Which start state a reset takes: by seed or by option; options that are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from env_helpers import ALL_TASKS, HAMMER, first_difference, follow, random_actions

from scaffold_bench.envs.start_states import frozen_states
from scaffold_bench.types import StartState


@ALL_TASKS
def test_a_seed_decides_the_start_and_no_seed_goes_on(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)

    def starts(seed: int) -> list[bytes]:
        observations = [env.reset(seed=seed)[0]] + [env.reset()[0] for _ in range(7)]
        return [observation.tobytes() for observation in observations]

    first, again, other = starts(1), starts(1), starts(2)
    assert first == again
    assert len(set(first)) >= 6  # 8 draws of 100 states
    assert first != other


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 + 5, 2**63])
def test_seeds_of_any_size_are_distinct(make: Callable[[str], Any], seed: int) -> None:
    env = make(HAMMER)
    assert (env.reset(seed=seed)[0] == env.reset(seed=seed)[0]).all()
    assert (env.reset(seed=seed)[0] != env.reset(seed=seed + 1)[0]).any()


def test_fresh_states_are_drawn_anew_and_repeat_with_the_seed(fresh: Callable[..., Any]) -> None:
    env = fresh(HAMMER, split="fresh")
    frozen = {state.wrist.tobytes() for split in ("train", "eval") for state in frozen_states("hammer", split)}

    def wrists(seed: int) -> list[bytes]:
        drawn = []
        for step in range(5):
            env.reset(seed=seed if step == 0 else None)
            drawn.append(env.unwrapped.start_state.wrist.tobytes())
        return drawn

    first = wrists(1)
    assert wrists(1) == first
    assert len({*first, *wrists(2)}) == 10
    assert not frozen & set(first)
    with pytest.raises(ValueError, match="no frozen start states"):
        _ = env.unwrapped.start_state_set


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sate": 3}, r"unknown reset options \['sate'\]; known are state, trial, start"),
        ({"state": 100}, "index from 0 to 99, got 100"),
        ({"state": -1}, "index from 0 to 99, got -1"),
        ({"state": 1.0}, "index from 0 to 99, got 1.0"),
        ({"state": "3"}, "index from 0 to 99, got '3'"),
        ({"state": True}, "index from 0 to 99, got True"),
        ({"state": 0, "trial": -1}, r"trial.* must be a whole number from 0 on, got -1"),
        ({"state": 0, "trial": 1.7}, r"trial.* must be a whole number from 0 on, got 1.7"),
        ({"trial": 1}, r"say which one with options\[\"state\"\]"),
        ({"start": 5}, "must be a StartState, got int"),
        ({"start": StartState(np.zeros(6), {})}, r"must have the objects \['hammer'\]"),
        ({"start": StartState(np.zeros(5), {"hammer": np.zeros(7)})}, "wrist must be 6 finite numbers"),
        ({"start": StartState(np.zeros(6), {"hammer": np.full(7, np.nan)})}, "hammer must be 7 finite numbers"),
        ({"start": StartState(np.zeros(6), {"hammer": np.zeros(7)}), "state": 3}, 'leave "state" and "trial" out'),
        ({"scaffold": {}}, "is dict, expected a Scaffold"),
    ],
    ids=str,
)
def test_bad_reset_options_are_refused(make: Callable[[str], Any], options: dict[str, Any], told: str) -> None:
    env = make(HAMMER)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.reset(options=options)


def test_a_refused_reset_leaves_the_episode_running(make: Callable[[str], Any]) -> None:
    env, actions = make(HAMMER), random_actions(make(HAMMER), 8)
    expected = follow(env, actions.__getitem__, 8, seed=2)

    def act(step: int) -> np.ndarray:
        if step == 4:
            for options in ({"state": 100}, {"sate": 3}):
                with pytest.raises(ValueError, match="state"):
                    env.unwrapped.reset(options=options)
        return actions[step]

    assert first_difference(follow(env, act, 8, seed=2), expected) is None


def test_a_numpy_index_picks_a_state(make: Callable[[str], Any]) -> None:
    env = make(HAMMER)
    by_numpy, by_int = (env.reset(options={"state": index})[0] for index in (np.int64(7), 7))
    np.testing.assert_array_equal(by_numpy, by_int)


def test_a_state_needs_a_frozen_split(fresh: Callable[..., Any]) -> None:
    env = fresh(HAMMER, split="fresh")
    with pytest.raises(ValueError, match='split="fresh"'):
        env.reset(seed=0, options={"state": 3})
