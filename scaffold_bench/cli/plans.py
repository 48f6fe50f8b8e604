"""``scaffold-bench plans make | show | validate | stats | examples | refine | import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from scaffold_bench.cli.console import console, errors, progress_bar, say, warn

app = tyro.extras.SubcommandApp()


def task_list(tasks: str) -> list[str]:
    """Short names from ``all`` or a comma-separated list."""
    from scaffold_bench.registration import get_task, task_names

    if tasks == "all":
        return list(task_names())
    return [get_task(name.strip()).spec.name for name in tasks.split(",") if name.strip()]


@app.command
def make(
    provider: str = "oracle",
    tasks: str = "all",
    split: Literal["train", "eval", "both"] = "train",
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 100,
    out: Path = Path("runs/plans.npz"),
    workers: int = 8,
    retry_failed: bool = False,
) -> None:
    """Make a plan file. After an interruption the same command resumes.

    Args:
        provider: a planner's name: oracle, oracle?waypoints=5, vlm, vlm?record=DIR, noise(0.02):oracle, mix:oracle+vlm.
        tasks: comma-separated short names or ids, or all.
        split: the set of start states.
        n: number of start states of each task, from the first on.
        out: the plan file; plans that it already holds are kept.
        workers: questions to a model under way at once.
        retry_failed: make the plans again that the file holds as failed.
    """
    from scaffold_bench.plan import Scaffold
    from scaffold_bench.plan_sets.make import make_plans

    names, splits = task_list(tasks), ("train", "eval") if split == "both" else (split,)
    entries: list[Any] = []
    with progress_bar() as bar:
        for one in splits:
            task = bar.add_task(f"plans ({one})", total=len(names) * n, note="")
            failed = 0

            def advance(name: str, state: int, plan: Scaffold, task: Any = task) -> None:
                nonlocal failed
                failed += not plan.valid
                bar.update(task, advance=1, note=f"{name} {state}" + (f", {failed} failed" if failed else ""))

            entries = make_plans(provider, names, one, n, out, workers, retry_failed, advance)
    valid = sum(entry.scaffold.valid for entry in entries)
    say(f"{out}: {len(entries)} plans, {valid} valid")


@app.command
def stats(plans: Annotated[str, tyro.conf.Positional]) -> None:
    """Validity, distance to the oracle and reasons for rejection.

    Args:
        plans: a plan file or the name of a kept set.
    """
    from scaffold_bench.plan_sets.statistics import statistics
    from scaffold_bench.scaffolds import load_scaffolds
    from scaffold_bench.scaffolds.recorded import plan_file

    found = statistics(load_scaffolds(plan_file(plans)).with_states())
    table = Table(title=str(plans))
    for column in ("task", "split", "plans", "valid", "keypoints off", "path off", "USD"):
        table.add_column(column, justify="left" if column in ("task", "split") else "right")
    for row in found:
        table.add_row(
            row.task,
            row.split,
            str(row.plans),
            f"{100 * row.valid / row.plans:.0f} %",
            f"{100 * row.keypoint_error:.1f} cm",
            f"{100 * row.path_error:.1f} cm",
            f"{row.usd:.2f}",
        )
    console.print(table)
    say("off: median distance from the oracle's plan for the same start state, at the first frame and along the path")
    for row in found:
        for reason, count in row.reasons.items():
            say(f"{row.task} ({row.split}): {count} x {reason}")


@app.command
def validate(plans: Annotated[str, tyro.conf.Positional]) -> None:
    """Check every plan of a file: format, numbers, jumps, workspace, and that it fits its task.

    Args:
        plans: a plan file or the name of a kept set.
    """
    from scaffold_bench.envs.episodes import check_plan
    from scaffold_bench.registration import get_task
    from scaffold_bench.scaffolds import load_scaffolds
    from scaffold_bench.scaffolds.recorded import RecordedProvider, plan_file

    path = plan_file(plans)
    RecordedProvider(path)  # it refuses two plans for one start state
    file = load_scaffolds(path)
    for plan in file:
        check_plan(plan, get_task(plan.task).spec)
    failed = sum(not entry.valid for entry in file.entries)
    say(f"{path}: {len(file)} plans are well-formed" + (f"; {failed} of them are marked as failed" if failed else ""))


@app.command
def show(
    plans: Annotated[str, tyro.conf.Positional] = "oracle",
    task: str = "hammer",
    state: int = 0,
    split: Literal["eval", "train"] = "train",
    out: Path | None = None,
) -> None:
    """Draw a plan: keypoints and paths over the camera's picture, and in 3-D.

    Args:
        plans: a planner's name, a plan file, or the name of a kept set.
        task: short name or id.
        state: index of the start state.
        split: whose start states.
        out: the PNG to write; runs/plans/TASK-STATE.png by default.
    """
    from scaffold_bench.doctor import can_render
    from scaffold_bench.plan_sets.draw import show_plan
    from scaffold_bench.plan_sets.make import requests
    from scaffold_bench.registration import get_task
    from scaffold_bench.scaffolds import resolve_provider
    from scaffold_bench.scaffolds.recorded import kept_sets

    planner = resolve_provider(f"recorded:{plans}" if plans in kept_sets() and plans != "oracle" else plans)
    rendering, reason = can_render()
    sees = rendering or bool(getattr(planner, "sees", False))
    _, request = next(requests(task, split, [state], planner.privileged, sees))
    plan = planner.plan(request)
    target = out or Path("runs/plans") / f"{get_task(task).spec.name}-{state:03d}.png"
    show_plan(target, plan, request.view)
    if not rendering:
        warn(f"no Vulkan driver, so the scene is left out ({reason}); run 'scaffold-bench doctor' for the fix")
    say(f"picture: {target}" + ("" if plan.valid else f" (no plan: {plan.reason})"))


@app.command
def examples(
    plans: Annotated[Path, tyro.conf.Positional],
    run: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("runs/examples.json"),
) -> None:
    """Keep the ten best plans of each task, by measured success on training states, to show to a model.

    Args:
        plans: the plan file that the evaluation followed.
        run: folder of that evaluation (--split train --scaffolds PLANS).
        out: the file for 'vlm?shots=3&examples=...'.
    """
    from scaffold_bench.plan_sets.refine import best_examples
    from scaffold_bench.records.run import read_records
    from scaffold_bench.scaffolds import load_scaffolds
    from scaffold_bench.scaffolds.vlm.examples import save_examples

    chosen = best_examples(load_scaffolds(plans).with_states(), read_records(run))
    save_examples(out, chosen, {"plans": plans.name, "run": run.name})
    for task, of_task in chosen.items():
        say(f"{task}: {len(of_task)} examples")
    say(f"examples: {out}")


@app.command
def refine(
    provider: str = "vlm",
    policy: str = "zoo:residual-ppo",
    tasks: str = "all",
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 20,
    rounds: int = 3,
    shots: int = 3,
    out: Path = Path("runs/refined"),
) -> None:
    """Make plans, follow them and show the best to the planner as examples, in up to three rounds.

    Args:
        provider: a planner that takes examples: vlm, simulated-vlm.
        policy: the policy that follows the plans; as for evaluate.
        tasks: comma-separated short names or ids, or all.
        n: training states per task and round.
        rounds: rounds with examples, at most 3.
        shots: examples per question.
        out: folder with a folder for each round; round-0 has no examples.
    """
    from scaffold_bench.plan_sets.refine import refine as run

    with errors.status("planning ...") as status:

        def show_planned(name: str, state: int, plan: Any) -> None:
            status.update(f"planned {name} {state}" + ("" if plan.valid else " (failed)"))

        results = run(provider, policy, task_list(tasks), n, rounds, out, shots, on_plan=show_planned)
    table = Table(title=f"success on {n} training states per task, %")
    table.add_column("task")
    for number in range(len(results)):
        table.add_column(f"round {number}", justify="right")
    for task in results[0].success:
        table.add_row(task, *(f"{100 * one.success[task]:.0f}" for one in results))
    console.print(table)


@app.command(name="import")
def import_(source: Annotated[Path, tyro.conf.Positional], out: Path = Path("runs/imported.npz")) -> None:
    """Make a plan file from plans made elsewhere (JSON or NPZ; the format is in docs/planners.md).

    Args:
        source: the .json or .npz file.
        out: the plan file.
    """
    from scaffold_bench.plan_sets.importing import import_plans
    from scaffold_bench.scaffolds import save_scaffolds

    entries = import_plans(source)
    save_scaffolds(out, entries)
    say(f"{out}: {len(entries)} plans")
