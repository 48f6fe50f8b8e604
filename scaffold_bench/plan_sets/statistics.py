"""Statistics of a plan set: validity, distance from the oracle's plans, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaffold_bench.plan import Scaffold
from scaffold_bench.plan_sets.make import requests
from scaffold_bench.scaffolds import OracleProvider, ScaffoldEntry


@dataclass(frozen=True)
class PlanStats:
    """Statistics of the plans of one task and split.

    Attributes:
        keypoint_error: median distance of the first keypoints from the oracle's, metres, over valid plans.
        path_error: median over valid plans of the mean distance from the oracle's path, metres.
        reasons: why plans are invalid, with the number of plans, the most frequent first.
        usd, seconds: dollars and time spent, as far as the provenance says.
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
    [(_, request)] = requests(plan.task, split, [state], privileged=True)
    truth = OracleProvider().plan(request)
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
        reasons = Counter(entry.scaffold.reason[:80] for entry in of_group if not entry.scaffold.valid)
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
                dict(reasons.most_common()),
                sum(float(facts.get("usd", 0.0)) for facts in spent),
                sum(float(facts.get("seconds", 0.0)) for facts in spent),
            )
        )
    return result
