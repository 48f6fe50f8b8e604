"""The command line: ``scaffold-bench ...``, also ``python -m scaffold_bench``."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.table import Table

from scaffold_bench.cli import leaderboard as cli_leaderboard
from scaffold_bench.cli import plans as cli_plans
from scaffold_bench.cli import submit as cli_submit
from scaffold_bench.cli.console import console, errors, say, warn
from scaffold_bench.version import __version__

app = tyro.extras.SubcommandApp()
app.command(cli_plans.app, name="plans", help="Make, show, check and improve plans.")
app.command(cli_submit.app, name="submit", help="Make, check and re-run submissions to the leaderboard.")
app.command(cli_leaderboard.app, name="leaderboard", help="Make the leaderboard's pages.")


@app.command
def doctor() -> None:
    """Check this machine: Python, packages, rendering, GPU, API key; each with its fix."""
    from scaffold_bench.doctor import diagnose

    checks = diagnose()
    table = Table(title=f"scaffold_bench {__version__}")
    for column in ("", "check", "found", "fix"):
        table.add_column(column, overflow="fold")
    marks = {"ok": "[green]ok[/green]", "missing": "[yellow]--[/yellow]", "broken": "[red]BROKEN[/red]"}
    for check in checks:
        table.add_row(marks[check.state], check.name, check.found, check.fix)
    console.print(table)
    if any(check.state == "broken" for check in checks):
        raise SystemExit(1)


@app.command
def tasks() -> None:
    """List the tasks."""
    from scaffold_bench.registration import task_names, task_spec

    table = Table(title="Tasks")
    for column in ("name", "id", "solved when", "ε₀"):
        table.add_column(column, no_wrap=column != "solved when")
    for name in task_names():
        spec = task_spec(name)
        threshold = f"{100 * spec.tracking_threshold:.0f} cm"
        table.add_row(name, spec.id, spec.success, threshold)
    console.print(table)


@app.command
def evaluate(
    policy: str = "reference",
    tasks: str = "all",
    preset: Literal["quick", "full"] = "quick",
    out: Path = Path("runs/evaluation"),
    states: int | None = None,
    trials: int | None = None,
    split: Literal["eval", "train"] = "eval",
    scaffolds: str = "oracle",
    workers: int = 1,
    num_envs: int = 32,
    video: int = 0,
) -> None:
    """Evaluate a policy on frozen start states, write its records and print the score table.

    An interrupted evaluation is resumed by the same command.

    Args:
        policy: reference, plan-only, plan-grasp, random, zoo:residual-ppo, file:PATH (a trained one) or module:Class.
        tasks: comma-separated short names or ids, or all.
        preset: quick (20 states x 1 trial) or full (100 x 20).
        out: folder for records.jsonl, manifest.json, summary.json and pictures.
        states: override the preset's number of start states.
        trials: override the preset's number of trials per state.
        split: eval (novel start states) or train.
        scaffolds: the planner: oracle, recorded:NAME, a plan file, ...; see 'scaffold-bench plans make --help'.
        workers: number of processes; the records do not depend on it.
        num_envs: episodes that a process runs side by side; the records do not depend on it.
        video: make a video and a tracking plot of the first N states of each task.
    """
    from scaffold_bench.evaluation import evaluate as run

    names = "all" if tasks == "all" else [name.strip() for name in tasks.split(",") if name.strip()]
    results = run(
        policy,
        names,
        preset,
        states=states,
        trials=trials,
        split=split,
        scaffolds=scaffolds,
        out=out,
        workers=workers,
        num_envs=num_envs,
        progress=True,
    )
    console.print(results.table())
    say(f"records, manifest and summary: {out}/")
    if video > 0:
        _record_videos(results.manifest, policy, out, min(video, results.manifest["states"]), scaffolds)


def _record_videos(manifest: dict[str, Any], policy: str, out: Path, count: int, scaffolds: str) -> None:
    """Videos and tracking plots of the first states' first trials; plots only where nothing can render."""
    from scaffold_bench.doctor import can_render
    from scaffold_bench.evaluation import make_policy
    from scaffold_bench.evaluation.media import VIDEO_SIZE, record_episode
    from scaffold_bench.policies.names import environment_of
    from scaffold_bench.registration import make_env

    rendering, reason = can_render()
    if not rendering:
        warn(f"no Vulkan driver, so no videos ({reason}); run 'scaffold-bench doctor' for the fix")
    camera = {"width": VIDEO_SIZE, "height": VIDEO_SIZE}
    for env_id in manifest["tasks"]:
        made = make_env(
            env_id,
            **environment_of(make_policy(policy)),
            scaffolds=scaffolds,
            split=manifest["split"],
            tracking_threshold=None,
            render_mode="rgb_array" if rendering else None,
            human_render_camera_configs=camera,
        )
        with contextlib.closing(made) as env:
            for state in range(count):
                stem = f"{env.task.spec.name}-{state:03d}"
                video, plot = out / "videos" / f"{stem}.mp4", out / "plots" / f"{stem}.png"
                with errors.status(f"recording {stem} ..."):
                    record_episode(env, make_policy(policy), state, 0, video if rendering else None, plot)
                if rendering:
                    say(f"video: {video}")
                say(f"planned against tracked keypoints: {plot}")


