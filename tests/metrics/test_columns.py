"""The one table of what is shown: every column reads a field that exists, in its unit."""

from __future__ import annotations

import dataclasses

import pytest

from scaffold_bench.metrics import Interval, TaskSummary
from scaffold_bench.metrics.columns import COLUMNS, INTERQUARTILE_MEAN, SUCCESS_ONCE, failures
from scaffold_bench.submissions.model import Aggregates, TaskScores

SUMMARY = TaskSummary(
    task="hammer",
    episodes=20,
    states=10,
    success_once=Interval(0.75, 0.5, 0.875),
    success_at_end=Interval(0.25, 0.0, 0.5),
    tracking_error=0.0123,
    tracked_fraction=0.5,
    tips_in_contact=2.25,
    grip_force=18.04,
    failures={"tracking": 5},
)
SHOWN = {
    "success once, %": "75.0 [50.0, 87.5]",
    "success at end, %": "25.0 [0.0, 50.0]",
    "tracking error, cm": "1.2",
    "tracked, %": "50.0",
    "tips in contact": "2.2",
    "grip, N": "18.0",
}


def test_every_column_shows_its_field_in_its_unit() -> None:
    assert {column.heading: column.of_task(SUMMARY) for column in COLUMNS} == SHOWN
    assert SUCCESS_ONCE.of_task(SUMMARY, interval=False) == "75.0"


def test_columns_read_summaries_and_submissions_alike() -> None:
    for column in COLUMNS:
        assert column.field in TaskSummary.__dataclass_fields__
        assert column.field in TaskScores.model_fields
    for column in (*COLUMNS, INTERQUARTILE_MEAN):
        assert column.overall == "" or column.overall in Aggregates.model_fields


def test_only_what_has_a_mean_over_tasks_shows_one() -> None:
    means = dataclasses.make_dataclass("Means", ["mean_success_once", "mean_success_at_end"])(0.5, Interval(0.25, 0, 1))
    assert [column.of_all(means) for column in COLUMNS] == ["50.0", "25.0 [0.0, 100.0]", "", "", "", ""]


def test_a_summary_comes_back_from_its_dictionary() -> None:
    assert TaskSummary.from_dict(dataclasses.asdict(SUMMARY)) == SUMMARY
    with pytest.raises(KeyError, match="success_at_end"):
        TaskSummary.from_dict({"success_once": {"mean": 1, "low": 1, "high": 1}})


def test_failures_are_named_by_cause_and_successes_are_none() -> None:
    assert failures({"tracked and solved": 5, "partly tracked yet solved": 2}) == "–"
    assert failures({"tracked and solved": 5, "no plan": 2, "keypoint error": 1}) == "2 no plan, 1 keypoint error"
