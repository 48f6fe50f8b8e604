"""Keep what training runs produced, and make the tables and curves of ``docs/baselines.md`` from it.

python scripts/make_baselines.py --keep runs/apple-cpu-1 runs/hammer-cpu-1   # curves into the repository
python scripts/make_baselines.py --zoo runs/apple-cpu-1                      # its policy into the package
python scripts/make_baselines.py --pack runs/seed-2 runs/*-cpu-2             # policies into a folder, made small
python scripts/make_baselines.py [--check]                                   # docs/baselines.md and its pictures
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scaffold_bench.files import ZOO
from scaffold_bench.policies import about, load_actor, save_actor
from scaffold_bench.registration import get_task, task_names

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "baselines" / "results"
PAGE, CURVES = ROOT / "docs" / "baselines.md", ROOT / "docs" / "baselines-curves.png"
METHOD, OPEN_HAND, NO_SCAFFOLD = "residual-ppo", "open-hand", "no-scaffold"
SIMULATED = f"{METHOD}-simulated-vlm"
MARKS = {
    method: (f"<!-- {name}: made by scripts/make_baselines.py -->", f"<!-- end of {name} -->")
    for method, name in ((METHOD, "runs"), (SIMULATED, "simulated"), (OPEN_HAND, "open-hand"))
}
GOOD = 0.95
"""Success rate whose time is reported."""
CURVE = ("steps", "minutes", "episode_success", "reward", "eval_success_once", "eval_success_at_end", "eval_grip")


def keep(run: Path) -> None:
    """Reduce a run to its arguments, its cost and its curve."""
    rows = [json.loads(line) for line in (run / "progress.jsonl").read_text(encoding="utf-8").splitlines()]
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    seconds = {
        part: round(sum(row.get(f"seconds_{part}", 0.0) for row in rows), 1)
        for part in ("playing", "stepping", "learning", "evaluating")
        if any(f"seconds_{part}" in row for row in rows)  # what was not measured is absent, not zero
    }
    marked = [row for row in rows if "eval_success_once" in row or row["iteration"] % 5 == 0]
    curve = [{name: round(row[name], 4) for name in CURVE if name in row} for row in marked]
    task = get_task(facts["args"]["env_id"]).spec.name
    target = KEPT / method_of(facts) / f"{task}-{facts['args']['seed']}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(point) for point in curve)
    head = json.dumps({**facts, "seconds": seconds, "steps": rows[-1]["steps"]}, indent=1)
    target.write_text(f'{head[:-2]},\n "curve": [\n{lines}\n]}}\n', encoding="utf-8")


def method_of(facts: dict[str, Any]) -> str:
    """Where a run belongs."""
    if not facts["args"].get("wrist_plan", True):
        return NO_SCAFFOLD
    planner = re.sub(r"[^a-z0-9]+", "-", facts["args"]["scaffolds"].lower().removeprefix("recorded:")).strip("-")
    return METHOD if planner == "oracle" else f"{METHOD}-{planner}"


def pack(run: Path, folder: Path) -> None:
    """Put a run's policy into a folder of policies; weights become half-precision numbers, to be small."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    task = get_task(facts["args"]["env_id"]).spec.name
    actor, header = load_actor(run / "policy.safetensors"), about(run / "policy.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    halves = [(weight.half(), bias.half()) for weight, bias in actor.layers]
    save_actor(folder / f"{task}.safetensors", halves, actor.mean, actor.std, actor.base, header)


def kept_runs(method: str) -> dict[str, list[dict[str, Any]]]:
    """The kept runs of each task, by seed."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for task in task_names():
        files = sorted((KEPT / method).glob(f"{task}-*.json"))
        if files:
            runs[task] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return runs


def evaluations(run: dict[str, Any]) -> list[dict[str, float]]:
    """The points of a curve with an evaluation."""
    return [point for point in run["curve"] if "eval_success_once" in point]


def best_of(run: dict[str, Any]) -> dict[str, float]:
    """The evaluation of the policy that was kept: the last of the best, but not the one before training."""
    trained = [point for point in evaluations(run) if point["steps"] > 0]
    return max(enumerate(trained), key=lambda one: (one[1]["eval_success_once"], one[0]))[1]


def first_good(run: dict[str, Any]) -> dict[str, float] | None:
    """The first evaluation that reached :data:`GOOD`."""
    return next((point for point in evaluations(run) if point["eval_success_once"] >= GOOD), None)


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Cost and outcome of every run, as Markdown."""
    head = ["task", "seed", "steps", "minutes", "steps/s", "playing : learning", "minutes to 95 %", "steps to 95 %"]
    head += ["best held-out success", "grip"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for task, of_task in runs.items():
        for run in of_task:
            seconds, good, best = run["seconds"], first_good(run), best_of(run)
            busy = seconds["playing"] + seconds["learning"]
            cells = [
                task,
                run["args"]["seed"],
                f"{run['steps']:,}",
                f"{busy / 60:.1f}",
                f"{run['steps'] / busy:,.0f}",
                f"{seconds['playing'] / busy:.0%} : {seconds['learning'] / busy:.0%}",
                f"{good['minutes']:.1f}" if good else "not reached",
                f"{good['steps']:,}" if good else "not reached",
                f"{100 * best['eval_success_once']:.0f} %",
                f"{best['eval_grip']:.0f} N",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def origin(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Where and with what the runs were made."""
    some = next(iter(runs.values()))[0]
    hardware, versions = some["hardware"], some["versions"]
    names = ("python", "sapien", "mani_skill", "torch")
    dates = sorted({run["date"][:10] for of_task in runs.values() for run in of_task})
    return (
        f"{', '.join(dates)}; {hardware['cpu']}, one core per run of {hardware['cores']}; "
        + ", ".join(f"{name} {versions[name]}" for name in names)
        + f". Held-out: {some['args']['evaluation_states']} states, mean action; their time is not counted."
    )


def plot(runs: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Success over minutes."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 5.5), sharey=True, layout="constrained")
    for axis, (task, of_task) in zip(axes.flat, runs.items(), strict=False):
        for run in of_task:
            points = evaluations(run)
            (line,) = axis.plot(
                [point["minutes"] for point in points],
                [100 * point["eval_success_once"] for point in points],
                "o-",
                ms=3,
                label=f"seed {run['args']['seed']}",
            )
            training = [point for point in run["curve"] if "episode_success" in point]
            axis.plot(
                [point["minutes"] for point in training],
                100 * np.array([point["episode_success"] for point in training]),
                color=line.get_color(),
                alpha=0.25,
                lw=0.8,
            )
        axis.axhline(100 * GOOD, color="grey", lw=0.5, ls="--")
        axis.set(title=task, ylim=(-2, 102))
    for axis in axes.flat[len(runs) :]:
        axis.set_visible(False)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("minutes on one core")
    figure.supylabel("success once, %\n(faint: training episodes)", fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main(arguments: list[str]) -> None:
    option, paths = "".join(arguments[:1]), [Path(one) for one in arguments[1:]]
    if option == "--keep":
        for run in paths:
            keep(run)
        return
    if option == "--zoo":
        for run in paths:
            pack(run, ZOO / method_of(json.loads((run / "run.json").read_text(encoding="utf-8"))))
        return
    if option == "--pack":
        for run in paths[1:]:
            pack(run, paths[0])
        return
    text = made = PAGE.read_text(encoding="utf-8")
    for method, (begin, end) in MARKS.items():
        runs = kept_runs(method)
        before, rest = made.split(begin)
        made = f"{before}{begin}\n{table(runs)}\n\n{origin(runs)}\n{end}{rest.split(end)[1]}"
    if arguments == ["--check"]:
        if made != text:
            sys.exit("docs/baselines.md is not what the kept runs say; run scripts/make_baselines.py and commit it")
        print("docs/baselines.md is what the kept runs say")
        return
    PAGE.write_text(made, encoding="utf-8")
    plot(kept_runs(METHOD), CURVES)


if __name__ == "__main__":
    main(sys.argv[1:])
