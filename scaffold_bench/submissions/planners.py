"""Planners in a submission: their names are judged by the grammar (``planner_names``), not looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scaffold_bench.planner_names import MAX_NESTING, PlannerName, parse

KEPT = r"[a-z0-9][a-z0-9-]*"
"""Name of a plan set that ships with the package; no path."""
REMADE: Mapping[str, Mapping[str, str]] = {
    "oracle": {"waypoints": "[0-9]{1,3}"},
    "recorded": {},
    "recorded:train": {"set": KEPT},
    "noise": {"flip": "[xy]", "seed": "[0-9]{1,9}"},
}
"""Planners that make the same plans everywhere from what ships with the package, and the values of their options."""


def without_folders(name: str) -> str:
    """A planner's name without the folders of files in it, which say nothing and may be private."""
    return re.sub(r"[^:+=&?]*[/\\]", "", name)


def can_be_made_again(name: str, nesting: int = MAX_NESTING) -> bool:
    """Whether a planner reads no file of anybody's, calls no service and makes the same plans again."""
    found = parse(name)
    if nesting == 0 or (found.base in ("mix", "noise") and not found.parts):
        return False
    if found.base != "mix" and not (found.base in REMADE and _only_has(found, REMADE[found.base])):
        return False
    if found.base == "recorded" and not re.fullmatch(KEPT, found.source):
        return False
    return all(can_be_made_again(part, nesting - 1) for way in found.parts for part in way)


def _only_has(name: PlannerName, options: Mapping[str, str]) -> bool:
    """Whether a name is written in the plain way, with these options at most, in this order, of these values."""
    keys = [key for key, _ in name.options]
    return (
        name.canonical == name.text
        and (name.base != "noise" or re.fullmatch(r"[0-9]+(\.[0-9]+)?", name.sigma) is not None)
        and keys == [key for key in options if key in keys]
        and all(re.fullmatch(options[key], value) for key, value in name.options)
    )


def noise_of(name: str) -> float | None:
    """Standard deviation of the noise on the oracle's plans, metres; None for plans that are something else."""
    found = parse(name)
    if found.base == "noise" and found.parts == (("oracle",),):
        return float(found.sigma) if _only_has(found, {"seed": "[0-9]+"}) and float(found.sigma) <= 1.0 else None
    return 0.0 if name == "oracle" else None


def usual_track(name: str) -> str:
    """The track that a planner belongs to, unless its user says otherwise."""
    found = parse(name)
    made_by = found.source or found.base
    if re.fullmatch(r"oracle(-[0-9]+)?", made_by) and _only_has(found, {"waypoints": "[0-9]+"}):
        return "oracle"
    if found.base == "recorded:train":
        return "pre-recorded"
    if re.match(r"simulated-vlm(-|\?|$)", made_by):
        return "simulated-vlm"
    if found.base == "vlm":
        shots = dict(found.options).get("shots", "0")
        return "vlm-few-shot" if re.match("[1-9]", shots) else "vlm-zero-shot"
    return "open"
