"""Environments for tests, closed when they are no longer needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import pytest
from env_helpers import HAMMER


@pytest.fixture(scope="module")
def make(kept_envs: Callable[..., Any]) -> Callable[[str], Any]:
    """Environments without tracking termination, one per task for the whole file."""
    return lambda env_id: kept_envs(env_id, tracking_threshold=None)


@pytest.fixture
def fresh() -> Iterator[Callable[..., Any]]:
    """Environments of a test's own."""
    made = []

    def fresh(env_id: str = HAMMER, **kwargs: Any) -> Any:
        made.append(gym.make(env_id, **kwargs))
        return made[-1]

    yield fresh
    for env in made:
        env.close()
