"""Turns plans that succeeded into examples, and makes plans again with those examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.plan import Scaffold
from scaffold_bench.plan_sets.make import make_plans, requests
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.scaffolds import ScaffoldEntry
from scaffold_bench.scaffolds.vlm.examples import BEST, load_examples, save_examples
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.scaffolds.vlm.provider import example_of


def best_examples(
    entries: Sequence[ScaffoldEntry], records: Sequence[EpisodeRecord], count: int = BEST
) -> dict[str, list[tuple[Example, int, float]]]:
    """The plans that succeeded most often on training states, for each task.

    Args:
        entries: the plans that were followed.
        records: the episodes that followed them, of the split "train".

    Returns:
        For each task up to ``count`` of (example, state, share of episodes that succeeded), the best first; plans that
        never succeeded are left out.

    Raises:
        ValueError: the records are not of these plans, or not of training states.
    """
    plans = {(entry.scaffold.task, entry.state): entry.scaffold for entry in entries if entry.split == "train"}
    outcomes: dict[tuple[str, int], list[EpisodeRecord]] = {}
    for record in records:
        if record.split != "train":
            raise ValueError("examples must come from training states; evaluate with --split train")
        plan = plans.get((record.task, record.state))
        if plan is None or plan.sha256[:16] != record.plan:
            raise ValueError(
                f"the record of {record.task}, state {record.state} followed a plan that is not in the plan file; "
                "give the file that the evaluation used"
            )
        outcomes.setdefault((record.task, record.state), []).append(record)

    quality: dict[tuple[str, int], tuple[float, float]] = {}
    for key, of_plan in outcomes.items():
        solved, off = zip(*((one.success_once, one.tracking_error_mean) for one in of_plan), strict=True)
        quality[key] = (float(np.mean(solved)), -float(np.mean(off)))
    chosen: dict[str, list[tuple[Example, int, float]]] = {}
    for (task, state), (success, _) in sorted(quality.items(), key=lambda item: item[1], reverse=True):
        of_task = chosen.setdefault(task, [])
        if success > 0 and len(of_task) < count:
            _, request = next(requests(task, "train", [state]))
            plan = plans[task, state]
            waypoints = len(plan.waypoints.wrist) if plan.waypoints is not None else 20
            of_task.append((replace(example_of(plan, request, waypoints), state=state), state, success))
    return chosen


@dataclass(frozen=True)
class Round:
    """One round of refinement.

    Attributes:
        plans, examples: the plan file, and the file of examples chosen from it.
        success, valid: share of training states solved with these plans, and of valid plans, by task.
    """

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
    """Make plans, follow them and show the best ones with the next questions, in rounds (paper, 3.2 and 4.1).

    Args:
        provider: name of a planner that takes ``shots`` and ``examples``.
        tasks: ids or short names.
        count: training states per task.
        rounds: rounds with examples, 0 to 3; a round without examples comes before them.
        shots: examples per question.
        num_envs: episodes that are run side by side.
        on_plan: called with task, state and plan after each plan.

    Returns:
        The rounds, the first one without examples; fewer if a round had no success to show. The files of round i are in
        ``out/round-<i>``.

    Raises:
        ValueError: ``rounds`` is out of range.
    """
    from scaffold_bench.evaluation.runner import evaluate

    if not 0 <= rounds <= 3:
        raise ValueError(f"rounds must be 0 to 3 (paper: up to three), got {rounds}")
    results: list[Round] = []
    for number in range(rounds + 1):
        if results and not load_examples(results[-1].examples):
            break  # no plan succeeded, so there are no examples
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
