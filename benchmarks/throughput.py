"""Environment steps a second: physics alone, batches, processes, and ManiSkill's own loops.

    python benchmarks/throughput.py                 # all tasks, about 25 minutes on two cores
    python benchmarks/throughput.py --tasks hammer --sizes 1 16 64

All of them play the same scripted actions, which grasp: the first ``--steps`` control steps of the evaluation states.
Compare figures of one run only, not of different runs or machines. Prints a table and writes
``throughput.json``, ``throughput.png`` and the table in ``docs/performance.md``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in processes spawned

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
import tyro
from rich.console import Console

from scaffold_bench.envs.start_states import STATES_PER_SPLIT
from scaffold_bench.records.folder import manifest
from scaffold_bench.registration import get_task, task_names

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- throughput: made by benchmarks/throughput.py -->", "<!-- end of throughput -->"
BATCH = 64
UNIFORM_MARGIN = 0.01  # metres, the setting the contact margins are compared with
IN_CONTACT = 120  # control step from which the reference policy holds the object in every task
console = Console()


@dataclass
class Args:
    """What to measure."""

    tasks: tuple[str, ...] = ()
    """Short names; all if empty."""
    sizes: tuple[int, ...] = (1, 4, 16, 64, 256, 512)
    """Batch sizes."""
    steps: int = 180
    """Control steps in each measurement."""
    processes: int = os.cpu_count() or 1
    """Number of processes in the measurements with several processes."""
    passes: int = 2
    """Passes over the measurements behind the ratios; the fastest counts."""
    out: Path = ROOT / "benchmarks" / "results"
    """Folder of the JSON file and the plot."""
    docs: bool = False
    """Write the table into docs/performance.md as well."""


def states(count: int) -> list[int]:
    """Evaluation states of a batch."""
    return [index % STATES_PER_SPLIT for index in range(count)]


def make_batch(task: str, count: int) -> Any:
    return gym.make_vec(get_task(task).spec.id, num_envs=count, split="eval", tracking_threshold=None)


def scripted_actions(env: Any, steps: int) -> list[np.ndarray]:
    """The reference actions (n, A) of every step."""
    task = env.unwrapped.task
    return [np.stack([task.reference_action(step, plan) for plan in env.scaffolds]) for step in range(steps)]


def rate(env: Any, actions: Sequence[np.ndarray]) -> float:
    """Steps a second of playing the actions."""
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return len(actions) / (time.perf_counter() - start)


def time_batch(task: str, count: int, steps: int, passes: int = 1) -> float:
    """Environment steps a second of one batch in this process."""
    env = make_batch(task, count)
    best = 0.0
    for _ in range(passes):
        env.reset(seed=0, options={"state": states(count)})
        best = max(best, count * rate(env, scripted_actions(env, steps)))
    env.close()
    return best


def record_targets(env: Any, steps: int) -> list[list[list[float]]]:
    """The joint targets (steps, n, 22) of a scripted batch."""
    targets: list[list[list[float]]] = []
    simulation = env._simulation
    play = simulation.step

    def recording(rows: torch.Tensor) -> Any:
        targets.append(rows.tolist())
        return play(rows)

    simulation.step = recording
    for action in scripted_actions(env, steps):
        env.step(action)
    simulation.step = play
    return targets


def time_physics(env: Any, targets: Sequence[Any], first: int = 0) -> float:
    """Environment steps a second of ``px.step()`` alone along a recorded batch, from step ``first`` on."""
    env.reset(seed=0, options={"state": states(env.num_envs)})
    worlds = env._simulation.worlds
    simulate = [world.scene.px.step for world in worlds]
    spent = 0.0
    for step, rows in enumerate(targets):
        for world, row in zip(worlds, rows, strict=True):
            world.apply_targets(row)
        start = time.perf_counter()
        for one in simulate:  # both substeps of a world before the next
            one()
            one()
        spent += time.perf_counter() - start if step >= first else 0.0
    return len(worlds) * (len(targets) - first) / spent


def set_margins(env: Any, margin: float) -> None:
    """Give every shape the same contact margin."""
    for world in env._simulation.worlds:
        system = world.scene.px
        bodies = system.rigid_dynamic_components + system.rigid_static_components + system.articulation_link_components
        for body in bodies:
            for shape in body.collision_shapes:
                shape.set_contact_offset(margin)


def measure_physics(task: str, steps: int, passes: int) -> dict[str, float]:
    """Steps a second of physics alone: over the episode, while the object is held, and that with uniform margins."""
    env = make_batch(task, BATCH)
    env.reset(seed=0, options={"state": states(BATCH)})
    targets = record_targets(env, steps)
    raw = max(time_physics(env, targets) for _ in range(passes))
    holding = max(time_physics(env, targets, IN_CONTACT) for _ in range(passes))
    set_margins(env, UNIFORM_MARGIN)
    uniform = max(time_physics(env, targets, IN_CONTACT) for _ in range(passes))
    env.close()
    return {"raw": raw, "raw_holding": holding, "raw_holding_uniform": uniform}


def time_single(task: str, steps: int) -> float:
    """Environment steps a second of ``gym.make``: ManiSkill's own loop around one environment."""
    env = gym.make(get_task(task).spec.id, split="eval", tracking_threshold=None)
    env.reset(seed=0, options={"state": 0})
    inner: Any = env.unwrapped
    actions = [inner.task.reference_action(step, inner.scaffold) for step in range(steps)]
    found = rate(env, actions)
    env.close()
    return found


