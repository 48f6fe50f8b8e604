"""Plan sets: made for many start states, compared with the oracle, mined for examples, refined."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.envs.episodes import check_plan
from scaffold_bench.envs.source import EpisodeSource
from scaffold_bench.envs.start_states import STATES_PER_SPLIT
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds import (
    OracleProvider,
    ScaffoldEntry,
    failed_scaffold,
    load_scaffolds,
    resolve_provider,
    save_scaffolds,
    scaffold_from_waypoints,
)
from scaffold_bench.scaffolds.vlm.examples import BEST, load_examples, save_examples
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.scaffolds.vlm.provider import example_of
from scaffold_bench.types import (
    EPISODE_STEPS,
    WRIST_DIM,
    CameraView,
    EpisodeRecord,
    InvalidScaffoldError,
    Scaffold,
    ScaffoldProvider,
    ScaffoldRequest,
    Waypoints,
)

SAVE_EVERY = 50
"""New plans after which an unfinished set is written, so that little is lost when it is interrupted."""
MAX_IMPORT_BYTES = 256 * 2**20


class _Asker:
    """Takes the place of a planner to be told what it would be asked."""

    def __init__(self, privileged: bool, sees: bool) -> None:
        self.privileged, self.sees = privileged, sees
        self.request: Any = None

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        """Remember the request."""
        self.request = request
        return failed_scaffold(request, "nobody was asked")


def requests(
    task: str, split: str, states: Iterable[int], privileged: bool = False, sees: bool = False
) -> Iterator[tuple[int, Any]]:
    """What a planner is asked for frozen start states; with a picture of each if it sees.

    Args:
        task: id or short name. split: "train" or "eval". states: indices.

    Raises:
        RuntimeError: pictures are wanted and nothing can render. ValueError: a state that does not exist.
    """
    made, asker = get_task(task), _Asker(privileged, sees)
    frozen = start_states(made, split)
    if frozen is None:
        raise ValueError(f"plans are made for frozen states, so split must be train or eval, got {split!r}")
    if sees:
        from scaffold_bench.registration import make_env

        env = make_env(task, scaffolds=asker, split=split)
        try:
            for state in states:
                env.reset(seed=0, options={"state": state})
                yield state, asker.request
        finally:
            env.close()
        return
    source = EpisodeSource(made, asker, frozen, split)
    for state in states:
        yield state, source.request(frozen[state], state)


def make_plans(
    provider: str | Path | ScaffoldProvider,
    tasks: Sequence[str],
    split: str,
    count: int,
    out: Path,
    workers: int = 8,
    retry_failed: bool = False,
    on_plan: Callable[[str, int, Scaffold], None] | None = None,
) -> list[ScaffoldEntry]:
    """Make plans for the first ``count`` frozen states of every task; what the file holds already is kept.

    The planner's name becomes part of every plan's provenance (``planner``).

    Args:
        provider: a planner's name or object. tasks: ids or short names. out: the plan file.
        workers: plans of a seeing planner under way at once (it waits for answers; pictures are taken one by one).
        retry_failed: make the invalid ones among the plans asked for again; the old one stays until then.
        on_plan: told task, state and plan of each as it is there.

    Returns:
        All plans of the file.

    Raises:
        InvalidScaffoldError: a planner returned a plan that does not fit its task, or ``out`` is no plan file.
        ValueError: ``out`` holds another planner's plans. RuntimeError: the planner cannot work here, e.g. has no key.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    planner = resolve_provider(provider)
    label = str(provider) if isinstance(provider, str | Path) else type(provider).__name__
    names = [get_task(name).spec.name for name in tasks]
    entries = _kept_plans(out, label)
    places = {(e.scaffold.task, e.split, e.state): place for place, e in enumerate(entries)}

    def is_missing(name: str, state: int) -> bool:
        place = places.get((name, split, state))
        return place is None or (retry_failed and not entries[place].scaffold.valid)

    missing = {name: [state for state in range(count) if is_missing(name, state)] for name in names}
    if any(missing.values()) and callable(check := getattr(planner, "check", None)):
        check()
    fresh = 0
    try:
        for name, state, plan in _planned(planner, missing, split, workers):
            check_plan(plan, get_task(name).spec)
            entry = ScaffoldEntry(replace(plan, provenance={**plan.provenance, "planner": label}), split, state)
            if (place := places.get((name, split, state))) is None:
                entries.append(entry)
            else:
                entries[place] = entry
            if on_plan is not None:
                on_plan(name, state, plan)
            fresh += 1
            if fresh % SAVE_EVERY == 0 and getattr(planner, "sees", False):
                save_scaffolds(out, entries)
    finally:
        order = {name: position for position, name in enumerate(names)}
        entries.sort(key=lambda e: (order.get(e.scaffold.task, len(order)), e.scaffold.task, e.split, e.state or 0))
        if fresh:
            save_scaffolds(out, entries)
    return entries


