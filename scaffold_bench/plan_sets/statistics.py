"""Statistics of a plan set: validity, distance from the oracle's plans, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaffold_bench.envs.requests import EpisodeSource
from scaffold_bench.plan import Scaffold
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds import OracleProvider, ScaffoldEntry


# ------------------------------------------------------------------------------------------------------- statistics
@dataclass(frozen=True)
class PlanStats:
    """Statistics of the plans of one task and split.

    Attributes:
        task: short name.
        split: "train" or "eval".
        plans: number of plans.
        valid: number of valid plans.
        keypoint_error: median distance of the first keypoints from the oracle's, metres, over valid plans.
        path_error: median over valid plans of the mean distance from the oracle's path, metres.
        reasons: why plans are invalid, with the number of plans, the most frequent first.
        usd: dollars spent, as far as the provenance says.
        seconds: time spent, likewise.
    """

    task: str
    split: str
    plans: int
    valid: int
    keypoint_error: float
    path_error: float
    reasons: dict[str, int]
    usd: float
    seconds: float


def plan_distances(plan: Scaffold, state: int, split: str) -> tuple[float, float]:
    """Distance of a plan's keypoints from the oracle's for the same start state.

    Returns:
        The largest distance at frame 0, and the mean over all frames and keypoints, metres.
    """
    task = get_task(plan.task)
    frozen = start_states(task, split)
    assert frozen is not None
    oracle = OracleProvider()
    truth = oracle.plan(EpisodeSource(task, oracle, frozen, split).request(frozen[state], state))  # type: ignore[arg-type]
    away = np.linalg.norm(plan.keypoints - truth.keypoints, axis=2)
    return float(away[0].max()), float(away.mean())


def statistics(entries: Sequence[ScaffoldEntry]) -> list[PlanStats]:
    """Statistics of every task and split, in the order of their first plans."""
    groups: dict[tuple[str, str], list[ScaffoldEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.scaffold.task, entry.split), []).append(entry)
    result = []
    for (task, split), of_group in groups.items():
        valid = [entry for entry in of_group if entry.scaffold.valid]
        distances = [
            plan_distances(entry.scaffold, entry.state, split) for entry in valid if entry.state is not None
        ] or [(float("nan"), float("nan"))]
        reasons: dict[str, int] = {}
        for entry in of_group:
            if not entry.scaffold.valid:
                reason = entry.scaffold.reason[:80]
                reasons[reason] = reasons.get(reason, 0) + 1
        spent = [entry.scaffold.provenance for entry in of_group]
        at_start, along_path = np.median(distances, axis=0).tolist()
        result.append(
            PlanStats(
                task,
                split,
                len(of_group),
                len(valid),
                at_start,
                along_path,
                dict(sorted(reasons.items(), key=lambda item: -item[1])),
                sum(float(facts.get("usd", 0.0)) for facts in spent),
                sum(float(facts.get("seconds", 0.0)) for facts in spent),
            )
        )
    return result
