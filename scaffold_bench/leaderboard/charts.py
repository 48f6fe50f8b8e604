"""Pictures as inline SVG: intervals, bars, curves, and the ways of episodes through plan, tracking and outcome."""

from __future__ import annotations

from collections.abc import Sequence

from scaffold_bench.leaderboard.html import Markup, tag
from scaffold_bench.metrics import Profile
from scaffold_bench.metrics.attribution import KEYPOINTS, OUTCOME, TRACKING
from scaffold_bench.submissions.model import Score

GRID = (0, 25, 50, 75, 100)
SANKEY_WIDTH, SANKEY_HEIGHT, NODE_WIDTH, NODE_GAP = 380, 280, 10, 26
"""Pixels; as wide as a phone, so that the labels keep their size."""
PLOT_WIDTH, PLOT_HEIGHT, PLOT_LEFT, PLOT_BOTTOM = 380, 240, 34, 36
"""Pixels of a picture with axes, its numbers included."""
COLUMNS = (("plan", KEYPOINTS), ("tracking", TRACKING), ("outcome", OUTCOME))
GOOD = {"keypoints right", "tracked", "solved"}
NEUTRAL = {"keypoints not checked"}

Bands = Sequence[tuple[str, str, int]]


def percent(share: float) -> str:
    """A share as a number of per cent."""
    return f"{100 * share:.1f}"


def told(score: Score) -> str:
    """A score in words."""
    return f"{percent(score.mean)} % [{percent(score.low)}, {percent(score.high)}]"


def _at(share: float) -> str:
    return f"{100 * share:.2f}%"


def interval(score: Score, bar: bool = False) -> Markup:
    """A score on a scale from 0 to 100 %; as wide as its place on the page.

    Args:
        score: the score. bar: draw a bar from 0 to the mean as well.
    """
    grid = [tag("line", x1=f"{at}%", x2=f"{at}%", y1=0, y2=24, class_="grid") for at in GRID]
    filled = tag("rect", x=0, y=5, width=_at(score.mean), height=14, class_="bar") if bar else None
    whiskers = [
        tag("line", x1=_at(score.low), x2=_at(score.high), y1=12, y2=12, class_="range"),
        *(tag("line", x1=_at(end), x2=_at(end), y1=7, y2=17, class_="range") for end in (score.low, score.high)),
    ]
    mean = tag("circle", cx=_at(score.mean), cy=12, r=4.5, class_="point")
    return tag("svg", grid, filled, whiskers, mean, class_="interval", role="img", aria_label=told(score))


def scale() -> Markup:
    """The numbers that belong above a column of intervals."""
    return tag("span", [tag("span", f"{at}") for at in (0, 50, 100)], class_="scale", aria_hidden="true")


def _plot(title: str, ticks: Sequence[tuple[float, str]], unit: str, *marks: Markup) -> Markup:
    """Axes around marks: shares in per cent upwards, something else along. Marks use :func:`_x` and :func:`_y`."""
    lines = [tag("line", x1=_x(0), x2=_x(1), y1=_y(at / 100), y2=_y(at / 100), class_="grid") for at in GRID]
    shares = [
        tag("text", f"{at}", x=PLOT_LEFT - 6, y=f"{float(_y(at / 100)) + 4:.1f}", text_anchor="end") for at in GRID
    ]
    along = [tag("text", text, x=_x(at), y=PLOT_HEIGHT - PLOT_BOTTOM + 18, text_anchor="middle") for at, text in ticks]
    name = tag("text", unit, x=_x(0.5), y=PLOT_HEIGHT - 3, text_anchor="middle", class_="title")
    box = f"0 0 {PLOT_WIDTH} {PLOT_HEIGHT}"
    return tag("svg", lines, shares, along, name, marks, class_="plot", viewBox=box, role="img", aria_label=title)


def _x(share: float) -> str:
    return f"{PLOT_LEFT + share * (PLOT_WIDTH - PLOT_LEFT - 16):.1f}"


def _y(share: float) -> str:
    return f"{8 + (1 - share) * (PLOT_HEIGHT - PLOT_BOTTOM - 8):.1f}"


def curve(points: Sequence[tuple[float, Score]], unit: str) -> Markup:
    """Scores over a number, as success over noise.

    Args:
        points: (number, score), by number. unit: what the numbers are, for the axis.
    """
    furthest = max(at for at, _ in points) or 1.0
    places = [(_x(at / furthest), score) for at, score in points]
    ranges = [tag("line", x1=x, x2=x, y1=_y(s.low), y2=_y(s.high), class_="range") for x, s in places]
    dots = [tag("circle", cx=x, cy=_y(s.mean), r=4.5, class_="point") for x, s in places]
    line = tag("polyline", points=" ".join(f"{x},{_y(s.mean)}" for x, s in places), class_="line line-0")
    ticks = [(at / furthest, f"{at:g}") for at, _ in points]
    return _plot("; ".join(f"{at:g}: {told(score)}" for at, score in points), ticks, unit, line, *ranges, *dots)


