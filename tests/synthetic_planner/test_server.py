"""The stand-in for Gemini: it speaks as the service does, and its planner answers what it is asked."""

from __future__ import annotations

import base64
import http.client
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scaffold_bench.envs.requests import EpisodeSource
from scaffold_bench.registration import get_task, make_env, start_states
from scaffold_bench.scaffolds import scaffold_from_waypoints
from scaffold_bench.scaffolds.vlm import prompting
from scaffold_bench.scaffolds.vlm.answers import AnswerError, json_list, read_keypoints, read_trajectory
from scaffold_bench.scaffolds.vlm.model import Budget, GeminiModel, Query, VlmError
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.scaffolds.vlm.provider import VlmProvider, example_of, hand_of
from scaffold_bench.synthetic_planner import pictures
from scaffold_bench.synthetic_planner import server as fake_gemini
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.pictures import StateIndex, flat_camera
from scaffold_bench.synthetic_planner.planner import Asked, SimulatedPlanner
from scaffold_bench.synthetic_planner.server import FakeGemini, client, spoil
from scaffold_bench.types import FloatArray, Scaffold, ScaffoldRequest

pytest.importorskip("google.genai")

MODEL = "gemini-2.5-flash"


def silent(*_: object) -> str:
    return "[]"


def query(prompt: str = "hello", image: bytes | None = None, **settings: Any) -> Query:
    plain: dict[str, Any] = {"temperature": 0.5, "thinking_budget": None, "code_execution": False}
    return Query("keypoints", prompt, image, MODEL, **{**plain, **settings})


# --- the service


def test_text_and_picture_arrive_and_the_answer_comes_back_unchanged() -> None:
    asked: list[tuple[str, bytes | None, str]] = []

    def answering(prompt: str, image: bytes | None, model: str) -> str:
        asked.append((prompt, image, model))
        return "[1, 2] — ünïcode"

    prompt, image = "Wo ist der Hämmer?\n" * 40, bytes(range(256)) * 400
    with FakeGemini(answering) as fake:
        answer = GeminiModel(client=client(fake.url)).ask(query(prompt, image), 20.0)
    assert asked == [(prompt, image, MODEL)]
    assert answer.text == "[1, 2] — ünïcode"
    assert answer.model == "simulated-vlm"
    assert answer.tokens_in == fake_gemini.IMAGE_TOKENS + len(prompt) // 4
    assert answer.tokens_out == 4
    assert fake.requests == {"other": 1}


def test_code_that_the_model_ran_is_no_part_of_its_text_and_thoughts_count() -> None:
    with FakeGemini(silent) as fake:
        answer = GeminiModel(client=client(fake.url)).ask(query(code_execution=True, thinking_budget=700), 20.0)
    assert answer.text == "[]"
    assert answer.tokens_out == 701


