"""What is shown of entries and boards, the same on the pages, in the README and in ``docs/results.md``.

Texts come from submissions and are not escaped here: the templates and :mod:`scaffold_bench.submissions.text` do that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scaffold_bench.leaderboard.boards import MEAN, Board, Entry, Key, on_other_plans
from scaffold_bench.metrics import Interval, Profile
from scaffold_bench.metrics.columns import INTERQUARTILE_MEAN, SUCCESS_AT_END, SUCCESS_ONCE
from scaffold_bench.submissions.facts import evaluation, protocol_line, settings
from scaffold_bench.submissions.model import TRACK_NAMES, Score
from scaffold_bench.submissions.planners import noise_of
from scaffold_bench.submissions.suite import CURRENT

MAX_AUTHORS = 3
"""Authors that the ranking names."""


@dataclass(frozen=True)
class Method:
    """An entry as it is shown."""

    entry: Entry

    @property
    def name(self) -> str:
        return self.entry.submission.method.name

    @property
    def authors(self) -> str:
        """The first authors, with the settings of the environment if they are not the usual ones."""
        names = self.entry.submission.method.authors
        more = f" and {len(names) - MAX_AUTHORS} more" if len(names) > MAX_AUTHORS else ""
        changed = settings(self.entry.submission)
        return ", ".join(names[:MAX_AUTHORS]) + more + (f" · {changed}" if changed else "")

    @property
    def plans(self) -> str:
        """The planner's name."""
        return self.entry.submission.plans.provider

    @property
    def size(self) -> str:
        """Start states and trials of each."""
        return f"{self.entry.submission.protocol.states} × {self.entry.submission.protocol.trials}"

    @property
    def provenance(self) -> dict[str, str]:
        """Where the numbers come from."""
        submission, verification = self.entry.submission, self.entry.verification
        numerics = sorted({fingerprint or "unknown" for fingerprint in submission.evaluated.numerics})
        found = {
            "track": TRACK_NAMES[submission.track],
            **evaluation(submission),
            "fingerprints of its bits": ", ".join(numerics),
            "records": f"{submission.records.rows:,} episodes, SHA-256 {submission.records.sha256}",
        }
        if verification:
            found["re-run"] = f"{verification.identical} of {verification.sampled} episodes with the same bits"
        return found


@dataclass(frozen=True)
class Row:
    """A method in a ranking. ``shared``: another has the same place, because their intervals overlap."""

    place: int
    shared: bool
    method: Method
    score: Score
    at_end: Score


@dataclass(frozen=True)
class BoardView:
    """A board as it is shown: ``rankings`` by measure, best first; ``profiles`` by the method's name."""

    title: str
    protocol: str
    frozen: bool
    key: Key
    rankings: dict[str, list[Row]]
    profiles: list[tuple[str, Profile]]


@dataclass(frozen=True)
class MethodPage:
    """The page of a method.

    Attributes:
        tiles: its place, and its scores over all tasks, by their names.
        comparisons: methods next to it, with the probability that it does better.
        same_policy: all entries of the same policy, this one too; none if it is the only one.
        noise_curve: (noise on the oracle's plans in cm, success once) of those that ran as many episodes.
        replays, videos: addresses of its recorded episodes by title, and of its videos by task.
    """

    method: Method
    board: BoardView
    tiles: dict[str, Score | str]
    comparisons: list[tuple[Method, Interval]]
    same_policy: list[Method]
    noise_curve: list[tuple[float, Score]]
    replays: Mapping[str, str]
    videos: Mapping[str, str]


def board_view(board: Board) -> BoardView:
    """What is shown of a board."""
    submission = board.entries[0].submission
    return BoardView(
        title=TRACK_NAMES[board.key.track],
        protocol=protocol_line(submission),
        frozen=board.key.suite != CURRENT,
        key=board.key,
        rankings={
            measure: [
                Row(place, shared, Method(entry), score, _at_end(entry, measure))
                for place, shared, entry, score in board.ranking(measure)
            ]
            for measure in board.measures
        },
        profiles=[(entry.submission.method.name, profile) for entry, profile in board.profiles()],
    )


def _at_end(entry: Entry, measure: str) -> Score:
    numbers = entry.aggregates
    return numbers.mean_success_at_end if measure == MEAN else numbers.tasks[measure].success_at_end


def method_pages(
    board: Board,
    shown: BoardView,
    entries: Sequence[Entry],
    replays: Mapping[str, Mapping[str, str]],
    videos: Mapping[str, Mapping[str, str]],
) -> Iterator[MethodPage]:
    """The pages of a board's methods.

    Args:
        board, shown: the board. entries: those of all boards.
        replays, videos: addresses by title or task, by the entry's slug.
    """
    compared = board.comparisons()
    for row in shown.rankings[MEAN]:
        entry, numbers = row.method.entry, row.method.entry.aggregates
        same = on_other_plans(entry, entries)
        yield MethodPage(
            method=row.method,
            board=shown,
            tiles={
                "place": f"{row.place}{' (shared)' if row.shared else ''} of {len(board.entries)}",
                f"mean {SUCCESS_ONCE.heading}": row.score,
                INTERQUARTILE_MEAN.heading: numbers.interquartile_mean_success_once,
                f"mean {SUCCESS_AT_END.heading}": row.at_end,
            },
            comparisons=[(Method(other), share) for other, share in compared[entry.slug]],
            same_policy=[Method(other) for other in same],
            noise_curve=_noise_curve(entry, same),
            replays=replays.get(entry.slug, {}),
            videos=videos.get(entry.slug, {}),
        )


def _noise_curve(entry: Entry, same: Sequence[Entry]) -> list[tuple[float, Score]]:
    """Success once over the noise, cm; none of less than two points."""
    protocol = protocol_line(entry.submission)
    points = {
        round(100 * noise, 6): other.aggregates.mean_success_once
        for other in same
        if (noise := noise_of(other.submission.plans.provider)) is not None
        and protocol_line(other.submission) == protocol
    }
    return sorted(points.items(), key=lambda point: point[0]) if len(points) > 1 else []
