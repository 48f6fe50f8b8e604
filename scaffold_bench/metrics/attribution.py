"""Why episodes fail: keypoints, tracking (and the phase in which it was lost), or the plan (paper, 4.3 and Fig. 6).

A record says whether a plan was valid, tracked and successful. Older records do not say when tracking was lost and
whether the plan's keypoints were right; then the answer says so instead of guessing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scaffold_bench.records.episode import EpisodeRecord

NEVER = -1
"""The step of something that did not happen."""
KEYPOINT_ERROR = 0.05
"""Metres between a planned keypoint's first place and the oracle's above which it is wrong (ours): off anything
that a hand holds."""
STAYED_BEHIND = 15
"""Control steps after the plan left (0.25 s) within which a loss means that the object was not taken along (ours)."""

KEYPOINTS = ("keypoints right", "keypoints wrong", "keypoints not checked", "no plan")
TRACKING = ("tracked", "lost in approach", "lost in grasp", "lost in transport", "lost, phase unknown", "not tracked")
OUTCOME = ("solved", "failed")
CAUSES = (
    "tracked and solved",
    "partly tracked yet solved",
    "no plan",
    "keypoint error",
    "lost in approach",
    "lost in grasp",
    "lost in transport",
    "lost, phase unknown",
    "tracked but failed",
)


@dataclass(frozen=True)
class Attribution:
    """An episode's way through :data:`KEYPOINTS`, :data:`TRACKING` and :data:`OUTCOME`: one name of each."""

    keypoints: str
    tracking: str
    outcome: str

    @property
    def cause(self) -> str:
        """One of :data:`CAUSES`: for a failure, the first thing that went wrong."""
        if self.outcome == "solved":
            return "tracked and solved" if self.tracking == "tracked" else "partly tracked yet solved"
        if self.keypoints == "no plan":
            return "no plan"
        if self.keypoints == "keypoints wrong":
            return "keypoint error"
        return "tracked but failed" if self.tracking == "tracked" else self.tracking


def lost_in(record: EpisodeRecord) -> str:
    """The phase in which tracking was lost, for an episode in which it was.

    *Approach*: no fingertip had touched anything. *Grasp*: touched, but the object did not go along when the plan left.
    *Transport*: it went along and was lost later.
    """
    lost, contact, leave = record.lost_step, record.contact_step, record.leave_step
    if lost is None or lost == NEVER or contact is None:
        return "lost, phase unknown"
    if contact == NEVER or contact >= lost:
        return "lost in approach"
    if leave is None:
        return "lost, phase unknown"
    return "lost in grasp" if leave == NEVER or lost <= leave + STAYED_BEHIND else "lost in transport"


def attribute(record: EpisodeRecord) -> Attribution:
    """An episode's way through plan, tracking and outcome."""
    outcome = "solved" if record.success_once else "failed"
    if record.failure == "plan":
        return Attribution("no plan", "not tracked", outcome)
    if record.keypoint_error is None:
        keypoints = "keypoints not checked"
    else:
        keypoints = "keypoints wrong" if record.keypoint_error > KEYPOINT_ERROR else "keypoints right"
    tracking = "tracked" if record.tracked_fraction == 1.0 else lost_in(record)
    return Attribution(keypoints, tracking, outcome)


def count_causes(attributions: Iterable[Attribution]) -> dict[str, int]:
    """Episodes per cause, in the order of :data:`CAUSES`; causes without any are left out."""
    counts = Counter(attribution.cause for attribution in attributions)
    return {cause: counts[cause] for cause in CAUSES if counts[cause]}


def flows(attributions: Iterable[Attribution]) -> list[tuple[str, str, int]]:
    """The flow of episodes: (from, to, episodes), keypoints to tracking and tracking to outcome, in order."""
    counts: Counter[tuple[str, str]] = Counter()
    for attribution in attributions:
        counts[attribution.keypoints, attribution.tracking] += 1
        counts[attribution.tracking, attribution.outcome] += 1
    order = {name: place for place, name in enumerate((*KEYPOINTS, *TRACKING, *OUTCOME))}
    return [(*pair, counts[pair]) for pair in sorted(counts, key=lambda pair: (order[pair[0]], order[pair[1]]))]
