"""Failures that are caused on purpose, in real episodes, are attributed to their causes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scaffold_bench.evaluation import evaluate
from scaffold_bench.metrics import attribute
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.scripted import ReferencePolicy
from scaffold_bench.scaffolds import OracleProvider, scaffold_from_waypoints
from scaffold_bench.types import Scaffold

OPEN = -1.0


class Sabotaged(ReferencePolicy):
    """The reference policy whose fingers are told something else from a step on."""

    def __init__(self, since: int, fingers: float, until: int = 1000) -> None:
        self.since, self.until, self.fingers = since, until, fingers

    def reset(self, episode: Episode) -> None:
        super().reset(episode)
        self._step_now = 0

    def act(self, observation: Any) -> Any:
        action = super().act(observation).copy()
        if self.since <= self._step_now < self.until:
            action[6:] = self.fingers
        self._step_now += 1
        return action


class Mistaken(OracleProvider):
    """The oracle that takes everything to be 12 cm to the side."""

    def plan(self, request: Any) -> Scaffold:
        seen = request.reference(20)
        keypoints, wrist = np.array(seen.keypoints), np.array(seen.wrist)
        keypoints[..., 0] += 0.12
        wrist[1:, 0] += 0.12
        return scaffold_from_waypoints(request.task, replace(seen, keypoints=keypoints, wrist=wrist), {})


class Speechless(OracleProvider):
    """A planner without a plan."""

    def plan(self, request: Any) -> Scaffold:
        return Scaffold.failed(request.task, len(request.keypoint_names), request.wrist, "no words")


PLANTED = {
    "nothing": (Sabotaged(1000, OPEN), "hammer", "oracle", "tracked and solved"),
    "the hand never closes": (Sabotaged(0, OPEN), "hammer", "oracle", "lost in approach"),
    "the hand closes a little only": (Sabotaged(0, 0.45), "hammer", "oracle", "lost in grasp"),
    "the hand opens on the way": (Sabotaged(190, OPEN), "bottle", "oracle", "lost in transport"),
    "keypoints are seen elsewhere": (Sabotaged(1000, OPEN), "bottle", Mistaken(), "keypoint error"),
    "there is no plan": (Sabotaged(1000, OPEN), "drawer", Speechless(), "no plan"),
    "open pliers stay within the threshold": (Sabotaged(0, OPEN), "pliers", "oracle", "tracked but failed"),
}


@pytest.mark.parametrize(("policy", "task", "scaffolds", "cause"), PLANTED.values(), ids=PLANTED)
def test_a_planted_cause_is_found(policy: Any, task: str, scaffolds: Any, cause: str) -> None:
    results = evaluate(policy, task, states=1, trials=1, scaffolds=scaffolds)
    (record,) = results.records
    assert attribute(record).cause == cause, record
