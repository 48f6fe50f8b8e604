"""Planted causes come out as what they are; what is not known is not guessed."""

import pytest
from test_summary import record

from scaffold_bench.metrics import attribute, count_causes, flows
from scaffold_bench.metrics.attribution import CAUSES, KEYPOINT_ERROR, KEYPOINTS, OUTCOME, STAYED_BEHIND, TRACKING

TRACKED = dict(success=False, failure="task", tracked_fraction=1.0)
LOST = dict(success=False, failure="tracking", tracked_fraction=0.4)
LEAVES = 100
"""Frame at which the plan takes the object away."""


def facts(lost, contact, error=0.0, leave=LEAVES):
    return dict(lost_step=lost, contact_step=contact, leave_step=leave, keypoint_error=error)


PLANTED = {
    "solved": (record(0, **facts(-1, 80)), "tracked and solved"),
    "solved though lost": (record(0, tracked_fraction=0.9, **facts(200, 80)), "partly tracked yet solved"),
    "solved though keypoints wrong": (record(0, **facts(-1, 80, error=1.0)), "tracked and solved"),
    "no plan": (record(0, success=False, failure="plan", tracked_fraction=0.1, **facts(5, -1)), "no plan"),
    "keypoints on the table": (record(0, **TRACKED, **facts(-1, 80, error=0.2)), "keypoint error"),
    "keypoints wrong and lost": (record(0, **LOST, **facts(120, 80, error=0.2)), "keypoint error"),
    "keypoints just right": (record(0, **TRACKED, **facts(-1, 80, error=KEYPOINT_ERROR)), "tracked but failed"),
    "never touched": (record(0, **LOST, **facts(LEAVES, -1)), "lost in approach"),
    "knocked over by the back of the hand": (record(0, **LOST, **facts(40, -1)), "lost in approach"),
    "touched only after it was lost": (record(0, **LOST, **facts(60, 90)), "lost in approach"),
    "knocked over while grasping": (record(0, **LOST, **facts(70, 50)), "lost in grasp"),
    "left behind": (record(0, **LOST, **facts(LEAVES, 60)), "lost in grasp"),
    "slipped at once": (record(0, **LOST, **facts(LEAVES + STAYED_BEHIND, 60)), "lost in grasp"),
    "dropped": (record(0, **LOST, **facts(LEAVES + STAYED_BEHIND + 1, 60)), "lost in transport"),
    "dropped at the end": (record(0, **LOST, **facts(290, 60)), "lost in transport"),
    "tool pushed out of place": (record(0, **LOST, **facts(250, 60, leave=-1)), "lost in grasp"),
    "tracked, wrong plan": (record(0, **TRACKED, **facts(-1, 60)), "tracked but failed"),
}


@pytest.mark.parametrize(("episode", "cause"), PLANTED.values(), ids=PLANTED)
def test_a_planted_cause_is_found(episode, cause):
    assert attribute(episode).cause == cause


def test_every_cause_is_planted_except_for_the_unknown_one():
    assert {cause for _, cause in PLANTED.values()} == set(CAUSES) - {"lost, phase unknown"}


@pytest.mark.parametrize(
    "known",
    [
        {},  # an older record
        {"lost_step": 120},
        {"contact_step": 80},
        {"lost_step": 120, "contact_step": 80},
        {"lost_step": -1, "contact_step": 80, "leave_step": LEAVES},  # contradicts that tracking was lost
    ],
)
def test_without_the_facts_the_phase_is_unknown(known):
    assert attribute(record(0, **LOST, **known)).cause == "lost, phase unknown"


def test_an_untouched_object_needs_no_plan_to_be_lost_in_approach():
    assert attribute(record(0, **LOST, lost_step=120, contact_step=-1)).cause == "lost in approach"


def test_unchecked_keypoints_are_called_so():
    assert attribute(record(0, **TRACKED)).keypoints == "keypoints not checked"
    assert attribute(record(0, **TRACKED, **facts(-1, 80))).keypoints == "keypoints right"


def test_causes_are_counted_in_order():
    found = [attribute(episode) for episode, _ in PLANTED.values()]
    counts = count_causes(found)
    assert list(counts) == [cause for cause in CAUSES if cause in counts]
    assert counts["lost in approach"] == 3
    assert sum(counts.values()) == len(PLANTED)


def test_flows_keep_every_episode_at_every_stage():
    found = [attribute(episode) for episode, _ in PLANTED.values()]
    bands = flows(found)
    first = [band for band in bands if band[0] in KEYPOINTS]
    second = [band for band in bands if band[1] in OUTCOME]
    assert len(first) + len(second) == len(bands)
    assert sum(count for *_, count in first) == sum(count for *_, count in second) == len(PLANTED)
    for node in TRACKING:  # what flows in flows out
        arriving = sum(count for _, target, count in first if target == node)
        assert arriving == sum(count for source, _, count in second if source == node)
    assert ("no plan", "not tracked", 1) in bands
    assert ("tracked", "failed", 3) in bands
