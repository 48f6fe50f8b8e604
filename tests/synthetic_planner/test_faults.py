"""Whatever a model's service does wrong, asking for a plan gives a plan: a valid one, or one that says why not."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from scaffold_bench.scaffolds.vlm.model import Budget, GeminiModel
from scaffold_bench.scaffolds.vlm.prompting import waypoints_json
from scaffold_bench.scaffolds.vlm.provider import VlmProvider
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.planner import Asked, kind_of
from scaffold_bench.synthetic_planner.server import FAULTS, FakeGemini, client
from scaffold_bench.types import CameraView, Scaffold, ScaffoldRequest

pytest.importorskip("google.genai")

REQUESTS, ATTEMPTS, WAYPOINTS = 50, 3, 20
SIDE = 80
NAMES = ("block", "goal")
BLOCK, GOAL = (0.0, 0.0, 0.0), (0.375, -0.375, 0.0)
REASONS = {
    "slow": "timeout",
    "closed": "connection",
    "quota": "quota: gemini-2.5-flash answered 429",
    "server_error": "server: gemini-2.5-flash answered 500",
    "blocked": "blocked",
    "empty": "gave no text",
    "truncated": "no whole and valid JSON list",
    "malformed": "no whole and valid JSON list",
    "not_finite": "no whole and valid JSON list",
    "wrong_count": f"has {WAYPOINTS - 1} waypoints, {WAYPOINTS} were asked for",
}


def request(number: int) -> ScaffoldRequest:
    """A table at z = 0 seen from 1 m above, with a block in the middle; each number's picture is another one."""
    camera_to_world = np.diag([1.0, -1.0, -1.0, 1.0])
    camera_to_world[2, 3] = 1.0
    body = np.full((SIDE, SIDE), -1, np.int16)
    body[30:50, 30:50] = 0
    view = CameraView(
        rgb=np.full((SIDE, SIDE, 3), number, np.uint8),
        depth=np.ones((SIDE, SIDE), np.float32),
        body=body,
        intrinsics=np.array([[SIDE, 0, SIDE / 2], [0, SIDE, SIDE / 2], [0, 0, 1.0]]),
        camera_to_world=camera_to_world,
    )
    wrist = np.array([0.2, 0.1, 0.3, 0.0, 0.0, 0.0])
    return ScaffoldRequest("table", "Lift the block", NAMES, wrist, number, "eval", ("block",), view=view)


def answer(prompt: str, image: bytes | None, model: str) -> str:
    """Knows where things are on that table, and lifts the block by 20 cm."""
    assert image is not None
    assert model == "gemini-2.5-flash"
    if kind_of(prompt) == "keypoints":
        return json.dumps([{"name": "block", "point": [500, 500]}, {"name": "goal", "point": [875, 875]}])
    asked = Asked.read(prompt)
    lifted = np.clip((np.arange(asked.count) - asked.move) / (asked.count - 1 - asked.move), 0, 1) * 0.2
    height = lifted[:, None] * [0, 0, 1]
    there = np.clip(np.arange(asked.count) / asked.arrive, 0, 1)[:, None]
    hands = asked.hand + there * (asked.places["block"] - asked.hand) + height
    places = np.stack([asked.places["block"] + height, np.tile(asked.places["goal"], (asked.count, 1))], axis=1)
    return f"Here is the plan.\n```json\n{waypoints_json(NAMES, places, hands)}\n```"


def provider(url: str, **budget: Any) -> VlmProvider:
    # a timeout far beyond any answer, unless it is what is tested: this machine may be busy
    patience: dict[str, Any] = {"attempts": ATTEMPTS, "seconds": 120.0, "timeout": 20.0, "backoff": 0.01}
    model = GeminiModel(concurrency=REQUESTS, client=client(url))
    return VlmProvider(model, waypoints=WAYPOINTS, budget=Budget(**{**patience, **budget}))


def plans(fault: str, rate: float) -> tuple[list[Scaffold], FakeGemini]:
    rates = ErrorRates.none(**{fault: rate}, slow_seconds=30.0)
    # waiting takes no processor, so that many may wait at once; the SDK takes a second for the shortest timeout
    workers, budget = (REQUESTS, {"timeout": 0.5}) if fault == "slow" else (4, {})
    with FakeGemini(answer, rates, seed=1) as fake, ThreadPoolExecutor(workers) as pool:
        made = list(pool.map(provider(fake.url, **budget).plan, map(request, range(REQUESTS))))
    assert fake.errors == []
    return made, fake


