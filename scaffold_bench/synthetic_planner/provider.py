"""The planner ``simulated-vlm``: the real client asks the real questions, and the local stand-in answers."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from scaffold_bench.plan import PLAN_WAYPOINTS
from scaffold_bench.scaffolds.vlm.examples import load_examples
from scaffold_bench.scaffolds.vlm.model import Budget, GeminiModel
from scaffold_bench.scaffolds.vlm.provider import VlmProvider
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.planner import SimulatedPlanner
from scaffold_bench.synthetic_planner.server import MODEL_VERSION, FakeGemini, client

ANSWER_SECONDS = 600.0
"""Time limit of an answer: the first one of a task waits until the stand-in has pictures of all its start states."""
SERVICE_FAULTS = {"malformed": 0.03, "truncated": 0.03, "quota": 0.02, "server_error": 0.01, "blocked": 0.01}
"""Rates of the service's faults, beside the planner's own errors (ours): enough to exercise every branch."""


def picture_folder() -> Path:
    """The folder of the pictures of start states: in XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scaffold_bench" / "pictures"


def simulated_vlm(
    waypoints: str = str(PLAN_WAYPOINTS), shots: str = "0", examples: str = "", errors: str = "1", seed: str = "0"
) -> VlmProvider:
    """Make the planner named ``simulated-vlm?shots=3&examples=FILE&waypoints=N&errors=0&seed=S``.

    It has a server of its own, which runs as long as the planner exists. With ``errors=0`` neither makes mistakes.

    Raises:
        ValueError: an option that is not a number, or a file that holds no examples.
    """
    with_errors, number = bool(int(errors)), int(seed)
    made = VlmProvider(
        name=MODEL_VERSION,
        waypoints=int(waypoints),
        budget=Budget(attempts=4, seconds=2 * ANSWER_SECONDS, timeout=ANSWER_SECONDS, backoff=0.05),
        examples=load_examples(Path(examples)) if examples else None,
        shots=int(shots),
        seed=number,
        label=MODEL_VERSION,
    )
    answering = SimulatedPlanner(None if with_errors else ErrorRates.none(), seed=number, cache=picture_folder())
    server = FakeGemini(answering, ErrorRates.none(**(SERVICE_FAULTS if with_errors else {})), seed=number)
    server.__enter__()
    weakref.finalize(made, server.__exit__)
    made.model = GeminiModel(concurrency=2, client=client(server.url))
    return made
