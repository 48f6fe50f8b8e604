"""Where things are in the pictures; ``templates/charts.html.j2`` draws them as inline SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaffold_bench.metrics.attribution import KEYPOINTS, OUTCOME, TRACKING

GRID = (0, 25, 50, 75, 100)
SANKEY_WIDTH, SANKEY_HEIGHT, NODE_WIDTH, NODE_GAP = 380, 280, 10, 26
"""Pixels; as wide as a phone, so that the labels keep their size."""
SANKEY_TOP, COLUMN_LEFT = 30, (0, 160, SANKEY_WIDTH - NODE_WIDTH)
PLOT_WIDTH, PLOT_HEIGHT, PLOT_LEFT, PLOT_BOTTOM = 380, 240, 34, 36
"""Pixels of a picture with axes, its numbers included."""
COLUMNS = {"plan": KEYPOINTS, "tracking": TRACKING, "outcome": OUTCOME}
GOOD = {"keypoints right", "tracked", "solved"}
NEUTRAL = {"keypoints not checked"}


def plot_x(share: float) -> str:
    """Where a share of the horizontal axis is, pixels."""
    return f"{PLOT_LEFT + share * (PLOT_WIDTH - PLOT_LEFT - 16):.1f}"


def plot_y(share: float) -> str:
    """Where a share of the vertical axis is, pixels downwards."""
    return f"{8 + (1 - share) * (PLOT_HEIGHT - PLOT_BOTTOM - 8):.1f}"


def polyline(points: Iterable[tuple[float, float]]) -> str:
    """The ``points`` attribute of a line through shares (along, upwards)."""
    return " ".join(f"{plot_x(along)},{plot_y(up)}" for along, up in points)


@dataclass(frozen=True)
class Node:
    """What became of some episodes: a bar in a column, pixels, with the share of all episodes."""

    name: str
    kind: str
    share: float
    column: int
    y: float
    height: float

    @property
    def x(self) -> int:
        """Its left edge."""
        return COLUMN_LEFT[self.column]

    @property
    def label_x(self) -> int:
        """Where its label begins, or ends in the last column."""
        return self.x - 5 if self.column == len(COLUMNS) - 1 else self.x + NODE_WIDTH + 5


@dataclass(frozen=True)
class Ribbon:
    """Episodes that went from one node to another: its outline as an SVG path."""

    title: str
    kind: str
    path: str


@dataclass(frozen=True)
class Sankey:
    """The ways of episodes through plan, tracking and outcome."""

    nodes: list[Node]
    ribbons: list[Ribbon]
    description: str


def sankey(flow: Sequence[tuple[str, str, int]]) -> Sankey:
    """Lay out the ways of episodes.

    Args:
        flow: (from, to, episodes), as :func:`scaffold_bench.metrics.flows` gives them.
    """
    leaving, reaching = Counter[str](), Counter[str]()
    for source, target, count in flow:
        leaving[source] += count
        reaching[target] += count
    episodes = leaving | reaching  # the larger of the two
    columns = [[name for name in names if episodes[name]] for names in COLUMNS.values()]
    total = sum(episodes[name] for name in columns[0]) or 1
    unit = (SANKEY_HEIGHT - NODE_GAP * (max(map(len, columns)) - 1)) / total
    nodes: dict[str, Node] = {}
    for place, names in enumerate(columns):
        y = float(SANKEY_TOP)
        for name in names:
            height = max(episodes[name] * unit, 1)
            nodes[name] = Node(name, _kind(name), episodes[name] / total, place, y, height)
            y += height + NODE_GAP
    start, end = ({name: node.y for name, node in nodes.items()} for _ in range(2))
    ribbons = []
    for source, target, count in flow:
        height, y1, y2 = count * unit, start[source], end[target]
        start[source], end[target] = y1 + height, y2 + height
        x1, x2 = nodes[source].x + NODE_WIDTH, nodes[target].x
        middle = (x1 + x2) / 2
        path = (
            f"M{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f} "
            f"V{y2 + height:.1f} C{middle:.1f},{y2 + height:.1f} {middle:.1f},{y1 + height:.1f} "
            f"{x1:.1f},{y1 + height:.1f} Z"
        )
        ribbons.append(Ribbon(f"{source} to {target}: {count}", _kind(target), path))
    description = "; ".join(f"{source} to {target}: {count} episodes" for source, target, count in flow)
    return Sankey(list(nodes.values()), ribbons, description)


def _kind(name: str) -> str:
    return "good" if name in GOOD else "neutral" if name in NEUTRAL else "bad"
