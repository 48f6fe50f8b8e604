"""What is shown of a task's scores: one table of names, units and formats for the terminal, the pages and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaffold_bench.metrics.bootstrap import Spread


@dataclass(frozen=True)
class Column:
    """A number that is shown of every task.

    Attributes:
        field: of :class:`scaffold_bench.metrics.TaskSummary`; a number, or a mean with its interval.
        name, unit: what a reader calls it; the unit is "" for a plain number.
        factor: what the field is multiplied by to have that unit.
        meaning: a sentence for readers, without its subject and full stop.
        overall: the field of the aggregates with its mean over tasks, "" if there is none.
    """

    field: str
    name: str
    unit: str
    factor: float
    meaning: str
    overall: str = ""

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def text(self, value: Spread | float, interval: bool = True) -> str:
        """A value of the field in the column's unit: ``1.6``, ``99.8 [99.4, 100.0]``, or the latter's mean only."""
        if isinstance(value, (int, float)):
            return f"{self.factor * value:.1f}"
        brackets = f" [{self.text(value.low)}, {self.text(value.high)}]" if interval else ""
        return self.text(value.mean) + brackets

    def of_task(self, summary: object, interval: bool = True) -> str:
        """The text for a task's summary."""
        return self.text(getattr(summary, self.field), interval)

    def of_all(self, aggregates: object) -> str:
        """The text for the mean over tasks, "" if there is none."""
        return self.text(getattr(aggregates, self.overall)) if self.overall else ""


COLUMNS = (
    Column(
        "success_once",
        "success once",
        "%",
        100,
        "share of episodes solved at some step; the headline",
        "mean_success_once",
    ),
    Column(
        "success_at_end", "success at end", "%", 100, "share of episodes solved at the last step", "mean_success_at_end"
    ),
    Column("tracking_error", "tracking error", "cm", 100, "mean distance of the keypoints from their plan"),
    Column("tracked_fraction", "tracked", "%", 100, "share of steps with every keypoint within the task's threshold"),
    Column(
        "tips_in_contact", "tips in contact", "", 1, "mean number of fingertips on the task's bodies while any touches"
    ),
    Column("grip_force", "grip", "N", 1, "mean of the largest fingertip force while any touches"),
)
SUCCESS_ONCE, SUCCESS_AT_END = COLUMNS[:2]
INTERQUARTILE_MEAN = Column(
    "", "interquartile mean", "%", 100, "of success once, over tasks", "interquartile_mean_success_once"
)
WHY_IT_FAILED = "why it failed"


def failures(causes: Mapping[str, int]) -> str:
    """Episodes by cause of failure, ``4 tracked but failed``; a dash if none failed."""
    return ", ".join(f"{count} {cause}" for cause, count in causes.items() if "solved" not in cause) or "–"
