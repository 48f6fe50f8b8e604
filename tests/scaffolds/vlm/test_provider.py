"""The planner with scripted answers on a made-up table: what is asked, what becomes of the answers, budgets, replay."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaffold_bench.control import wrist_rotation
from scaffold_bench.plan_sets.make import requests
from scaffold_bench.scaffolds.vlm import prompting
from scaffold_bench.scaffolds.vlm.examples import load_examples, save_examples
from scaffold_bench.scaffolds.vlm.model import Answer, Budget, GeminiModel, Query, Recording, VlmError
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.scaffolds.vlm.provider import VlmProvider, example_of, hand_of, wrists_of
from scaffold_bench.types import CameraView, ScaffoldRequest

N = 5


def view(size: int = 100) -> CameraView:
    """A table at height 0 seen from 2 m above; +u is +x, +v is -y; a block at (-0.1..0.1, -0.1..0.1), 10 cm high."""
    depth, body = np.full((size, size), 2.0, np.float32), np.full((size, size), -1, np.int16)
    depth[45:55, 45:55], body[45:55, 45:55] = 1.9, 0
    intrinsics, pose = np.array([[100.0, 0, 50], [0, 100.0, 50], [0, 0, 1]]), np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = 2.0
    return CameraView(np.zeros((size, size, 3), np.uint8), depth, body, intrinsics, pose)


def request(**changes: Any) -> ScaffoldRequest:
    facts: dict[str, Any] = dict(
        task="hammer",
        instruction="Hammer three times",
        keypoint_names=("handle", "goal"),
        wrist=np.array([0.0, -0.2, 0.5, 0.1, 0.2, 0.3]),
        state=3,
        split="train",
        bodies=("hammer",),
        keypoint_hints=("the middle of it", "a place"),
        motion_hint="Up and down.",
        hand_turn=(0.0, 0.0, 0.0),
        grasp_point=(0.0, 0.0, -0.1),
        view=view(),
    )
    return ScaffoldRequest(**{**facts, **changes})


POINTS = json.dumps([{"name": "handle", "point": [500, 500]}, {"name": "goal", "point": [200, 700]}])


def path_answer(asked: Query, count: int = N) -> str:
    """Lift the handle by 20 cm; the goal stays; the hand goes to the handle and with it."""
    import re

    numbers = {
        name: [float(x) for x in found.split(",")]
        for name, found in re.findall(r"^- (\w+): \[([-\d., ]+)\]$", asked.prompt, re.M)
    }
    rows = [
        {"handle": [0, 0, 0.2 * i / (count - 1)], "goal": numbers["goal"], "hand": [0, 0, 0.2 * i / (count - 1)]}
        for i in range(count)
    ]
    rows[0]["hand"] = numbers["hand"]
    return json.dumps(rows)


class Scripted:
    """Answers with what a script says: text, an error to raise, or a function of the query."""

    def __init__(self, *script: Any, signs: str = "scripted-1") -> None:
        self.script, self.signs = list(script), signs
        self.asked: list[Query] = []
        self.timeouts: list[float] = []

    def ask(self, query: Query, timeout: float) -> Answer:
        self.asked.append(query)
        self.timeouts.append(timeout)
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return Answer(said(query) if callable(said) else said, self.signs, 1000, 100, 0.5)


def provider(model: Any, **changes: Any) -> VlmProvider:
    made = VlmProvider(model, **{"waypoints": N, "budget": Budget(attempts=3, backoff=0.0), **changes})
    made._sleep = lambda _: None
    return made


# ------------------------------------------------------------------------------------------------ plans
def test_two_answers_make_a_plan() -> None:
    model = Scripted(POINTS, path_answer, signs="gemini-2.5-flash-001")
    plan = provider(model).plan(request())
    assert plan.valid, plan.reason
    assert plan.attachments == ("hammer", "world")
    np.testing.assert_allclose(plan.keypoints[0], [[0, 0, 0.1], [0.4, 0.6, 0.0]], atol=2e-3)
    np.testing.assert_allclose(plan.keypoints[-1, 0] - plan.keypoints[0, 0], [0, 0, 0.2], atol=1e-6)
    np.testing.assert_allclose(plan.keypoints[:, 1] - plan.keypoints[0, 1], 0, atol=2e-3)
    np.testing.assert_allclose(plan.wrist[0], request().wrist, atol=1e-6)
    np.testing.assert_allclose(plan.wrist[-1], [0, 0, 0.1 + 0.2 + 0.1, 0, 0, 0], atol=2e-3)  # grasp point: 10 cm below
    assert [query.purpose for query in model.asked] == ["keypoints", "trajectory"]
    facts = plan.provenance
    assert (facts["provider"], facts["answered_by"], facts["questions"]) == ("vlm", "gemini-2.5-flash-001", 2)
    assert (facts["thinking_budget"], facts["code_execution"], facts["shots"]) == (1000, True, 0)
    assert (facts["tokens_in"], facts["tokens_out"], facts["seconds"]) == (2000, 200, 1.0)
    assert facts["usd"] == pytest.approx((2000 * 0.30 + 200 * 2.50) / 1e6)
    assert facts["pixel/goal"] == "70,20"


def test_settings_of_the_two_questions() -> None:
    model = Scripted(POINTS, path_answer)
    provider(model, name="gemini-x", temperature=0.3, thinking_budget=1000).plan(request())
    first, second = model.asked
    assert (first.model, first.temperature, first.thinking_budget, first.code_execution) == (
        "gemini-x",
        0.3,
        None,
        False,
    )
    assert (second.temperature, second.thinking_budget, second.code_execution) == (0.3, 1000, True)
    assert first.image is not None
    assert first.image.startswith(b"\x89PNG")


def test_a_price_that_is_not_known_is_not_made_up() -> None:
    """Prices are of who answered, not of who was asked: here it was nobody that is known."""
    plan = provider(Scripted(POINTS, path_answer), name="gemini-2.5-flash").plan(request())
    assert "usd" not in plan.provenance


def test_the_stand_in_is_called_by_its_name_whoever_was_asked() -> None:
    plan = provider(Scripted(POINTS, path_answer, signs="simulated-vlm"), name="gemini-2.5-flash").plan(request())
    assert plan.provenance["provider"] == "simulated-vlm"
    failed = provider(Scripted("what?", "what?", "what?", signs="simulated-vlm")).plan(request())
    assert failed.provenance["provider"] == "simulated-vlm"


def test_a_wrist_and_its_hand_are_inverse() -> None:
    asked = request(hand_turn=(1.5, 0.2, -1.5), grasp_point=(0.03, 0.02, 0.06))
    hands = np.array([[0.0, 0, 0], [0.1, 0.2, 0.3]])
    wrists = wrists_of(asked, hands)
    np.testing.assert_allclose(hand_of(asked, wrists[1]), hands[1], atol=1e-12)
    np.testing.assert_allclose(wrists[1, 3:], asked.hand_turn)
    np.testing.assert_allclose(
        hand_of(asked, asked.wrist), asked.wrist[:3] + wrist_rotation(asked.wrist[3:]) @ np.array(asked.grasp_point)
    )


# ------------------------------------------------------------------------------------------------ prompts
def test_the_questions_say_what_a_planner_must_know() -> None:
    first = prompting.keypoint_prompt(request())
    assert "Hammer three times" in first
    assert "- handle: the middle of it" in first
    second = prompting.trajectory_prompt(
        request(), view(), np.array([[0.0, 0, 0.1], [0.4, 0.6, 0.0]]), np.array([0.0, -0.2, 0.5]), 20
    )
    assert "- goal: [0.400, 0.600, -0.100]" in second
    assert "- hand: [0.000, -0.200, 0.400]" in second
    assert "exactly 20 waypoints" in second
    assert "+x points to the right of the picture" in second
    assert "+y points to the top of the picture." in second
    assert "Up and down." in second
    assert "$" not in first + second


def test_examples_are_shown_in_the_words_of_the_answer(tmp_path: Path) -> None:
    plan = provider(Scripted(POINTS, path_answer)).plan(request())
    one = example_of(plan, request(), N)
    np.testing.assert_allclose(one.keypoints[-1, 0], [0, 0, 0.2], atol=1e-6)
    save_examples(tmp_path / "e.json", {"hammer": [(one, 7, 1.0)]}, {"from": "test"})
    loaded = load_examples(tmp_path / "e.json")
    np.testing.assert_allclose(loaded["hammer"][0].hands, one.hands, atol=1e-4)
    model = Scripted(POINTS, path_answer)
    provider(model, examples=loaded, shots=3).plan(request())
    prompt = model.asked[1].prompt
    assert "Example 1: a plan with which this task succeeded" in prompt
    shown = prompt[prompt.index("Its waypoints:") :].splitlines()[1]
    assert len(json.loads(shown)) == N
    assert json.loads(shown)[-1]["handle"] == [0.0, 0.0, 0.2]


def test_examples_are_drawn_anew_for_every_state_and_the_same_again() -> None:
    ten = [Example(np.full((2, 3), i), np.zeros(3), np.zeros((2, 2, 3)), np.zeros((2, 3))) for i in range(10)]
    planner = provider(Scripted(), examples={"hammer": ten}, shots=3)
    drawn = [[one.places[0, 0] for one in planner._examples_for(request(state=state))] for state in (1, 2, 1)]
    assert len(set(drawn[0])) == 3
    assert drawn[0] == drawn[2] != drawn[1]
    assert planner._examples_for(request(task="sponge")) == ()


def test_an_example_is_not_shown_for_its_own_state_and_must_fit() -> None:
    def one(state: int, places: int = 2) -> Example:
        return Example(np.zeros((places, 3)), np.zeros(3), np.zeros((2, places, 3)), np.zeros((2, 3)), state)

    planner = provider(Scripted(POINTS), examples={"hammer": [one(3), one(4)]}, shots=3)
    assert [shown.state for shown in planner._examples_for(request())] == [4]
    assert [shown.state for shown in planner._examples_for(request(split="eval"))] != [4]
    misfit = provider(Scripted(POINTS), examples={"hammer": [one(5, places=3)]}, shots=1)
    assert "another number of keypoints" in misfit.plan(request()).reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "is no file of examples"),
        ('{"format": "x", "source": {}, "tasks": {"a": [{"places": []}]}}', "tasks.a.0"),
        ('{"format": "x", "source": {}, "tasks": {}, "code": "import os"}', "code"),
        ("\xff", "is no file of examples"),
    ],
)
def test_a_file_of_examples_is_not_trusted(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "e.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=told):
        load_examples(tmp_path / "e.json")


# ------------------------------------------------------------------------------------------------ failures
GONE = VlmError("server", "gemini answered 500: oh", retryable=True)


@pytest.mark.parametrize(
    ("script", "reason", "questions"),
    [
        (["nonsense"] * 3, "keypoints: the answer holds no JSON list", 3),
        ([GONE] * 3, "keypoints: server: gemini answered 500: oh", 3),
        ([VlmError("refused", "no such model", retryable=False)], "keypoints: refused: no such model", 1),
        ([POINTS, *["[]"] * 3], "trajectory: the answer has 0 waypoints, 5 were asked for", 4),
        ([POINTS.replace("500", "1000")] * 3, None, 3),
    ],
)
def test_a_plan_that_fails_is_a_plan_with_a_reason(script: list[Any], reason: str | None, questions: int) -> None:
    if reason is None:  # the table is seen at that corner: a keypoint on the table is an answer like any other
        script = [*script[:1], path_answer]
        assert provider(Scripted(*script)).plan(request()).attachments == ("world", "world")
        return
    model = Scripted(*script)
    plan = provider(model).plan(request())
    assert not plan.valid
    assert plan.reason == reason
    assert len(model.asked) == questions == plan.provenance["questions"]
    np.testing.assert_allclose(plan.wrist, np.tile(request().wrist, (301, 1)), atol=1e-6)
    attempts = [query.attempt for query in model.asked if query.purpose == model.asked[-1].purpose]
    refused = "answer" in str(plan.provenance["failures"])  # only then the next question is another one
    assert attempts == (list(range(len(attempts))) if refused else [0] * len(attempts))


def test_a_second_attempt_may_succeed() -> None:
    plan = provider(Scripted("what?", GONE, POINTS, "[", path_answer)).plan(request())
    assert plan.valid
    assert plan.provenance["failures"] == "answer (keypoints); server (keypoints); answer (trajectory)"


def test_a_path_nothing_can_follow_is_asked_for_again() -> None:
    def jump(query: Query) -> str:
        rows = json.loads(path_answer(query, 40))
        rows[20]["handle"] = [2.9, 2.9, 2.9]
        return json.dumps(rows)

    model = Scripted(POINTS, jump, lambda query: path_answer(query, 40))
    plan = provider(model, waypoints=40).plan(request())
    assert plan.valid
    assert len(model.asked) == 3


def test_the_time_for_a_plan_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from scaffold_bench.scaffolds.vlm import provider as module

    clock = [0.0]

    class Slow(Scripted):
        def ask(self, query: Query, timeout: float) -> Answer:
            clock[0] += timeout
            return super().ask(query, timeout)

    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    model = Slow(*[VlmError("timeout", "no answer", retryable=True)] * 9)
    plan = provider(model, budget=Budget(attempts=9, seconds=100, timeout=40, backoff=0)).plan(request())
    assert model.timeouts == [40, 40, 20]
    assert plan.reason == "100 s are over; keypoints: timeout: no answer"


def test_pauses_grow_and_are_bounded() -> None:
    budget = Budget(backoff=1.0, longest_pause=10.0)
    for failures, least, most in ((1, 0.5, 1.0), (2, 1.0, 2.0), (3, 2.0, 4.0), (9, 5.0, 10.0)):
        pauses = [budget.pause(failures) for _ in range(200)]
        assert least <= min(pauses) < max(pauses) <= most
    with pytest.raises(ValueError, match="at least one attempt"):
        Budget(attempts=0)


def test_without_a_picture_it_says_where_plans_come_from() -> None:
    plan = provider(Scripted()).plan(request(view=None))
    assert "plans make" in plan.reason


def test_given_keypoints_only_the_trajectory_is_asked_for() -> None:
    model = Scripted(path_answer)
    plan = provider(model).plan_with_keypoints(
        request(), np.array([[0.0, 0, 0.1], [0.1, 0.1, 0.0]]), ("hammer", "world")
    )
    assert plan.valid
    assert [query.purpose for query in model.asked] == ["trajectory"]
    np.testing.assert_allclose(plan.keypoints[0], [[0, 0, 0.1], [0.1, 0.1, 0.0]], atol=2e-3)


def test_without_a_key_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    plan = provider(GeminiModel()).plan(request())
    assert "set GEMINI_API_KEY" in plan.reason
    with pytest.raises(VlmError, match="set GEMINI_API_KEY"):
        provider(GeminiModel()).check()
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")  # without credentials
    assert "nobody to ask" in provider(GeminiModel()).plan(request()).reason


def test_a_place_in_the_queue_is_waited_for_within_the_budget() -> None:
    model = GeminiModel(concurrency=1, client=object())
    assert model._slots.acquire()
    plan = provider(model, budget=Budget(attempts=1, timeout=0.05)).plan(request())
    assert "busy" in plan.reason
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        GeminiModel(concurrency=0)


def test_what_failed_questions_cost_is_counted() -> None:
    empty = VlmError("empty", "no text", True, tokens_in=700, tokens_out=50)
    plan = provider(Scripted(empty, POINTS, path_answer)).plan(request())
    assert (plan.provenance["tokens_in"], plan.provenance["tokens_out"]) == (2700, 250)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"temperature": float("nan")}, "temperature must be"),
        ({"waypoints": 302}, "at most 301"),
        ({"waypoints": 1}, "at least 2"),
        ({"shots": 3}, "shots=3 needs examples"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        provider(Scripted(), **changes)


# ------------------------------------------------------------------------------------------------ record and replay
def test_a_recorded_plan_is_replayed_without_anybody_to_ask(tmp_path: Path) -> None:
    live = provider(Recording(tmp_path, Scripted("what?", GONE, POINTS, path_answer))).plan(request())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".json", ".json", ".json"]
    assert len(list((tmp_path / "images").iterdir())) == 1
    replayed = provider(Recording(tmp_path, None)).plan(request())
    assert replayed.sha256 == live.sha256
    for fact in ("tokens_in", "tokens_out", "answered_by", "prompts", "pixel/handle"):
        assert replayed.provenance[fact] == live.provenance[fact]


def test_a_replayed_failure_has_its_reason_and_a_retry_asks_anew(tmp_path: Path) -> None:
    live = provider(Recording(tmp_path, Scripted("what?", "why?", "[1]"))).plan(request())
    replayed = provider(Recording(tmp_path, None)).plan(request())
    assert replayed.reason == live.reason
    assert not replayed.valid
    fresh = Scripted(POINTS, path_answer)
    assert provider(Recording(tmp_path, fresh)).plan(request()).valid
    assert [query.attempt for query in fresh.asked] == [3, 0]


@pytest.mark.parametrize("change", ["temperature", "name", "waypoints", "picture", "hints"])
def test_another_question_has_no_answer_in_a_replay(tmp_path: Path, change: str) -> None:
    provider(Recording(tmp_path, Scripted(POINTS, path_answer))).plan(request())
    changes: dict[str, Any] = {"temperature": 0.1, "name": "other", "waypoints": 6}
    asked = request()
    if change == "picture":
        asked = request(view=dataclasses.replace(view(), rgb=np.ones((100, 100, 3), np.uint8)))
    if change == "hints":
        asked = request(keypoint_hints=("its end", "a place"))
    planner = provider(Recording(tmp_path, None), **({change: changes[change]} if change in changes else {}))
    plan = planner.plan(asked)
    assert "missing" in plan.reason
    assert "has no answer to this" in plan.reason


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"answer": {"text": 3}}', b"[" * 100_000, b"\xff\xfe", b"x" * 10_000_000]
)
def test_a_damaged_recording_is_told(tmp_path: Path, damage: bytes) -> None:
    provider(Recording(tmp_path, Scripted(POINTS, path_answer))).plan(request())
    for file in tmp_path.glob("*.json"):
        file.write_bytes(damage)
    plan = provider(Recording(tmp_path, None)).plan(request())
    assert not plan.valid
    assert "is damaged" in plan.reason


def test_many_threads_record_side_by_side(tmp_path: Path) -> None:
    class Everyone(Scripted):
        def ask(self, query: Query, timeout: float) -> Answer:
            assert timeout > 0
            return Answer(POINTS if query.purpose == "keypoints" else path_answer(query), "s", 1, 1, 0.0)

    planner, plans = provider(Recording(tmp_path, Everyone())), []
    work: Callable[[], None] = lambda: plans.append(planner.plan(request()))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({plan.sha256 for plan in plans}) == 1
    assert all(plan.valid for plan in plans)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert not list(tmp_path.rglob("*.part"))


# ------------------------------------------------------------------------------------------------ real requests
@pytest.mark.parametrize("task", ["hammer", "fridge", "pliers"])
def test_what_a_task_says_about_itself_reaches_the_question(task: str) -> None:
    [(_, asked)] = requests(task, "train", [0])
    prompt = prompting.keypoint_prompt(asked)
    for name, hint in zip(asked.keypoint_names, asked.keypoint_hints, strict=True):
        assert f"- {name}: {hint}" in prompt
    assert asked.motion_hint
