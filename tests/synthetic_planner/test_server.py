"""The stand-in for Gemini speaks as the service does: answers, errors, faults, and a port that is freed."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from scaffold_bench.scaffolds.vlm.answers import AnswerError, json_list
from scaffold_bench.scaffolds.vlm.model import GeminiModel, Query, VlmError
from scaffold_bench.synthetic_planner import server as fake_gemini
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.server import FakeGemini, client, corrupt

pytest.importorskip("google.genai")

MODEL = "gemini-2.5-flash"


def silent(*_: object) -> str:
    return "[]"


def query(prompt: str = "hello", image: bytes | None = None, **settings: Any) -> Query:
    plain: dict[str, Any] = {"temperature": 0.5, "thinking_budget": None, "code_execution": False}
    return Query("keypoints", prompt, image, MODEL, **{**plain, **settings})


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
def test_corrupted_answers_cannot_be_read_or_lack_an_entry(text: str, without_number: str, one_less: str) -> None:
    assert corrupt(text, "not_finite") == without_number
    assert corrupt(text, "wrong_count") == one_less
    assert corrupt(text, "empty") == ""
    assert corrupt(text, "") == text
    for fault in ("truncated", "malformed", "not_finite"):
        with pytest.raises(AnswerError):
            json_list(corrupt(text, fault))


def test_an_answer_without_numbers_has_none_to_corrupt() -> None:
    for fault in ("not_finite", "wrong_count"):
        assert corrupt("no list", fault) == "no list"
