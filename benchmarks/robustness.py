"""How success falls when plans are noisy, or when the start state differs from the one that was planned for.

    python benchmarks/robustness.py --policies reference,plan-grasp,zoo:residual-ppo --states 20
    python benchmarks/robustness.py --draw                      # the picture from the results file

Two curves per policy. *Plan noise*: Gaussian noise on the oracle's plans, as ``noise(SIGMA):oracle`` makes it (an
offset per keypoint, noise per waypoint, the hand with both). *Start noise*: the plan is the oracle's for the frozen
start state, then objects and hand are displaced (x and y of objects, x, y and z of the hand). Evaluation states, no
tracking termination, one episode per state; the same noise for every policy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro

from scaffold_bench.plan_sets.make import requests
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.names import environment_of, make_policy, policy_source
from scaffold_bench.records import manifest, write_atomically
from scaffold_bench.registration import get_task, start_states, task_names
from scaffold_bench.scaffolds import resolve_provider
from scaffold_bench.types import Scaffold, StartState

RESULTS = Path(__file__).parent / "results" / "robustness.json"
PICTURE = Path(__file__).parents[1] / "docs" / "robustness.png"
KINDS = ("plan", "start")


@dataclass
class Args:
    policies: str = "reference,plan-grasp,zoo:residual-ppo"
    """comma-separated policies"""
    tasks: str = "all"
    """comma-separated short names, or all"""
    sigmas: tuple[float, ...] = (0.0, 0.01, 0.02, 0.03, 0.04)
    """standard deviations per axis, metres"""
    states: int = 20
    """evaluation states per task and point"""
    seed: int = 0
    """of the noise"""
    out: Path = RESULTS
    """results as JSON; points that it holds for the same settings and weights are not run again (policies without
    weights have no hash, so delete their points after a change of their code)"""
    draw: bool = False
    """draw the picture only"""


def displaced(start: StartState, sigma: float, rng: np.random.Generator) -> StartState:
    """A start with Gaussian noise on objects (x, y) and hand (x, y, z)."""
    objects = {name: pose + np.array([*rng.normal(0, sigma, 2), 0, 0, 0, 0, 0]) for name, pose in start.objects.items()}
    wrist = start.wrist + np.array([*rng.normal(0, sigma, 3), 0, 0, 0])
    return StartState(wrist, objects, start.joints)


def success(policy: str, task: str, plans: list[Scaffold], starts: list[StartState]) -> float:
    """Share of episodes in which the task was solved, all side by side."""
    make: Any = gym.make_vec
    spec = get_task(task).spec
    actors = [make_policy(policy) for _ in plans]
    settings = {"split": "eval", "tracking_threshold": None, "autoreset": False, **environment_of(actors[0])}
    env = make(spec.id, num_envs=len(plans), **settings)
    observation, _ = env.reset(seed=0, options={"start": starts, "scaffold": plans})
    for actor, plan in zip(actors, plans, strict=True):
        script = lambda step, plan=plan: env.task.reference_action(step, plan)  # noqa: E731
        actor.reset(Episode(spec, plan, env.observation_layout, 0, script))
    for _ in range(get_task(task).spec.horizon):
        actions = np.stack([actor.act(row) for actor, row in zip(actors, observation, strict=True)])
        observation, *_, infos = env.step(actions.astype(np.float32))
    env.close()
    return float(infos["success_once"].mean())


def measure(args: Args) -> dict[str, Any]:
    """All points; those that the results file already holds are kept."""
    torch.set_num_threads(1)
    names = list(task_names()) if args.tasks == "all" else args.tasks.split(",")
    settings = {"states": args.states, "seed": args.seed}
    results: dict[str, Any] = {"settings": settings, "points": []}
    if args.out.is_file():
        old = json.loads(args.out.read_text(encoding="utf-8"))
        if old["settings"] == settings:
            results = old
    for policy in args.policies.split(","):
        source = policy_source(policy, make_policy(policy))
        results["points"] = [p for p in results["points"] if p["policy"] != policy or p["source"] == source]
        known = {(p["policy"], p["task"], p["kind"], p["sigma"]) for p in results["points"]}
        for task in names:
            frozen = start_states(get_task(task), "eval")
            assert frozen is not None
            asked = [request for _, request in requests(task, "eval", range(args.states), privileged=True)]
            exact = [resolve_provider("oracle").plan(request) for request in asked]
            for kind in KINDS:
                for sigma in args.sigmas:
                    if (policy, task, kind, sigma) in known or (kind == "start" and sigma == 0):
                        continue
                    starts, plans = [frozen[state] for state in range(args.states)], exact
                    if kind == "plan":
                        noisy = resolve_provider(f"noise({sigma},seed={args.seed}):oracle")
                        plans = [noisy.plan(request) for request in asked]
                    else:
                        rng = np.random.default_rng([args.seed, round(1e4 * sigma)])
                        starts = [displaced(start, sigma, rng) for start in starts]
                    share = success(policy, task, plans, starts)
                    point = {"policy": policy, "task": task, "kind": kind, "sigma": sigma, "success": share}
                    point |= {"source": source}
                    results["points"].append(point)
                    print(json.dumps(point), flush=True)
            results |= {"manifest": manifest({"benchmark": "robustness"}, ["benchmarks/robustness.py"])}
            args.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(args.out, json.dumps(results, indent=1) + "\n")
    return results


def draw(results: dict[str, Any], path: Path) -> None:
    """Mean over tasks, and each task faintly, for both kinds of noise."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    points = results["points"]
    policies = list(dict.fromkeys(point["policy"] for point in points))
    for axis, kind in zip(axes, KINDS, strict=True):
        for index, policy in enumerate(policies):
            of_policy = [p for p in points if p["policy"] == policy and (p["kind"] == kind or p["sigma"] == 0)]
            sigmas = sorted({point["sigma"] for point in of_policy})
            for task in dict.fromkeys(point["task"] for point in of_policy):
                curve = {p["sigma"]: 100 * p["success"] for p in of_policy if p["task"] == task}
                axis.plot([100 * s for s in sorted(curve)], [curve[s] for s in sorted(curve)], f"C{index}", alpha=0.15)
            means = [100 * np.mean([p["success"] for p in of_policy if p["sigma"] == sigma]) for sigma in sigmas]
            axis.plot([100 * sigma for sigma in sigmas], means, f"C{index}o-", label=policy)
        axis.set(title=f"{kind} noise", xlabel="standard deviation per axis [cm]", ylim=(-2, 102))
    axes[0].set_ylabel("success once, % (faint: single tasks)")
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main(args: Args) -> None:
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.draw else measure(args)
    draw(results, PICTURE)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
