"""Pictures are drawn where their numbers are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from structure import Structure, drawn

from scaffold_bench.leaderboard import charts
from scaffold_bench.metrics import Profile
from scaffold_bench.submissions.model import Score


@pytest.mark.parametrize("score", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.4, 0.6)])
def test_intervals_are_drawn_where_they_are(score: tuple[float, float, float]) -> None:
    mean, low, high = score
    made = drawn("charts", "interval", Score(mean=mean, low=low, high=high))
    assert f'cx="{100 * mean:.2f}%"' in made
    assert f'x1="{100 * low:.2f}%" x2="{100 * high:.2f}%"' in made
    assert f'aria-label="{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}] %"' in made


def test_the_ribbons_of_the_diagram_leave_and_reach_every_episode() -> None:
    flow = [
        ("keypoints right", "tracked", 6),
        ("keypoints right", "lost in grasp", 3),
        ("no plan", "not tracked", 1),
        ("tracked", "solved", 5),
        ("tracked", "failed", 1),
        ("lost in grasp", "failed", 3),
        ("not tracked", "failed", 1),
    ]
    found = Structure(drawn("charts", "sankey", flow))
    assert [element[0] for element in found.elements].count("path") == len(flow)
    for share in ("90.0 %", "10.0 %", "60.0 %", "30.0 %", "50.0 %"):
        assert share in found.text
    nodes = {node.name: node for node in charts.sankey(flow).nodes}
    assert nodes["solved"].height == pytest.approx(nodes["failed"].height)
    assert nodes["tracked"].height == pytest.approx(6 * nodes["not tracked"].height)
    assert "<path" not in drawn("charts", "sankey", [])


def test_a_curve_and_a_profile_are_where_their_numbers_are() -> None:
    points = [(0, Score(mean=1, low=1, high=1)), (2, Score(mean=0, low=0, high=0.5))]
    first, second = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn("charts", "curve", points, "cm"))
    assert float(first[0]) < float(second[0])
    assert float(first[1]) < float(second[1])  # downwards
    flat = Profile(*(np.array([0.0, 0.5]), *(np.array([0.25, 0.25]) for _ in range(3))))
    (line,) = re.findall(r'points="([^"]+)"', drawn("charts", "profiles", [("a", flat)]))
    assert len({point.split(",")[1] for point in line.split()}) == 1