@pytest.mark.parametrize(
    ("raised", "kind", "retryable"), [(ValueError("odd"), "refused", False), (KeyError("odd"), "server", True)]
)
def test_what_the_answering_function_raises_becomes_an_error_answer(
    raised: Exception, kind: str, retryable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def answering(*_: object) -> str:
        raise raised

    with FakeGemini(answering) as fake, pytest.raises(VlmError, match="odd") as caught:
        GeminiModel(client=client(fake.url)).ask(query(), 20.0)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert len(fake.errors) == 1
    assert capfd.readouterr() == ("", "")


def raw(fake: FakeGemini, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    """A request as a stranger would make it."""
    connection = http.client.HTTPConnection(fake.url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def body(**part: Any) -> bytes:
    return json.dumps({"contents": [{"parts": [{"text": "hello"}, part]}]}).encode()


ASK = f"/v1beta/models/{MODEL}:generateContent"


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "code"),
    [
        ("GET", ASK, b"", {}, 501),
        ("POST", "/v1beta/models/x:countTokens", b"{}", {}, 404),
        ("POST", "/", b"{}", {}, 404),
        ("POST", ASK, b"{", {}, 400),
        ("POST", ASK, b"[" * 100_000, {}, 400),
        ("POST", ASK, b"\xff\xfe", {}, 400),
        ("POST", ASK, b'{"contents": []}', {}, 400),
        ("POST", ASK, b'{"contents": [{"parts": [{"text": "\\ud800"}]}]}', {}, 400),
        ("POST", ASK, body(inlineData={"data": "~~~"}), {}, 400),
        ("POST", ASK, b"", {"Content-Length": "-1"}, 411),
        ("POST", ASK, b"", {"Content-Length": str(fake_gemini.MAX_REQUEST + 1)}, 413),
        ("POST", ASK, b"", {"Content-Length": "9" * 5000}, 413),
    ],
)
def test_what_is_no_question_is_refused_in_the_service_s_words(
    method: str, path: str, sent: bytes, headers: dict[str, str], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeGemini(silent) as fake:
        status, reply = raw(fake, method, path, sent, **headers)
        assert status == code
        assert reply["error"]["code"] == code
        assert reply["error"]["message"]
        assert reply["error"]["status"].isupper()
        assert raw(fake, "POST", ASK, body())[0] == 200  # and it lives on
    assert fake.errors == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["inlineData", "inline_data"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_files_come_in_either_spelling(name: str, encode: Callable[[bytes], bytes]) -> None:
    seen: list[bytes | None] = []
    image = bytes(range(256))
    part = {name: {"mimeType": "image/png", "data": encode(image).decode()}}
    with FakeGemini(lambda *asked: str(seen.append(asked[1]))) as fake:
        assert raw(fake, "POST", ASK, body(**part))[0] == 200
    assert seen == [image]


def test_faults_are_the_same_in_every_run_and_others_when_a_question_is_asked_again() -> None:
    def run() -> list[list[int]]:
        with FakeGemini(silent, ErrorRates.none(quota=0.5), seed=3) as fake:
            return [[raw(fake, "POST", ASK, body(text=str(k)))[0] for k in range(12)] for _ in range(2)]

    first, again = run()
    assert run() == [first, again]
    assert set(first) == {200, 429}
    assert first != again


def test_stopping_ends_what_waits_and_frees_the_port(capfd: pytest.CaptureFixture[str]) -> None:
    failures: list[str] = []

    def wait() -> None:
        try:
            GeminiModel(client=client(fake.url)).ask(query(), 60.0)
        except VlmError as error:
            failures.append(error.kind)

    before = threading.active_count()
    with FakeGemini(silent, ErrorRates.none(slow=1.0, slow_seconds=60.0)) as fake:
        port = int(fake.url.rpartition(":")[2])
        waiting = threading.Thread(target=wait)
        waiting.start()
        while not fake.requests:
            time.sleep(0.01)
        began = time.monotonic()
    waiting.join(20)
    assert time.monotonic() - began < 5
    assert failures == ["connection"]
    with pytest.raises(RuntimeError, match="with block"):
        _ = fake.url
    with FakeGemini(silent, port=port) as fake:
        assert raw(fake, "POST", ASK, body())[0] == 200
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.02)
    assert threading.active_count() <= before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "without_number", "one_less"),
    [
        ("[1, 2.5]", "[1, NaN]", "[1]"),
        ('[{"name": "a 1", "point": [3, 4]}]', '[{"name": "a 1", "point": [3, NaN]}]', "[]"),
        ("So:\n```json\n[[1], [true]]\n```", "[[NaN], [true]]", "[[1]]"),
    ],
)
def test_spoilt_answers_cannot_be_read_or_lack_an_entry(text: str, without_number: str, one_less: str) -> None:
    assert spoil(text, "not_finite") == without_number
    assert spoil(text, "wrong_count") == one_less
    assert spoil(text, "empty") == ""
    assert spoil(text, "") == text
    for fault in ("truncated", "malformed", "not_finite"):
        with pytest.raises(AnswerError):
            json_list(spoil(text, fault))


def test_an_answer_without_numbers_has_none_to_spoil() -> None:
    for fault in ("not_finite", "wrong_count"):
        assert spoil("no list", fault) == "no list"


# --- rates


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"quota": 1.1}, "quota must be from 0 to 1"),
        ({"slow": -0.1}, "slow must be from 0 to 1"),
        ({"wrong_keypoint": float("nan")}, "wrong_keypoint"),
        ({"axis_flip_of": {"fridge": 2.0}}, r"axis_flip_of\['fridge'\]"),
        ({"pixel_noise": -1.0}, "pixel_noise must be not negative"),
        ({"slow_seconds": float("inf")}, "slow_seconds must be not negative and finite"),
    ],
)
def test_rates_out_of_range_are_refused(rates: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ErrorRates(**rates)


def test_examples_lower_the_rate_of_mirrored_motions() -> None:
    rates = ErrorRates()
    assert (rates.flip_of("fridge", shown=False), rates.flip_of("fridge", shown=True)) == (0.8, 0.3)
    assert (rates.flip_of("hammer", shown=False), rates.flip_of("hammer", shown=True)) == (0.05, 0.02)


# --- the planner, on pictures that only have to differ


class Sees:
    """A provider whose requests are looked at here."""

    privileged, sees = False, True

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        raise NotImplementedError


def camera_of(task: Any) -> tuple[FloatArray, FloatArray]:
    """Intrinsics for a picture one pixel wide, and the camera's pose."""
    where = task.spec.camera
    forward = np.subtract(where.target, where.eye)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, where.eye], axis=1)
    focal = 0.5 / np.tan(where.fov / 2)
    return np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]]), pose


