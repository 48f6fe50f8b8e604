"""Environments for tests, closed when they are no longer needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import pytest
from env_helpers import (
    HAMMER,
)


@pytest.fixture(scope="module")
def make() -> Iterator[Callable[[str], Any]]:
    """Environments without tracking termination, one per task for the whole file."""
    made: dict[str, Any] = {}

    def make(env_id: str) -> Any:
        if env_id not in made:
            made[env_id] = gym.make(env_id, tracking_threshold=None)
        return made[env_id]

    yield make
    for env in made.values():
        env.close()


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
