"""Names of planners (see ``scaffold_bench.scaffolds.names``) in a submission: text that is judged, not looked up."""

from __future__ import annotations

import re

ORACLE = r"(recorded:)?oracle(-\d+|\?waypoints=\d+)?"
KEPT = r"[a-z0-9][a-z0-9-]*"
"""Name of a plan set that ships with the package; no path."""
REMADE = (r"oracle(\?waypoints=\d{1,3})?", rf"recorded:{KEPT}", rf"recorded:train(\?set={KEPT})?")
"""Planners that make the same plans everywhere from what ships with the package."""
NOISE = r"noise\(\d+(\.\d+)?(,flip=[xy])?(,seed=\d{1,9})?\):"
MAX_NESTING = 8


def without_folders(name: str) -> str:
    """A planner's name without the folders of files in it, which say nothing and may be private."""
    return re.sub(r"[^:+=&?]*[/\\]", "", name)


def can_be_made_again(name: str, nesting: int = MAX_NESTING) -> bool:
    """Whether a planner reads no file of anybody's, calls no service and makes the same plans again."""
    if nesting == 0:
        return False
    if noise := re.match(NOISE, name):
        return can_be_made_again(name[noise.end() :], nesting - 1)
    if name.startswith("mix:"):
        keypoints, _, trajectory = name.removeprefix("mix:").partition("+")
        return can_be_made_again(keypoints, nesting - 1) and can_be_made_again(trajectory, nesting - 1)
    return any(re.fullmatch(pattern, name) for pattern in REMADE)


def noise_of(name: str) -> float | None:
    """Standard deviation of the noise on the oracle's plans, metres; None for plans that are something else."""
    if name == "oracle":
        return 0.0
    found = re.fullmatch(r"noise\((\d+(?:\.\d+)?)(?:,seed=\d+)?\):oracle", name)
    return float(found[1]) if found else None


def usual_track(name: str) -> str:
    """The track that a planner belongs to, unless its user says otherwise."""
    if re.fullmatch(ORACLE, name):
        return "oracle"
    if re.match(r"recorded:train(\?|$)", name):
        return "pre-recorded"
    if re.match(r"(recorded:)?simulated-vlm(-|\?|$)", name):
        return "simulated-vlm"
    if re.match(r"vlm(\?|$)", name):
        return "vlm-few-shot" if re.search(r"[?&]shots=[1-9]", name) else "vlm-zero-shot"
    return "open"