def _kept_plans(path: Path, planner: str) -> list[ScaffoldEntry]:
    """The plans a file holds already.

    Raises:
        ValueError: another planner made them.
    """
    entries = load_scaffolds(path).with_states() if path.is_file() else []
    others = {str(entry.scaffold.provenance.get("planner", planner)) for entry in entries} - {planner}
    if others:
        raise ValueError(f"{path} holds plans of {', '.join(sorted(others))}, not of {planner}; choose another --out")
    return entries


def _planned(
    planner: ScaffoldProvider, missing: Mapping[str, Sequence[int]], split: str, workers: int
) -> Iterator[tuple[str, int, Scaffold]]:
    """Plans as they are made; those of a planner that waits for answers side by side."""
    sees = bool(getattr(planner, "sees", False))
    pool = ThreadPoolExecutor(workers if sees else 1)
    running: dict[Future[Scaffold], tuple[str, int]] = {}
    try:
        for name, states in missing.items():
            if not states:
                continue
            for state, request in requests(name, split, states, planner.privileged, sees):
                if not sees:
                    yield name, state, planner.plan(request)
                    continue
                running[pool.submit(planner.plan, request)] = (name, state)
                while len(running) >= 2 * workers:
                    yield from _finished(running)
        while running:
            yield from _finished(running)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who interrupts does not wait for answers


