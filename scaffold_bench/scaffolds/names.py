"""Short names of planners, as they are written on a command line.

    oracle                     the task's own plan                 oracle?waypoints=5   with another number of waypoints
    vlm?shots=3&examples=F     a vision-language model             recorded:NAME        a kept plan set, or a plan file
    recorded:train             training plans reused (paper's pre-recorded baseline)
    mix:A+B                    keypoints from A, trajectories from B
    noise(0.02):A              Gaussian noise in metres on A's plans; noise(0,flip=y):A mirrors its motion
    simulated-vlm              the vlm planner with a local stand-in (see scaffold_bench.synthetic_planner)

How names are written is in ``scaffold_bench.planner_names``. Others come from packages that declare an entry point in
the group ``scaffold_bench.providers``.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from scaffold_bench.plan import Planner
from scaffold_bench.planner_names import BUILTIN, MAX_NESTING, PlannerName, parse
from scaffold_bench.scaffolds.oracle import OracleProvider
from scaffold_bench.scaffolds.recorded import RecordedProvider, ReusedProvider, kept_sets, plan_file
from scaffold_bench.scaffolds.variants import MixedProvider, NoisyProvider

ENTRY_POINTS = "scaffold_bench.providers"
_made_by: dict[str, Callable[..., Planner]] = {}


def register_provider(name: str, make: Callable[..., Planner]) -> None:
    """Give a planner a short name; ``name?key=value`` calls ``make(key="value")``.

    Raises:
        ValueError: the name is taken, or is no name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"{name!r} cannot name a planner: use small letters, digits, - and _")
    if name in BUILTIN or name in _made_by:
        raise ValueError(f"a planner named {name!r} exists already; choose another name")
    _made_by[name] = make


def resolve_provider(scaffolds: str | Path | Planner) -> Planner:
    """The planner for a short name, the path of a plan file, or a planner object.

    Raises:
        ValueError: neither a known name nor an existing file, or an option that does not exist.
        TypeError: an object without ``plan`` and ``privileged``.
        InvalidScaffoldError: the file is not a valid plan file.
    """
    if isinstance(scaffolds, Path):
        return RecordedProvider(plan_file(scaffolds))
    if isinstance(scaffolds, str):
        return _named(scaffolds, MAX_NESTING)
    if isinstance(scaffolds, type):
        raise TypeError(
            f"scaffolds must be a planner object, got the class {scaffolds.__name__}; make one: {scaffolds.__name__}()"
        )
    if callable(getattr(scaffolds, "plan", None)) and hasattr(scaffolds, "privileged"):
        return scaffolds
    raise TypeError(
        f"scaffolds must be a planner's name, a path or an object with plan(request) and privileged, "
        f"got {type(scaffolds).__name__}"
    )


def _named(name: str, nesting: int) -> Planner:
    if nesting == 0:
        raise ValueError(f"planners are nested more than {MAX_NESTING} deep")
    if name.partition("?")[0] not in BUILTIN and os.path.isfile(name):
        return RecordedProvider(name)
    found = parse(name)
    if found.base == "noise" and found.parts:
        shown = found.text.removesuffix(f":{found.parts[0][0]}")
        settings = _options(shown, found.options, {"flip": str, "seed": int})
        settings |= _options(shown, (("sigma", found.sigma),), {"sigma": float})
        return NoisyProvider(_named(found.parts[0][0], nesting - 1), **settings)
    if found.base == "mix":
        return _mix(found, nesting)
    if found.base == "oracle":
        return OracleProvider(**_options(name, found.options, {"waypoints": int}))
    if found.base == "recorded:train":
        return ReusedProvider(plan_file(_options(name, found.options, {"set": str}).get("set", "oracle")))
    if found.base == "recorded":
        return RecordedProvider(plan_file(found.source))
    if found.base == "vlm":
        return _vlm(name, _options(name, found.options, VLM_OPTIONS))
    return _registered(name, found.base, dict(found.options))


def _mix(found: PlannerName, nesting: int) -> Planner:
    """Of the ways to divide a mix, the first that leads to two planners."""
    problem = ValueError(f"{found.text!r} must name two planners: mix:KEYPOINTS+TRAJECTORY")
    for keypoints, trajectory in found.parts:
        try:
            return MixedProvider(_named(keypoints, nesting - 1), _named(trajectory, nesting - 1))
        except ValueError as error:
            problem = error
    raise problem


def _registered(name: str, base: str, options: dict[str, str]) -> Planner:
    """A planner from outside."""
    make = _made_by.get(base)
    if make is None:
        points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if base not in points:
            known = [*BUILTIN, *_made_by, *points]
            nearest = difflib.get_close_matches(base, [*known, *kept_sets()], n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise ValueError(
                f"scaffolds={name!r} is neither a planner nor an existing plan file; {hint}planners are "
                f"{', '.join(known)}, kept plan sets (recorded:NAME) {', '.join(kept_sets())}"
            )
        make = points[base].load()
    try:
        made = make(**options)
    except TypeError as error:
        raise ValueError(f"cannot make the planner {name!r}: {error}") from error
    return resolve_provider(made)


VLM_OPTIONS: dict[str, Callable[[str], Any]] = {
    "model": str,
    "waypoints": int,
    "temperature": float,
    "thinking": int,
    "code": lambda value: bool(int(value)),
    "shots": int,
    "examples": str,
    "record": str,
    "replay": str,
    "attempts": int,
    "seconds": float,
    "timeout": float,
    "concurrency": int,
    "seed": int,
}


def _vlm(name: str, given: dict[str, Any]) -> Planner:
    from scaffold_bench.scaffolds.vlm.examples import load_examples
    from scaffold_bench.scaffolds.vlm.model import Budget, GeminiModel, Recording, VlmModel
    from scaffold_bench.scaffolds.vlm.provider import VlmProvider

    model: VlmModel = GeminiModel(concurrency=given.pop("concurrency", 8))
    if "replay" in given and "record" in given:
        raise ValueError(f"{name!r}: use either record= (ask and keep) or replay= (never ask)")
    if "replay" in given:
        model = Recording(Path(given.pop("replay")), None)
    elif "record" in given:
        model = Recording(Path(given.pop("record")), model)
    budget = Budget(**{key: given.pop(key) for key in ("attempts", "seconds", "timeout") if key in given})
    renamed = {"model": "name", "thinking": "thinking_budget", "code": "code_execution"}
    settings = {renamed.get(key, key): value for key, value in given.items()}
    if "examples" in settings:
        settings["examples"] = load_examples(Path(settings["examples"]))
    return VlmProvider(model, budget=budget, **settings)


def _options(
    name: str, given: tuple[tuple[str, str], ...], kinds: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """The options of a planner's name, each of its kind: text or a number.

    Raises:
        ValueError: there is no such option, or it is no number.
    """
    options = dict(given)
    if unknown := sorted(options.keys() - kinds.keys()):
        raise ValueError(f"{name!r} has the unknown option {', '.join(unknown)}; known are {', '.join(kinds)}")
    read = {}
    for key, value in options.items():
        try:
            read[key] = kinds[key](value)
        except ValueError:
            raise ValueError(f"{name!r}: {key} must be a number, got {value!r}") from None
    return read
