"""Runs an evaluation: spreads episodes over processes, writes records as they come, resumes what was interrupted."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from scaffold_bench.evaluation.fingerprint import numerics
from scaffold_bench.evaluation.protocol import preset as named_preset
from scaffold_bench.evaluation.rollout import run_episodes
from scaffold_bench.files import write_atomically
from scaffold_bench.metrics import TaskSummary, summarize
from scaffold_bench.metrics.columns import COLUMNS, SUCCESS_ONCE
from scaffold_bench.plan import Planner
from scaffold_bench.policies.base import Policy
from scaffold_bench.policies.names import environment_of, make_policy, policy_name, policy_source
from scaffold_bench.records import folder as folders
from scaffold_bench.records.codec import to_json
from scaffold_bench.records.episode import EpisodeRecord, record_line
from scaffold_bench.records.folder import EvaluationError
from scaffold_bench.records.run import read_manifest, read_records
from scaffold_bench.registration import get_task, make_vector_env, start_states, task_names
from scaffold_bench.scaffolds import resolve_provider
from scaffold_bench.scaffolds.variants import plan_files_hash

if TYPE_CHECKING:  # brings the simulator
    from scaffold_bench.envs.vector_env import ScaffoldVectorEnv

BACKEND = "physx_cpu"
NUM_ENVS = 32
"""Episodes side by side: enough to be fast, few enough for a lively progress bar."""


@dataclass(frozen=True)
class Results:
    """An evaluation's outcome.

    Attributes:
        records: one per episode, in order of task, state and trial.
        summary: per-task scores and aggregates, see :func:`scaffold_bench.metrics.summarize`.
        manifest: what was run, with which versions, where and when.
        out: the folder the files were written to, if any.
    """

    records: list[EpisodeRecord]
    summary: dict[str, Any]
    manifest: dict[str, Any]
    out: Path | None = None

    def table(self) -> Table:
        """The score table."""
        trials, states = self.manifest["trials"], self.manifest["states"]
        title = f"{self.manifest['policy']} on {self.manifest['split']} states ({states} states x {trials} trials)"
        caption = "in brackets: 95 % bootstrap intervals"
        table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("task")
        for column in COLUMNS:
            table.add_column(column.heading, justify="right", no_wrap=column is SUCCESS_ONCE)
        for name in dict.fromkeys(record.task for record in self.records):
            task = TaskSummary.from_dict(self.summary["tasks"][name])
            table.add_row(name, *(column.of_task(task, interval=column is SUCCESS_ONCE) for column in COLUMNS))
        if len(self.summary["tasks"]) > 1:
            table.add_section()
            means = (column.text(self.summary[column.overall]) if column.overall else "" for column in COLUMNS)
            table.add_row("mean", *means)
        return table


def evaluate(
    policy: str | Policy | Callable[[], Policy],
    tasks: str | Sequence[str] = "all",
    preset: str = "quick",
    *,
    states: int | None = None,
    trials: int | None = None,
    split: str = "eval",
    scaffolds: str | Path | Planner = "oracle",
    out: str | Path | None = None,
    workers: int = 1,
    num_envs: int | None = None,
    progress: bool = False,
) -> Results:
    """Evaluate a policy on frozen start states.

    Args:
        policy: "reference", "plan-only", "random", ``"module:Class"``, a policy class or object.
        tasks: "all", or short names or ids.
        preset: "quick" (20 states x 1 trial) or "full" (100 x 20, the paper's protocol).
        states, trials: override the preset's numbers; states are taken from the first on.
        split: "eval" (novel states) or "train".
        scaffolds: a planner's short name, the path of a plan file, or a planner object (with one worker).
        out: folder for ``records.jsonl``, ``manifest.json`` and ``summary.json``; an interrupted evaluation in the
            same folder is resumed. None keeps everything in memory.
        workers: processes. The records are the same for any number.
        num_envs: episodes side by side in each process, every one with a copy of the policy; the records are the same
            for any number. None for 32, or for 1 if the policy is given as an object.
        progress: show a progress bar.

    Returns:
        The results; every number follows from the records.

    Raises:
        ValueError: an unknown name or a number out of range.
        EvaluationError: the folder cannot be used, or a worker process died.
    """
    made = make_policy(policy)  # refuse a bad policy before anything is written; its module may register tasks
    chosen = named_preset(preset, states, trials)
    names = list(task_names()) if tasks == "all" else [tasks] if isinstance(tasks, str) else list(tasks)
    names = list(dict.fromkeys(get_task(name).spec.name for name in names))
    if not names:
        raise ValueError("there are no tasks to evaluate")
    if split not in ("eval", "train"):
        raise ValueError(f"split must be 'eval' or 'train', got {split!r}")
    provider = resolve_provider(scaffolds)
    if workers > 1 and not isinstance(scaffolds, str | Path):
        raise ValueError("several workers need scaffolds given by name or as the path of a plan file")
    if num_envs is None:
        num_envs = NUM_ENVS if isinstance(policy, str | type) else 1
    for name, number in (("workers", workers), ("num_envs", num_envs)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if workers > 1 and not isinstance(policy, str | type):
        raise ValueError("several workers need a policy given by name, as 'module:Class' or as a class")
    identity = {
        "policy": policy_name(policy),
        "policy_source": policy_source(policy, made),
        "tasks": [get_task(name).spec.id for name in names],
        "scaffolds": str(scaffolds) if isinstance(scaffolds, str | Path) else policy_name(scaffolds),
        "plans": plan_files_hash(provider),
        "split": split,
        "states": chosen.states,
        "trials": chosen.trials,
        "backend": BACKEND,
        "start_states": {name: start_states(get_task(name), split).sha256 for name in names},  # type: ignore[union-attr]
        "numerics": numerics(),
    }
    if environment := environment_of(made):
        identity["environment"] = environment
    manifest = folders.manifest(identity, ["scaffold-bench", *sys.argv[1:]])
    folder = Path(out) if out is not None else None
    wanted = list(itertools.product(names, range(chosen.states), range(chosen.trials)))
    order = {key: position for position, key in enumerate(wanted)}
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"cannot write to {folder} ({error.strerror}); choose another --out") from error
    try:
        with folders.sole_writer(folder):
            done = _resume(folder, manifest) if folder is not None else []
            finished = {record.key for record in done}
            todo = [key for key in wanted if key not in finished]
            fresh = _run(_jobs(todo, num_envs, workers), workers, Stage(made, scaffolds, split), policy)
            fresh = _with_progress(fresh, len(done), len(wanted), progress)
            if folder is not None:
                fresh = folders.written(folder / folders.RECORDS, done, fresh)
            records = sorted([*done, *fresh], key=lambda record: order[record.key])
            summary = summarize(records)
            if folder is not None:
                write_atomically(folder / folders.RECORDS, "".join(map(record_line, records)))
                write_atomically(folder / folders.SUMMARY, to_json(summary, indent=2) + "\n")
    except OSError as error:
        if folder is None:  # nothing is written: it is the policy's or the planner's
            raise
        raise EvaluationError(
            f"cannot write to {folder} ({error.strerror}); free space or choose another --out"
        ) from error
    return Results(records, summary, manifest, folder)


def _resume(folder: Path, manifest: dict[str, Any]) -> list[EpisodeRecord]:
    """Check that the folder is new or holds the same evaluation; return the records already there."""
    if (folder / folders.MANIFEST).exists():
        folders.check_same_run(read_manifest(folder), manifest, folder)
        path = folder / folders.RECORDS
        return read_records(path) if path.exists() else []
    if any(folder.iterdir()):
        raise EvaluationError(f"{folder} is not empty and holds no evaluation; choose another --out")
    write_atomically(folder / folders.MANIFEST, to_json(manifest, indent=2) + "\n")
    return []


Job = tuple[str, list[tuple[int, int]]]
"""A task, and (state, trial) of those of its episodes that a process runs side by side."""


def _jobs(todo: Sequence[tuple[str, int, int]], num_envs: int, workers: int) -> list[Job]:
    """Share every task's episodes evenly among as few jobs as give each worker one."""
    jobs: list[Job] = []
    for task, keys in itertools.groupby(todo, key=lambda key: key[0]):
        episodes = [(state, trial) for _, state, trial in keys]
        parts = min(len(episodes), max(workers, -(-len(episodes) // num_envs)))
        bounds = [len(episodes) * part // parts for part in range(parts + 1)]
        jobs += [(task, episodes[start:end]) for start, end in itertools.pairwise(bounds)]
    return jobs


class Stage:
    """What a process keeps from one job to the next: the environments of the last task, and the policies."""

    def __init__(self, policy: Policy, scaffolds: Any, split: str) -> None:
        self.settings = {"scaffolds": scaffolds, "split": split}
        self._env: ScaffoldVectorEnv | None = None
        self._task = ""
        self._policies = [policy]

    def run(self, task: str, episodes: Sequence[tuple[int, int]]) -> list[EpisodeRecord]:
        torch.set_num_threads(1)  # tiny tensors: a second thread only costs
        count = len(episodes)
        if self._env is None or self._task != task or self._env.num_envs < count:
            self.close()
            settings = {**self.settings, **environment_of(self._policies[0])}
            self._env = make_vector_env(task, count, tracking_threshold=None, autoreset=False, **settings)
            self._task = task
        try:
            self._policies += [copy.deepcopy(self._policies[0]) for _ in range(count - len(self._policies))]
        except TypeError as error:
            raise EvaluationError(f"the policy cannot be copied ({error}); use one environment at a time") from error
        return run_episodes(self._env, self._policies[:count], episodes)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env, self._task = None, ""


@functools.cache
def _stage_of_process(policy: Any, scaffolds: Any, split: str) -> Stage:
    """A worker process serves one evaluation; its policy, perhaps a network, is loaded once."""
    return Stage(make_policy(policy), scaffolds, split)  # its module may register the task


def _run_in_process(policy: Any, settings: dict[str, Any], job: Job) -> list[EpisodeRecord]:
    return _stage_of_process(policy, **settings).run(*job)


def _run(jobs: Sequence[Job], workers: int, stage: Stage, policy: Any) -> Iterator[EpisodeRecord]:
    """The records of the jobs, made on the stage or by processes that make the policy themselves."""
    if workers == 1 or len(jobs) <= 1:
        with contextlib.closing(stage):
            for job in jobs:
                yield from stage.run(*job)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        futures = [pool.submit(_run_in_process, policy, stage.settings, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield from future.result()
        except BrokenProcessPool:
            raise EvaluationError(
                "a worker process died (out of memory, or killed); run the same command again to resume, "
                "perhaps with fewer --workers"
            ) from None
        finally:
            for future in futures:
                future.cancel()


def _with_progress(records: Iterator[EpisodeRecord], done: int, total: int, show: bool) -> Iterator[EpisodeRecord]:
    """Pass records through, drawing a bar with the success rate so far on stderr."""
    if not show:
        yield from records
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[score]}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True)) as bar:
        task = bar.add_task("episodes", total=total, completed=done, score="")
        solved: dict[str, list[bool]] = {}
        for record in records:
            solved.setdefault(record.task, []).append(record.success_once)
            share = 100 * sum(solved[record.task]) / len(solved[record.task])
            bar.update(task, advance=1, description=record.task, score=f"{share:.0f} % solved")
            yield record