def picture(number: int) -> Image.Image:
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((160, 160), Image.Resampling.NEAREST)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Scene:
    """A task in a start state, as a planner is asked about it; ``picture(number)`` stands for its picture."""

    def __init__(self, name: str, number: int = 1) -> None:
        self.task = get_task(name)
        states = start_states(self.task, "eval")
        assert states is not None
        self.start = states[number]
        self.camera = flat_camera(*camera_of(self.task))
        self.request = EpisodeSource(self.task, Sees(), states, "eval").request(self.start, number, self.camera)
        thumbnails = np.stack([pictures.thumbnail(picture(index)) for index in range(3)])
        self.index = StateIndex(thumbnails, tuple(states[index] for index in range(3)), self.camera)
        self.names = self.task.spec.keypoints
        self.truth = self.task.reference_waypoints(self.start)(20)
        self.image = png(picture(number))

    def planner(self, rates: ErrorRates, seed: int = 0) -> SimulatedPlanner:
        return SimulatedPlanner(rates, seed, indexes={self.task.spec.name: self.index})

    def trajectory_prompt(self, keypoints: FloatArray, count: int = 20, examples: tuple[Example, ...] = ()) -> str:
        hand = hand_of(self.request, self.request.wrist)
        return prompting.trajectory_prompt(self.request, self.camera, keypoints, hand, count, examples)

    def ask(
        self, planner: SimulatedPlanner, error: FloatArray | None = None, count: int = 20, shown: int = 0
    ) -> tuple[FloatArray, FloatArray]:
        """The answer as world waypoints (N, K, 3) and hands (N, 3), if the keypoints were found with ``error``."""
        keypoints = self.truth.keypoints[0] + (0.0 if error is None else error)
        one = Example(keypoints, keypoints[0], keypoints[None], keypoints[:1])
        prompt = self.trajectory_prompt(keypoints, count, (one,) * shown)
        present, hand = keypoints - keypoints[0], hand_of(self.request, self.request.wrist) - keypoints[0]
        places, hands = read_trajectory(planner(prompt, self.image, MODEL), self.names, count, present, hand)
        return places + keypoints[0], hands + keypoints[0]

    def true_hands(self) -> FloatArray:
        return np.stack([hand_of(self.request, wrist) for wrist in self.truth.wrist])


@pytest.mark.parametrize("name", ["hammer", "fridge", "bottle", "pliers"])
def test_keypoints_are_where_the_reference_has_them(name: str) -> None:
    scene = Scene(name)
    text = scene.planner(ErrorRates.none())(prompting.keypoint_prompt(scene.request), scene.image, MODEL)
    found = read_keypoints(text, scene.names)
    wanted = prompting.project(scene.camera, scene.truth.keypoints[0])
    np.testing.assert_allclose([found[one] for one in scene.names], wanted, atol=6e-4)
    assert (wanted > 0).all()
    assert (wanted < 1).all()


def test_keypoints_scatter_and_one_may_be_anywhere() -> None:
    scene = Scene("hammer")
    prompt, wanted = prompting.keypoint_prompt(scene.request), prompting.project(scene.camera, scene.truth.keypoints[0])

    def off(rates: ErrorRates) -> FloatArray:
        planner = scene.planner(rates)
        found = [read_keypoints(planner(prompt, scene.image, MODEL), scene.names) for _ in range(100)]
        return np.array([[one[name] for name in scene.names] for one in found]) - wanted

    assert 0.003 < off(ErrorRates.none(pixel_noise=4.0)).std() < 0.005
    far = np.abs(off(ErrorRates.none(wrong_keypoint=0.5))).max(axis=-1) > 0.01
    assert 0.3 < far.any(axis=1).mean() < 0.7
    assert not far.all(axis=1).any()