def time_async(task: str, count: int, steps: int) -> float:
    """Environment steps a second of Gymnasium's AsyncVectorEnv over ``count`` single environments."""
    env_id = get_task(task).spec.id
    env = gym.make_vec(env_id, count, vectorization_mode="async", split="eval", tracking_threshold=None)
    env.reset(seed=0, options={"state": 0})
    plan = make_batch(task, 1)
    plan.reset(seed=0, options={"state": 0})
    actions = [np.repeat(action, count, axis=0) for action in scripted_actions(plan, steps)]
    found = count * rate(env, actions)
    env.close()
    return found


def _in_process(task: str, steps: int, barrier: Any, results: Any) -> None:
    torch.set_num_threads(1)
    env = make_batch(task, BATCH)
    env.reset(seed=0, options={"state": states(BATCH)})
    actions = scripted_actions(env, steps)
    barrier.wait()
    results.put(BATCH * rate(env, actions))


def time_processes(task: str, processes: int, steps: int) -> float:
    """Environment steps a second of one batch in each of several processes that start together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_in_process, args=(task, steps, barrier, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(total)


def measure(task: str, args: Args) -> dict[str, Any]:
    """Every figure of one task, environment steps a second."""

    def step(what: str, work: Callable[[], Any]) -> Any:
        with console.status(f"{task}: {what} ..."):
            return work()

    found: dict[str, Any] = step("physics", lambda: measure_physics(task, args.steps, args.passes))
    found["batched"] = {
        str(size): step(f"batch of {size}", lambda size=size: time_batch(task, size, args.steps, args.passes))  # type: ignore[misc]
        for size in sorted({*args.sizes, BATCH})
    }
    found["one_process"] = step("one process", lambda: time_processes(task, 1, args.steps))
    found["processes"] = step("processes", lambda: time_processes(task, args.processes, args.steps))
    found["single"] = step("gym.make", lambda: time_single(task, args.steps))
    counts = (args.processes, 4 * args.processes)
    found["async"] = {
        str(count): step(f"AsyncVectorEnv of {count}", lambda count=count: time_async(task, count, args.steps))  # type: ignore[misc]
        for count in counts
    }
    found["ratios"] = ratios(found)
    return found


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """The ratios that are reported."""
    batched = found["batched"]
    made = {
        "batch / raw limit": batched[str(BATCH)] / found["raw"],
        "batch / gym.make": batched[str(BATCH)] / found["single"],
        "processes / AsyncVectorEnv": found["processes"] / max(found["async"].values()),
        "processes / one process": found["processes"] / found["one_process"],
        "uniform margins / ours, time in contact": found["raw_holding"] / found["raw_holding_uniform"],
    }
    if {"16", "256"} <= set(batched):
        made["N = 256 / N = 16"] = batched["256"] / batched["16"]
    return made


def to_markdown(result: dict[str, Any]) -> str:
    """The tables of ``docs/performance.md``."""
    found, processes = result["tasks"], result["arguments"]["processes"]
    sizes = list(next(iter(found.values()))["batched"])
    head = ["task", "raw limit", *(f"N = {size}" for size in sizes), f"{processes} x {BATCH}", "`gym.make`", "Async"]
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    for task, row in found.items():
        rates = [row["raw"], *row["batched"].values(), row["processes"], row["single"], max(row["async"].values())]
        lines.append(" | ".join([task, *(f"{rate:,.0f}" for rate in rates)]))
    names = list(next(iter(found.values()))["ratios"])
    lines += ["", " | ".join(["ratio", *found]), " | ".join(["---", *["---:"] * len(found)])]
    lines += [" | ".join([name, *(f"{row['ratios'][name]:.2f}" for row in found.values())]) for name in names]
    hardware, versions = result["hardware"], result["versions"]
    where = f"{hardware['cpu']}, {hardware['cores']} cores; " + ", ".join(
        f"{name} {versions[name]}" for name in ("python", "sapien", "mani_skill", "torch", "gymnasium")
    )
    command = " ".join(["python", "benchmarks/throughput.py", *result["command"][1:]])
    source = f"`{command}`, {result['date'][:10]}, {where}. Environment steps a second."
    table = "\n".join(f"| {line} |" if line else "" for line in lines)
    return f"{source}\n\n{table}\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Steps a second over the batch size, with the raw limit and ManiSkill's ways."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 5.5), sharex=True, sharey=True, layout="constrained")
    for axis, (task, row) in zip(axes.flat, result["tasks"].items(), strict=False):
        sizes = [int(size) for size in row["batched"]]
        axis.plot(sizes, list(row["batched"].values()), "o-", label="batched, one core")
        axis.axhline(row["raw"], color="black", lw=1, label="raw limit, one core")
        axis.axhline(row["single"], color="tab:orange", ls="--", lw=1, label="gym.make, one core")
        each = max(row["async"].values()) / result["arguments"]["processes"]
        axis.axhline(each, color="tab:red", ls=":", label="AsyncVectorEnv, per core")
        axis.set(title=task, xscale="log")
        axis.set_ylim(0)
    axes[0, 0].legend(fontsize=7)
    figure.supxlabel("environments in the batch")
    figure.supylabel("environment steps a second")
    figure.savefig(path, dpi=110)


def write_docs(result: dict[str, Any]) -> None:
    """Put the tables into ``docs/performance.md``."""
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    DOCS.write_text(f"{before}{BEGIN}\n{to_markdown(result)}{END}{after}", encoding="utf-8")


def main(args: Args) -> None:
    torch.set_num_threads(1)
    names = args.tasks or task_names()
    arguments = {"steps": args.steps, "processes": args.processes, "batch": BATCH, "passes": args.passes}
    result = {**manifest({}, ["throughput.py", *sys.argv[1:]]), "arguments": arguments, "tasks": {}}
    args.out.mkdir(parents=True, exist_ok=True)
    for task in names:
        result["tasks"][task] = measure(task, args)
        (args.out / "throughput.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(to_markdown(result), markup=False, highlight=False)
    plot(result, args.out / "throughput.png")
    if args.docs:
        write_docs(result)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