@app.command
def view(
    task: Annotated[str, tyro.conf.Positional],
    out: Path | None = None,
    state: int = 0,
    split: Literal["eval", "train"] = "eval",
    scaffolds: str = "oracle",
    steps: int = 0,
    size: int = 800,
) -> None:
    """Take a picture of a task's scene with its keypoints and plan.

    Args:
        task: short name or id.
        out: the PNG to write; runs/views/TASK.png by default.
        state: index of the start state.
        split: the set of start states.
        scaffolds: the planner: oracle, recorded:NAME, a plan file, ...; see 'scaffold-bench plans make --help'.
        steps: control steps that the reference policy takes before the picture.
        size: side of the picture, pixels.
    """
    from scaffold_bench.evaluation.media import write_image
    from scaffold_bench.registration import make_env

    camera = {"width": size, "height": size}
    env = make_env(
        task,
        scaffolds=scaffolds,
        split=split,
        tracking_threshold=None,
        render_mode="rgb_array",
        human_render_camera_configs=camera,
    )
    env.reset(seed=0, options={"state": state})
    for step in range(steps):
        env.step(env.task.reference_action(step, env.scaffold))
    target = out or Path("runs/views") / f"{env.task.spec.name}.png"
    write_image(target, env.render())
    env.close()
    say(f"picture: {target}")


@app.command(name="fake-gemini")
def fake_gemini(port: int = 8080, errors: bool = True, seed: int = 0) -> None:
    """Serve a local stand-in for Gemini, to try the planner vlm without a key; it knows the start states.

    Args:
        port: on 127.0.0.1.
        errors: make the mistakes of a model and of a service, at the rates of synthetic_planner.ErrorRates.
        seed: of the mistakes.
    """
    import threading

    from scaffold_bench.synthetic_planner import ErrorRates, FakeGemini, SimulatedPlanner
    from scaffold_bench.synthetic_planner.provider import SERVICE_FAULTS, picture_folder

    planner = SimulatedPlanner(None if errors else ErrorRates.none(), seed=seed, cache=picture_folder())
    with FakeGemini(planner, ErrorRates.none(**(SERVICE_FAULTS if errors else {})), seed=seed, port=port) as server:
        say("a stand-in for Gemini is listening; in another terminal:")
        say(f"  export GOOGLE_GEMINI_BASE_URL={server.url}")
        say("  export GEMINI_API_KEY=stand-in")
        say("  scaffold-bench plans make --provider vlm?timeout=600 -n 5")
        say("Its answers come from the simulator's truth and say nothing about any model. Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _raised_by_us(error: BaseException) -> bool:
    """Whether an error was raised in this package rather than, say, in a user's policy."""
    trace = traceback.extract_tb(error.__traceback__)
    return not trace or Path(trace[-1].filename).is_relative_to(Path(__file__).parents[1])


def main() -> None:
    """Entry point: known errors end in one sentence and exit code 2."""
    if sys.argv[1:] == ["--version"]:
        say(__version__)
        return
    try:
        app.cli(prog="scaffold-bench", description="A benchmark for plan-conditioned dexterous manipulation.")
    except KeyboardInterrupt:
        warn("interrupted; run the same command again to resume")
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (ValueError, TypeError, LookupError, OSError, RuntimeError) as error:
        if os.environ.get("SCAFFOLD_BENCH_DEBUG"):
            raise
        hint = "" if _raised_by_us(error) else " (SCAFFOLD_BENCH_DEBUG=1 shows where)"
        errors.print(f"scaffold-bench: {error}{hint}", style="red", soft_wrap=True, markup=False, highlight=False)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
