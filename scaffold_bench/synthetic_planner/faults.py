"""The errors of the synthetic planner and of the service that it answers through, and how often they happen."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ErrorRates:
    """How often each error happens: a share of answers from 0 to 1, unless a unit is given.

    The first seven are a planner's mistakes (:class:`SimulatedPlanner`), the others a service's and its model's
    (:class:`FakeGemini`). An answer has at most one of the latter, the first that is drawn.

    Attributes:
        pixel_noise: standard deviation of every keypoint in the picture, thousandths of its side.
        wrong_keypoint: one keypoint is at a random place in the picture.
        waypoint_noise: standard deviation of the path's smooth drift, metres per axis.
        axis_flip: the motion is mirrored in x or in y; ``axis_flip_of`` for some tasks, by name.
        axis_flip_shown, axis_flip_shown_of: the same when the question shows examples. In the paper these lift
            the fridge's plans from 12 to 64 %.
        slow: the answer is delayed by ``slow_seconds``.
        closed: the connection closes without an answer.
        quota: status 429. server_error: status 500.
        blocked: the question is refused for safety. empty: an answer without text.
        truncated: the answer stops in the middle, as if it had too many tokens.
        malformed: the answer is not JSON. not_finite: a number is NaN. wrong_count: a waypoint is missing.

    Raises:
        ValueError: a rate outside 0 to 1, or a negative or infinite quantity.
    """

    pixel_noise: float = 4.0
    wrong_keypoint: float = 0.05
    waypoint_noise: float = 0.01
    axis_flip: float = 0.05
    axis_flip_of: Mapping[str, float] = field(default_factory=lambda: {"fridge": 0.8})
    axis_flip_shown: float = 0.02
    axis_flip_shown_of: Mapping[str, float] = field(default_factory=lambda: {"fridge": 0.3})
    slow: float = 0.0
    slow_seconds: float = 60.0
    closed: float = 0.0
    quota: float = 0.0
    server_error: float = 0.0
    blocked: float = 0.0
    empty: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    not_finite: float = 0.0
    wrong_count: float = 0.0

    def __post_init__(self) -> None:
        quantities = ("pixel_noise", "waypoint_noise", "slow_seconds")
        for name, value in vars(self).items():
            limit, wanted = (math.inf, "not negative and finite") if name in quantities else (1.0, "from 0 to 1")
            of_tasks = value.items() if isinstance(value, Mapping) else [("", value)]
            for task, number in of_tasks:
                if not (math.isfinite(number) and 0 <= number <= limit):
                    what = f"{name}[{task!r}]" if task else name
                    raise ValueError(f"{what} must be {wanted}, got {number}")

    @classmethod
    def none(cls, **rates: Any) -> ErrorRates:
        """Only the errors that are given, e.g. ``ErrorRates.none(quota=0.3)``."""
        nothing: dict[str, Any] = {
            one.name: {} if one.name.endswith("_of") else 0.0 for one in fields(cls) if one.name != "slow_seconds"
        }
        return cls(**{**nothing, **rates})

    def flip_of(self, task: str, shown: bool) -> float:
        """The rate of mirrored motions for a task; ``shown``: the question has examples."""
        if shown:
            return self.axis_flip_shown_of.get(task, self.axis_flip_shown)
        return self.axis_flip_of.get(task, self.axis_flip)


class RequestRandom:
    """Random generators that depend on the request and on how often it was made, not on other requests before it.

    Raises:
        ValueError: a negative seed.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._seed, self._seen, self._lock = seed, Counter[bytes](), threading.Lock()

    def generator(self, *request: bytes) -> np.random.Generator:
        """The generator for the next time that this request is made."""
        key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in request)).digest()
        with self._lock:
            count = self._seen[key]
            self._seen[key] += 1
        return np.random.default_rng([self._seed, count, int.from_bytes(key, "little")])
