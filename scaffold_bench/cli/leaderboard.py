"""``scaffold-bench leaderboard build | trace``."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import tyro

from scaffold_bench.cli.console import say

app = tyro.extras.SubcommandApp()
CACHE = Path.home() / ".cache" / "scaffold-bench"
"""Outside the checkout, because a pull request could bring a cache folder of its own."""


@app.command
def build(
    out: Path = Path("site"),
    submissions: Path = Path("leaderboard/submissions"),
    docs: Path = Path("docs"),
    traces: Path = Path("leaderboard/traces"),
    videos: Path = Path("leaderboard/videos"),
    workers: int = os.cpu_count() or 1,
    cache: Path | None = CACHE,
) -> None:
    """Make the leaderboard's pages; they can be opened as files or served by any static host.

    Args:
        out: the folder to make; an earlier site there is replaced.
        submissions: folder with the submissions.
        docs: the documentation, for pictures of tasks and the page on submitting.
        traces: recorded episodes for the replays.
        videos: folder with <submission>/<task>.mp4.
        workers: number of processes that check the submissions.
        cache: folder with the results of earlier checks, by the submissions' bytes; None checks all again.
    """
    from scaffold_bench.leaderboard.build import build as make

    began = time.perf_counter()
    made = make(submissions, out, docs, traces, videos, workers, cache)
    say(
        f"{made.ranked} submissions ranked, {made.refused} refused; {made.pages} pages, {made.bytes / 1e6:.1f} MB in "
        f"{time.perf_counter() - began:.1f} s: {out}/index.html"
    )


@app.command
def trace(
    out: tyro.conf.Positional[Path],
    task: str,
    policy: str = "reference",
    state: int = 0,
    trial: int = 0,
    scaffolds: str = "oracle",
    method: str = "",
) -> None:
    """Record an evaluation episode for the site's replays.

    Args:
        out: the JSON file to write, in leaderboard/traces for the site.
        task: short name or id.
        policy: as in evaluate.
        state: index of the start state.
        trial: number of the trial.
        scaffolds: the planner: oracle, or the path of a plan file.
        method: folder of the submission that the episode belongs to, for a link.
    """
    from scaffold_bench.evaluation import make_policy
    from scaffold_bench.evaluation.replay import record_trace, write_trace
    from scaffold_bench.policies.names import environment_of
    from scaffold_bench.registration import make_env

    acting = make_policy(policy)
    settings = {"scaffolds": scaffolds, "split": "eval", "tracking_threshold": None, **environment_of(acting)}
    with contextlib.closing(make_env(task, **settings)) as env:
        made = record_trace(env, acting, policy, state, trial, method)
    write_trace(out, made)
    say(
        f"{'solved' if made.success else 'not solved'}, {len(made.frames)} frames, "
        f"{out.stat().st_size / 1e3:.0f} kB: {out}"
    )
