"""Makes plans for many start states; an unfinished plan set is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scaffold_bench.envs.episodes import check_plan
from scaffold_bench.envs.requests import EpisodeSource
from scaffold_bench.plan import Planner, Scaffold, ScaffoldRequest
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds import ScaffoldEntry, failed_scaffold, load_scaffolds, resolve_provider, save_scaffolds

SAVE_EVERY = 50
"""An unfinished plan set is written after this many new plans, so that little is lost by an interruption."""


def requests(
    task: str, split: str, states: Iterable[int], privileged: bool = False, sees: bool = False
) -> Iterator[tuple[int, Any]]:
    """The requests that a planner gets for frozen start states: pairs of state and request, in the order of ``states``.

    Args:
        task: id or short name.
        split: "train" or "eval".
        privileged, sees: whether the requests carry the exact start state, and a picture.

    Raises:
        RuntimeError: ``sees`` is set, but this machine cannot render.
        ValueError: the split has no frozen states, or a state does not exist.
    """
    asked: list[Any] = []

    def keep(request: ScaffoldRequest) -> Scaffold:
        asked.append(request)
        return failed_scaffold(request, "no planner was asked")

    made = get_task(task)
    recorder: Any = SimpleNamespace(privileged=privileged, sees=sees, plan=keep)  # takes the place of a planner
    frozen = start_states(made, split)
    if frozen is None:
        raise ValueError(f"plan sets are made for frozen start states; split must be train or eval, got {split!r}")
    if sees:
        from scaffold_bench.registration import make_env

        env = make_env(task, scaffolds=recorder, split=split)
        try:
            for state in states:
                env.reset(seed=0, options={"state": state})
                yield state, asked.pop()
        finally:
            env.close()
        return
    source = EpisodeSource(made, recorder, frozen, split)
    for state in states:
        yield state, source.request(frozen[state], state)


def make_plans(
    provider: str | Path | Planner,
    tasks: Sequence[str],
    split: str,
    count: int,
    out: Path,
    workers: int = 8,
    retry_failed: bool = False,
    on_plan: Callable[[str, int, Scaffold], None] | None = None,
) -> list[ScaffoldEntry]:
    """Make plans for the first ``count`` frozen states of every task; plans that the file already holds are kept.

    The planner's name becomes part of every plan's provenance (``planner``).

    Args:
        tasks: ids or short names.
        split: "train" or "eval".
        workers: plans under way at once, for a planner that sees; it waits for answers.
        retry_failed: make invalid plans again; an old one stays in the file until the new one is made.
        on_plan: called with task, state and plan after each plan.

    Returns:
        All plans of the file ``out``.

    Raises:
        InvalidScaffoldError: the planner returned a plan that does not fit its task, or ``out`` is not a plan file.
        ValueError: ``out`` holds another planner's plans.
        RuntimeError: the planner cannot work on this machine, e.g. because it has no key.
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

    missing = {name: states for name in names if (states := [one for one in range(count) if is_missing(name, one)])}
    if missing and callable(check := getattr(planner, "check", None)):
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
    """The plans that a file already holds.

    Raises:
        ValueError: another planner made some of them.
    """
    entries = load_scaffolds(path).with_states() if path.is_file() else []
    others = {str(entry.scaffold.provenance.get("planner", planner)) for entry in entries} - {planner}
    if others:
        raise ValueError(f"{path} holds plans of {', '.join(sorted(others))}, not of {planner}; choose another --out")
    return entries


def _planned(
    planner: Planner, missing: Mapping[str, Sequence[int]], split: str, workers: int
) -> Iterator[tuple[str, int, Scaffold]]:
    """Plans in the order in which they are ready; a planner that sees makes several at once."""
    sees = bool(getattr(planner, "sees", False))
    pool = ThreadPoolExecutor(workers if sees else 1)
    running: dict[Future[Scaffold], tuple[str, int]] = {}
    try:
        for name, states in missing.items():
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
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption, do not wait for answers under way


def _finished(running: dict[Future[Scaffold], tuple[str, int]]) -> Iterator[tuple[str, int, Scaffold]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield (*running.pop(future), future.result())