@pytest.mark.parametrize("name", ["hammer", "fridge", "bottle", "pliers"])
def test_without_errors_the_plan_is_the_reference(name: str) -> None:
    scene = Scene(name)
    places, hands = scene.ask(scene.planner(ErrorRates.none()))
    np.testing.assert_allclose(places, scene.truth.keypoints, atol=2e-3)
    np.testing.assert_allclose(hands, scene.true_hands(), atol=2e-3)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_any_number_of_waypoints_can_be_had(count: int) -> None:
    scene = Scene("drawer")
    places, hands = scene.ask(scene.planner(ErrorRates()), count=count)
    assert places.shape == (count, 1, 3)
    assert hands.shape == (count, 3)


def test_an_error_of_the_first_question_carries_through() -> None:
    scene = Scene("hammer")
    error = np.array([[0.03, -0.02, 0.01], [0.01, 0.02, 0.0]])
    places, hands = scene.ask(scene.planner(ErrorRates.none()), error)
    np.testing.assert_allclose(places, scene.truth.keypoints + error, atol=2e-3)
    np.testing.assert_allclose(hands[0], scene.true_hands()[0], atol=2e-3)
    np.testing.assert_allclose(hands[3:], scene.true_hands()[3:] + error[0], atol=2e-3)  # from the arrival on


def test_a_wrong_route_is_smooth_starts_right_and_leaves_alone_what_is_fixed() -> None:
    scene = Scene("bottle")
    places, hands = scene.ask(scene.planner(ErrorRates.none(waypoint_noise=0.01)))
    off, hand_off = places - scene.truth.keypoints, hands - scene.true_hands()
    assert np.abs(off[:7]).max() < 2e-3  # nothing moves before the hand holds it
    assert 0.003 < np.abs(off[7:, 0]).max() < 0.05
    assert np.abs(np.diff(off[:, 0], axis=0)).max() < 0.015
    assert np.abs(off[:, 1]).max() < 2e-3  # the target point
    assert np.abs(hand_off[0]).max() < 2e-3
    assert 0.003 < np.abs(hand_off).max() < 0.08


@pytest.mark.parametrize("name", ["fridge", "drawer", "bottle"])
def test_a_mirrored_motion_goes_the_other_way_along_one_axis(name: str) -> None:
    scene = Scene(name)
    planner = scene.planner(ErrorRates.none(axis_flip=1.0))
    truth, true_hands = scene.truth.keypoints - scene.truth.keypoints[0], scene.true_hands()
    seen = set()
    for _ in range(8):
        places, hands = scene.ask(planner)
        moves = places - scene.truth.keypoints[0]
        axis = int(np.abs(moves - truth).max(axis=(0, 1)).argmax())
        seen.add(axis)
        mirrored = truth.copy()
        mirrored[..., axis] *= -1
        np.testing.assert_allclose(moves, mirrored, atol=2e-3)
        np.testing.assert_allclose(hands[:7], true_hands[:7], atol=2e-3)  # the approach is right
        expected = true_hands[7:, axis] - true_hands[6, axis]
        np.testing.assert_allclose(hands[7:, axis] - hands[6, axis], -expected, atol=4e-3)
    assert seen == {0, 1}


def test_examples_help() -> None:
    scene = Scene("fridge")
    planner = scene.planner(ErrorRates.none(axis_flip=1.0, axis_flip_shown=0.0))
    for shown, wrong in ((0, True), (1, False), (3, False)):
        places, _ = scene.ask(planner, shown=shown)
        assert bool(np.abs(places - scene.truth.keypoints).max() > 0.1) is wrong


def test_an_example_s_numbers_are_not_taken_for_the_present() -> None:
    scene = Scene("hammer")
    oracle = scene.task.reference_waypoints(scene.start)
    example = example_of(scaffold_from_waypoints("hammer", oracle(20), {}), scene.request, 7)
    asked = Asked.read(scene.trajectory_prompt(scene.truth.keypoints[0] * 1.1, 12, (example,) * 2))
    assert (asked.count, asked.arrive, asked.move, asked.examples) == (12, 2, 3, 2)
    assert np.linalg.norm(asked.places["head"]) == pytest.approx(1.1 * np.linalg.norm(example.places[1]), abs=2e-3)