def profiles(curves: Sequence[tuple[str, Profile]]) -> Markup:
    """Performance profiles: the share of start states on which a method scores more than a threshold."""
    lines = []
    for number, (name, profile) in enumerate(curves):
        way = " ".join(f"{_x(t)},{_y(s)}" for t, s in zip(profile.thresholds, profile.share, strict=True))
        lines.append(tag("polyline", tag("title", name), points=way, class_=f"line line-{number}"))
    ticks = [(at / 100, f"{at}") for at in GRID]
    return _plot("Performance profiles", ticks, "share of trials that must be exceeded, %", *lines)


def _kind(name: str) -> str:
    return "good" if name in GOOD else "neutral" if name in NEUTRAL else "bad"


def _heights(bands: Bands) -> dict[str, int]:
    """Episodes through every node that has any."""
    outgoing: dict[str, int] = {}
    incoming: dict[str, int] = {}
    for source, target, count in bands:
        outgoing[source] = outgoing.get(source, 0) + count
        incoming[target] = incoming.get(target, 0) + count
    return {name: max(outgoing.get(name, 0), incoming.get(name, 0)) for name in {**outgoing, **incoming}}


def sankey(bands: Bands) -> Markup:
    """The ways of episodes: what became of the plan, of its tracking and of the task.

    Args:
        bands: (from, to, episodes), as :func:`scaffold_bench.metrics.flows` gives them.
    """
    heights = _heights(bands)
    columns = [[name for name in names if heights.get(name)] for _, names in COLUMNS]
    total = sum(heights[name] for name in columns[0]) or 1
    unit = (SANKEY_HEIGHT - NODE_GAP * (max(len(column) for column in columns) - 1)) / total
    left = [0, 160, SANKEY_WIDTH - NODE_WIDTH]
    top: dict[str, float] = {}
    nodes: list[Markup] = []
    labels: list[Markup] = []
    for place, column in enumerate(columns):
        y = 30.0
        for name in column:
            height, kind = max(heights[name] * unit, 1), _kind(name)
            top[name] = y
            nodes.append(
                tag(
                    "rect", x=left[place], y=f"{y:.1f}", width=NODE_WIDTH, height=f"{height:.1f}", class_=f"node {kind}"
                )
            )
            labels.append(_label(name, place, left[place], y + height / 2 - 6))
            labels.append(
                _label(f"{percent(heights[name] / total)} %", place, left[place], y + height / 2 + 7, "share")
            )
            y += height + NODE_GAP
        at, anchor = ((left[place], "start"), (left[place], "start"), (SANKEY_WIDTH, "end"))[place]
        labels.append(tag("text", COLUMNS[place][0], x=at, y=12, text_anchor=anchor, class_="title"))
    return tag(
        "svg",
        _ribbons(bands, columns, left, dict(top), dict(top), unit),
        nodes,
        labels,
        class_="sankey",
        viewBox=f"0 0 {SANKEY_WIDTH} {SANKEY_HEIGHT + 44}",
        role="img",
        aria_label="; ".join(f"{source} to {target}: {count} episodes" for source, target, count in bands),
    )


def _label(text: str, column: int, x: float, y: float, kind: str = "") -> Markup:
    """A label right of its node, or left of it in the last column."""
    last = column == len(COLUMNS) - 1
    at = x - 5 if last else x + NODE_WIDTH + 5
    anchor = "end" if last else "start"
    return tag("text", text, x=at, y=f"{y + 4:.1f}", text_anchor=anchor, class_=kind or None)


def _ribbons(
    bands: Bands,
    columns: Sequence[Sequence[str]],
    left: Sequence[float],
    start: dict[str, float],
    end: dict[str, float],
    unit: float,
) -> list[Markup]:
    """The bands. ``start``, ``end``: where the next one leaves and reaches each node, pixels; used up."""
    column_of = {name: place for place, column in enumerate(columns) for name in column}
    made = []
    for source, target, count in bands:
        height, y1, y2 = count * unit, start[source], end[target]
        start[source], end[target] = y1 + height, y2 + height
        x1, x2 = left[column_of[source]] + NODE_WIDTH, left[column_of[target]]
        middle = (x1 + x2) / 2
        path = (
            f"M{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f} "
            f"V{y2 + height:.1f} C{middle:.1f},{y2 + height:.1f} {middle:.1f},{y1 + height:.1f} "
            f"{x1:.1f},{y1 + height:.1f} Z"
        )
        made.append(tag("path", tag("title", f"{source} to {target}: {count}"), d=path, class_=f"band {_kind(target)}"))
    return made