def check(made: list[Scaffold], fake: FakeGemini) -> None:
    """Every plan is one, failures are explained, and nobody asked more often than the budget allows."""
    assert len(made) == REQUESTS
    for plan in made:
        assert isinstance(plan, Scaffold)
        assert bool(plan.reason) != plan.valid
        assert plan.provenance["questions"] <= 2 * ATTEMPTS
        assert np.isfinite(plan.keypoints).all()
    assert sum(fake.requests.values()) == sum(int(plan.provenance["questions"]) for plan in made)


def test_all_plans_are_valid_if_nothing_goes_wrong() -> None:
    made, fake = plans("quota", 0.0)
    check(made, fake)
    assert all(plan.valid for plan in made)
    assert fake.requests == {"keypoints": REQUESTS, "trajectory": REQUESTS}
    plan = made[0]
    np.testing.assert_allclose(plan.keypoints[0], [BLOCK, GOAL], atol=1e-3)
    np.testing.assert_allclose(plan.keypoints[-1] - plan.keypoints[0], [(0, 0, 0.2), (0, 0, 0)], atol=1e-3)
    assert plan.attachments == ("block", "world")
    assert plan.provenance["answered_by"] == "simulated-vlm"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_never_ends_fails_every_plan_and_is_named(fault: str) -> None:
    made, fake = plans(fault, 1.0)
    check(made, fake)
    assert not any(plan.valid for plan in made)
    assert all(REASONS[fault] in plan.reason for plan in made), made[0].reason
    assert fake.faults[fault] == REQUESTS * ATTEMPTS
    for plan in made:
        np.testing.assert_array_equal(plan.wrist, np.tile(plan.wrist[0], (len(plan.wrist), 1)))


@pytest.mark.parametrize("fault", FAULTS)
def test_most_plans_survive_a_fault_in_three_of_ten_answers(fault: str) -> None:
    made, fake = plans(fault, 0.3)
    check(made, fake)
    assert fake.faults[fault] > 0.15 * REQUESTS
    assert sum(plan.valid for plan in made) >= 0.8 * REQUESTS  # expected: 0.95, as a question fails with 0.3 ** 3
    assert any("failures" in plan.provenance for plan in made if plan.valid)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_question_alone_fails_as_well(fault: str) -> None:
    with FakeGemini(answer, ErrorRates.none(**{fault: 1.0}, slow_seconds=30.0)) as fake:
        budget = {"timeout": 0.5} if fault == "slow" else {}
        asking = provider(fake.url, attempts=2, **budget)
        plan = asking.plan_with_keypoints(request(0), np.array([BLOCK, GOAL]), ("block", "world"))
    assert not plan.valid
    assert plan.reason.startswith("trajectory: ")
    assert REASONS[fault] in plan.reason
    assert fake.requests == {"trajectory": 2}


def test_many_faults_at_once() -> None:
    rates = ErrorRates.none(**dict.fromkeys(set(FAULTS) - {"slow"}, 0.05))
    with FakeGemini(answer, rates) as fake, ThreadPoolExecutor(4) as pool:
        made = list(pool.map(provider(fake.url).plan, map(request, range(REQUESTS))))
    check(made, fake)
    assert len(fake.faults) > 5
    assert sum(plan.valid for plan in made) >= 0.7 * REQUESTS


def test_time_is_a_budget_too() -> None:
    began = time.monotonic()
    with FakeGemini(answer, ErrorRates.none(slow=1.0, slow_seconds=60.0)) as fake:
        plan = provider(fake.url, attempts=100, seconds=2.5, timeout=1.0).plan(request(0))
    assert not plan.valid
    assert plan.reason.startswith("2.5 s are over; keypoints: timeout")
    assert time.monotonic() - began < 10


def test_a_service_that_is_gone_fails_the_plan() -> None:
    with FakeGemini(answer) as fake:
        gone = provider(fake.url)
        assert gone.plan(request(0)).valid
    plan = gone.plan(request(1))
    assert not plan.valid
    assert "connection" in plan.reason