def test_a_question_has_its_answer_and_another_when_it_is_asked_again() -> None:
    scene = Scene("hammer")
    prompt, other = prompting.keypoint_prompt(scene.request), scene.trajectory_prompt(scene.truth.keypoints[0])
    one, two = scene.planner(ErrorRates()), scene.planner(ErrorRates())
    first = one(prompt, scene.image, MODEL)
    assert one(prompt, scene.image, MODEL) != first
    two(other, scene.image, MODEL)  # what was asked in between does not matter
    assert two(prompt, scene.image, MODEL) == first
    assert scene.planner(ErrorRates(), seed=1)(prompt, scene.image, MODEL) != first


def test_the_state_is_read_from_the_picture_and_is_the_default_one_if_there_is_none() -> None:
    scene = Scene("hammer")
    noise = np.random.default_rng(0).normal(0, 5, (160, 160, 3))
    noisy = Image.fromarray((np.asarray(picture(2), float) + noise).clip(0, 255).astype(np.uint8))
    for number, image in ((0, picture(0)), (2, picture(2)), (2, noisy), (1, picture(1).convert("RGBA"))):
        assert scene.index.nearest(png(image)) is scene.index.starts[number]
    for nothing in (None, b"", b"no picture", scene.image[:200], png(picture(9))):
        assert scene.index.nearest(nothing) is None
    text = scene.planner(ErrorRates.none())(prompting.keypoint_prompt(scene.request), png(picture(9)), MODEL)
    default = scene.task.reference_plan(scene.task.default_start()).keypoints[0]
    found = read_keypoints(text, scene.names)
    np.testing.assert_allclose(
        [found[name] for name in scene.names], prompting.project(scene.camera, default), atol=6e-4
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "What is this?",
        lambda prompt: prompt.replace("Hammer three times", "Dance"),
        lambda prompt: prompt.replace("Now these places", "Once these places"),
        lambda prompt: prompt.replace("- head:", "- beak:"),
        lambda prompt: prompt.replace("- hand: [", "- hand: [x"),
        lambda prompt: prompt.replace("wait until waypoint 6", "wait until waypoint 99"),
    ],
)
def test_questions_it_does_not_know_are_refused(change: Callable[[str], str]) -> None:
    scene = Scene("hammer")
    with pytest.raises(ValueError, match=r"prompt|planner|plan"):
        scene.planner(ErrorRates())(change(scene.trajectory_prompt(scene.truth.keypoints[0])), scene.image, MODEL)


def test_only_frozen_states_can_be_in_the_index() -> None:
    with pytest.raises(ValueError, match=r"no frozen states of \['fresh'\]"):
        SimulatedPlanner(states={"fresh": [0]})


# --- with pictures


@pytest.mark.rendering
@pytest.mark.parametrize("name", ["hammer", "drawer"])
def test_the_whole_way_from_picture_to_plan(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, states = 3, {"train": [0], "eval": [2, 3]}
    planner = SimulatedPlanner(ErrorRates.none(), states=states, cache=tmp_path)
    planner.prepare([name])
    with FakeGemini(planner) as fake:
        provider = VlmProvider(GeminiModel(client=client(fake.url)), budget=Budget(attempts=1))
        env = make_env(name, scaffolds=provider, split="eval")
        env.reset(options={"state": state})
        plan, view, task, start = env.scaffold, env.look(), env.task, env.start_state
        env.close()
    assert plan.valid, plan.reason
    assert fake.requests == {"keypoints": 1, "trajectory": 1}
    assert plan.provenance["answered_by"] == "simulated-vlm"
    oracle = task.reference_plan(start)
    for frame in (0, -1):
        assert np.linalg.norm(plan.keypoints[frame] - oracle.keypoints[frame], axis=-1).max() < 0.03
    assert plan.attachments == oracle.attachments

    # the kept index is used, knows the same state, and the camera it knows is the environment's
    def no_index(*_: Any) -> StateIndex:
        raise AssertionError("the index was made again")

    monkeypatch.setattr(pictures, "build_index", no_index)
    starts = [start_states(task, split)[number] for split, numbers in states.items() for number in numbers]
    index = pictures.kept_index(tmp_path, name, starts)
    buffer = png(Image.fromarray(view.rgb))
    assert index.nearest(buffer) is index.starts[2]
    np.testing.assert_allclose(index.camera.camera_to_world, view.camera_to_world, atol=1e-5)
    np.testing.assert_allclose(index.camera.intrinsics * [[800], [800], [1]], view.intrinsics, atol=1e-2)
    np.testing.assert_allclose(camera_of(task)[1], view.camera_to_world, atol=1e-5)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged one is made again
    with pytest.raises(AssertionError, match="made again"):
        pictures.kept_index(tmp_path, name, starts)