def _finished(running: dict[Future[Scaffold], tuple[str, int]]) -> Iterator[tuple[str, int, Scaffold]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield (*running.pop(future), future.result())


# ------------------------------------------------------------------------------------------------------- statistics
@dataclass(frozen=True)
class PlanStats:
    """What a set's plans of one task and split are like.

    Attributes:
        plans, valid: numbers of them. reasons: why plans are invalid, with counts.
        keypoint_error: median distance of the first keypoints from the oracle's, metres, over valid plans.
        path_error: median over valid plans of the mean distance from the oracle's path, metres.
        usd, seconds: spent on them, where provenance tells.
    """

    task: str
    split: str
    plans: int
    valid: int
    keypoint_error: float
    path_error: float
    reasons: dict[str, int]
    usd: float
    seconds: float


def plan_distances(plan: Scaffold, state: int, split: str) -> tuple[float, float]:
    """Distance of a plan from the oracle's for the same start, metres: at the start (the worst keypoint) and the mean
    over the path."""
    task = get_task(plan.task)
    frozen = start_states(task, split)
    assert frozen is not None
    oracle = OracleProvider()
    truth = oracle.plan(EpisodeSource(task, oracle, frozen, split).request(frozen[state], state))  # type: ignore[arg-type]
    away = np.linalg.norm(plan.keypoints - truth.keypoints, axis=2)
    return float(away[0].max()), float(away.mean())


def statistics(entries: Sequence[ScaffoldEntry]) -> list[PlanStats]:
    """Statistics for every task and split, in the order they come."""
    groups: dict[tuple[str, str], list[ScaffoldEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.scaffold.task, entry.split), []).append(entry)
    result = []
    for (task, split), of_group in groups.items():
        valid = [entry for entry in of_group if entry.scaffold.valid]
        distances = [
            plan_distances(entry.scaffold, entry.state, split) for entry in valid if entry.state is not None
        ] or [(float("nan"), float("nan"))]
        reasons: dict[str, int] = {}
        for entry in of_group:
            if not entry.scaffold.valid:
                reason = entry.scaffold.reason[:80]
                reasons[reason] = reasons.get(reason, 0) + 1
        spent = [entry.scaffold.provenance for entry in of_group]
        at_start, along_path = np.median(distances, axis=0).tolist()
        result.append(
            PlanStats(
                task,
                split,
                len(of_group),
                len(valid),
                at_start,
                along_path,
                dict(sorted(reasons.items(), key=lambda item: -item[1])),
                sum(float(facts.get("usd", 0.0)) for facts in spent),
                sum(float(facts.get("seconds", 0.0)) for facts in spent),
            )
        )
    return result


# ------------------------------------------------------------------------------------------------------- examples
def best_examples(
    entries: Sequence[ScaffoldEntry], records: Sequence[EpisodeRecord], count: int = BEST
) -> dict[str, list[tuple[Example, int, float]]]:
    """The plans that succeeded best on training states, for each task.

    Args:
        entries: the plans that were followed. records: what came of it; only the split "train" counts.

    Returns:
        For each task up to ``count`` (example, state, share of episodes that succeeded), the best first; plans that
        never succeeded are left out.

    Raises:
        ValueError: the records are not of these plans, or not of training states.
    """
    plans = {(entry.scaffold.task, entry.state): entry.scaffold for entry in entries if entry.split == "train"}
    outcomes: dict[tuple[str, int], list[EpisodeRecord]] = {}
    for record in records:
        if record.split != "train":
            raise ValueError("examples come from training states; evaluate with --split train")
        plan = plans.get((record.task, record.state))
        if plan is None or plan.sha256[:16] != record.plan:
            raise ValueError(f"the record of {record.task}, state {record.state} is not of a plan in the plan file")
        outcomes.setdefault((record.task, record.state), []).append(record)

    def quality(key: tuple[str, int]) -> tuple[float, float]:
        of_plan = outcomes[key]
        return (
            float(np.mean([record.success_once for record in of_plan])),
            -float(np.mean([record.tracking_error_mean for record in of_plan])),
        )

    chosen: dict[str, list[tuple[Example, int, float]]] = {}
    for task, state in sorted(outcomes, key=quality, reverse=True):
        success = quality((task, state))[0]
        of_task = chosen.setdefault(task, [])
        if success > 0 and len(of_task) < count:
            _, request = next(requests(task, "train", [state]))
            plan = plans[task, state]
            waypoints = len(plan.waypoints.wrist) if plan.waypoints is not None else 20
            of_task.append((replace(example_of(plan, request, waypoints), state=state), state, success))
    return chosen


@dataclass(frozen=True)
class Round:
    """One round of refinement: the plans, and the success they led to on training states, by task."""

    plans: Path
    examples: Path
    success: dict[str, float]
    valid: dict[str, float]


def refine(
    provider: str,
    policy: Any,
    tasks: Sequence[str],
    count: int,
    rounds: int,
    out: Path,
    shots: int = 3,
    num_envs: int = 32,
    on_plan: Callable[[str, int, Scaffold], None] | None = None,
) -> list[Round]:
    """Make plans, follow them, show the best with the next questions, and again (paper, 3.2 and 4.1).

    Args:
        provider: name of a planner that takes ``shots`` and ``examples``. policy: who follows the plans.
        count: training states per task. rounds: of showing examples; the first, without, comes before them.

    Returns:
        The rounds, the first one without examples; fewer if a round had no success to show. Their files are
        ``out/round-<i>``.
    """
    from scaffold_bench.evaluation.runner import evaluate

    if not 0 <= rounds <= 3:
        raise ValueError(f"rounds must be 0 to 3 (paper: up to three), got {rounds}")
    results: list[Round] = []
    for number in range(rounds + 1):
        if results and not load_examples(results[-1].examples):
            break  # nothing succeeded: there is nothing to show
        folder = out / f"round-{number}"
        name = provider
        if results:
            glue = "&" if "?" in provider else "?"
            name = f"{provider}{glue}shots={shots}&examples={results[-1].examples}"
        plans = folder / "plans.npz"
        entries = make_plans(name, tasks, "train", count, plans, on_plan=on_plan)
        run = evaluate(
            policy,
            list(tasks),
            states=count,
            trials=1,
            split="train",
            scaffolds=plans,
            out=folder / "run",
            num_envs=num_envs,
        )
        chosen = best_examples(entries, run.records)
        examples = folder / "examples.json"
        save_examples(examples, chosen, {"provider": name, "policy": str(policy), "plans": plans.name})
        success = {
            task: float(np.mean([record.success_once for record in run.records if record.task == task]))
            for task in dict.fromkeys(record.task for record in run.records)
        }
        valid = {
            task: float(np.mean([entry.scaffold.valid for entry in entries if entry.scaffold.task == task]))
            for task in success
        }
        results.append(Round(plans, examples, success, valid))
    return results


# ------------------------------------------------------------------------------------------------------- import
def import_plans(path: Path) -> list[ScaffoldEntry]:
    """Plans made elsewhere, from a JSON or an NPZ file.

    JSON: a list of objects with ``task``, ``split``, ``state``, ``keypoints`` (N, K, 3), ``wrist`` (N, 6),
    ``attachments`` (K names) and optionally ``provenance``. NPZ: arrays ``task``, ``split``, ``state`` (P,),
    ``keypoints`` (P, N, K, 3), ``wrist`` (P, N, 6) and ``attachments`` (K,), all plans of one shape. N is 2 to 301
    evenly spaced waypoints; metres, radians, world frame.

    Raises:
        InvalidScaffoldError: a plan is not one, or does not fit its task; names which. ValueError: no such file.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path} to import")
    if path.stat().st_size > MAX_IMPORT_BYTES:
        raise InvalidScaffoldError(path.name, f"is larger than {MAX_IMPORT_BYTES >> 20} MiB")
    rows = _json_rows(path) if path.suffix == ".json" else _npz_rows(path)
    entries: list[ScaffoldEntry] = []
    seen: set[tuple[str, str, int | None]] = set()
    for number, row in enumerate(rows):
        try:
            entry = _imported(row)
            key = (entry.scaffold.task, entry.split, entry.state)
            if key in seen:
                raise InvalidScaffoldError("state", f"has two plans for {key[0]}, split {key[1]}, state {key[2]}")
            seen.add(key)
            entries.append(entry)
        except InvalidScaffoldError as error:
            raise InvalidScaffoldError(f"plan {number}: {error.field}", error.reason) from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidScaffoldError(f"plan {number}", f"is incomplete or of a wrong kind ({error})") from None
    return entries


def _json_rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidScaffoldError(path.name, f"is no JSON ({str(error)[:200]})") from None
    if not isinstance(rows, list):
        raise InvalidScaffoldError(path.name, "holds no list of plans")
    return rows


def _npz_rows(path: Path) -> list[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_IMPORT_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_IMPORT_BYTES >> 20} MiB")
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in ("task", "split", "state", "keypoints", "wrist", "attachments")}
        count = len(arrays["keypoints"])
        attachments = [str(name) for name in arrays.pop("attachments")]
        if any(len(array) != count for array in arrays.values()):
            raise ValueError("arrays of different lengths")
    except Exception as error:  # noqa: BLE001  # zipfile and numpy raise many kinds on damaged input
        raise InvalidScaffoldError(path.name, f"is no plan archive ({type(error).__name__}: {error})") from None
    return [{name: array[row] for name, array in arrays.items()} | {"attachments": attachments} for row in range(count)]


def _imported(row: Mapping[str, Any]) -> ScaffoldEntry:
    points, wrists = np.asarray(row["keypoints"]), np.asarray(row["wrist"])
    if points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind not in "fiu":
        raise InvalidScaffoldError("keypoints", f"has shape {points.shape}, expected (waypoints, keypoints, 3)")
    if wrists.shape != (len(points), WRIST_DIM) or wrists.dtype.kind not in "fiu":
        raise InvalidScaffoldError("wrist", f"has shape {wrists.shape}, expected ({len(points)}, {WRIST_DIM})")
    if not 2 <= len(points) <= EPISODE_STEPS + 1:
        raise InvalidScaffoldError("keypoints", f"has {len(points)} waypoints, expected 2 to {EPISODE_STEPS + 1}")
    if str(row["split"]) not in ("train", "eval"):
        raise InvalidScaffoldError("split", f"is {str(row['split'])[:40]!r}, expected train or eval")
    waypoints = Waypoints(points, wrists, tuple(str(name) for name in row["attachments"]))
    given = dict(row.get("provenance") or {})
    facts = {**given, "provider": "imported"} | ({"made_by": given["provider"]} if "provider" in given else {})
    plan = scaffold_from_waypoints(str(row["task"]), waypoints, facts)
    state = np.asarray(row["state"])
    if state.ndim or state.dtype.kind not in "iu" or not 0 <= int(state) < STATES_PER_SPLIT:
        raise InvalidScaffoldError("state", f"is {str(row['state'])[:40]}, expected 0 to {STATES_PER_SPLIT - 1}")
    return ScaffoldEntry(check_plan(plan, get_task(plan.task).spec), str(row["split"]), int(state))


# ------------------------------------------------------------------------------------------------------- pictures
def show_plan(path: Path, plan: Scaffold, view: CameraView | None) -> None:
    """Draw a plan: keypoints and paths over the camera's picture (if there is one), and in three dimensions.

    Args:
        path: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scaffold_bench.scaffolds.lifting import project

    spec = get_task(plan.task).spec
    figure = Figure(figsize=(12 if view else 6, 6), layout="constrained")
    FigureCanvasAgg(figure)
    colors = [f"C{index}" for index in range(len(spec.keypoints))]
    if view is not None:
        picture = figure.add_subplot(1, 2, 1)
        picture.imshow(view.rgb)
        picture.set_axis_off()
        for name, color, track in zip(spec.keypoints, colors, plan.keypoints.transpose(1, 0, 2), strict=True):
            pixels = project(view, track.astype(np.float64))
            picture.plot(*pixels.T, "-", color=color, lw=1.5)
            picture.plot(*pixels[0], "o", color=color, mec="white", ms=9, label=name)
            picture.plot(*pixels[-1], "s", color=color, mec="white", ms=6)
        hand = project(view, plan.wrist[:, :3].astype(np.float64))
        picture.plot(*hand.T, ":", color="white", lw=1.2, label="wrist")
        picture.set(xlim=(0, view.rgb.shape[1]), ylim=(view.rgb.shape[0], 0))
        picture.legend(fontsize=8, loc="lower left")
    space: Any = figure.add_subplot(1, 2 if view else 1, 2 if view else 1, projection="3d")
    for name, color, track in zip(spec.keypoints, colors, plan.keypoints.transpose(1, 0, 2), strict=True):
        space.plot(*track.T, color=color, label=name)
        space.scatter(*track[0], color=color)
    space.plot(*plan.wrist[:, :3].T, ":", color="black", label="wrist")
    space.set(xlabel="x [m]", ylabel="y [m]", zlabel="z [m]")
    space.set_aspect("equal")
    space.legend(fontsize=8)
    state = "" if plan.valid else f": no plan ({plan.reason[:100]})"
    figure.suptitle(f"{spec.instruction}, plan by {plan.provenance.get('provider', '?')}{state}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
