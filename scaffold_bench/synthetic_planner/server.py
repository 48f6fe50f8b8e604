"""A local server with Gemini's interface, so that the real client can be run without Google.

It knows one call, ``models/<model>:generateContent``, as google-genai 3.4 makes it. A function gives the answers;
faults of the service are drawn at given rates.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel

from scaffold_bench.scaffolds.vlm.answers import AnswerError, json_list
from scaffold_bench.synthetic_planner.faults import ErrorRates, RequestRandom
from scaffold_bench.synthetic_planner.planner import kind_of

if TYPE_CHECKING:
    from google.genai import Client

Answering: TypeAlias = Callable[[str, bytes | None, str], str]
"""Makes the text of an answer from the prompt, the bytes of the picture (or None) and the model's name."""

MODEL_VERSION = "simulated-vlm"
"""The model version in every answer, so that no answer is mistaken for a real model's."""
MAX_REQUEST = 32 * 2**20
"""Larger requests are refused, bytes."""
IDLE_SECONDS = 60.0
"""A connection without a request for this long is closed."""
CHARACTERS_PER_TOKEN, IMAGE_TOKENS = 4, 1032
"""Roughly how Gemini counts: English text, and a picture of 800 x 800 pixels as four tiles of 258 tokens."""
PATH = re.compile(r"/v1(?:beta)?/models/([\w.-]+):generateContent")
STATUS_NAMES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
FAULTS = tuple(rate.name for rate in fields(ErrorRates) if rate.default == 0.0)
"""Rates of :class:`ErrorRates` that concern the service, in the order in which they are drawn. Only these are 0 unless
they are given."""


class FakeGemini:
    """The server; it runs inside its with block: ``with FakeGemini(planner) as fake: client(fake.url)``.

    Args:
        answering: makes the texts; called from several threads at once. If it raises ValueError the answer has status
            400, for anything else 500.
        rates: of the service's faults; no faults if None. The planner's own errors are not read.
        seed: of the faults. A request has the same faults in every run, and others when it is repeated.
        port: the port to listen at, on 127.0.0.1; 0 for any free one.

    Attributes:
        requests: questions so far, by kind: "keypoints", "trajectory", "other", and "refused" for invalid requests.
        faults: number of faults so far, by the names of their rates.
        errors: the errors that ``answering`` raised so far, as text.
    """

    def __init__(self, answering: Answering, rates: ErrorRates | None = None, seed: int = 0, port: int = 0) -> None:
        self.answering, self.rates, self._port = answering, rates or ErrorRates.none(), port
        self._random, self._lock = RequestRandom(seed), threading.Lock()
        self._server: _Server | None = None
        self._stopping = threading.Event()
        self.requests, self.faults, self.errors = Counter[str](), Counter[str](), list[str]()

    def __enter__(self) -> FakeGemini:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.fake = self
        self._stopping.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._stopping.set()  # ends all waiting
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        """The server's address.

        Raises:
            RuntimeError: the server is not running.
        """
        if self._server is None:
            raise RuntimeError("the server runs inside its with block only; use it as 'with FakeGemini(...) as fake:'")
        return f"http://127.0.0.1:{self._server.server_port}"

    def respond(self, path: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        """Status and JSON answer to a request; None to close the connection without one."""
        found = PATH.fullmatch(path.partition("?")[0])
        if found is None:
            return self._refuse(
                404, f"there is nothing at {path[:200]}; this stand-in serves models/<model>:generateContent only"
            )
        try:
            question = _Question.model_validate_json(body)
        except ValidationError as error:
            return self._refuse(400, f"cannot read the request: {str(error)[:300]}")
        kind = kind_of(question.prompt)
        rng = self._random.generator(path.encode(), body)
        drawn = (name for name in FAULTS if rng.random() < getattr(self.rates, name))
        fault = next((name for name in drawn if name != "wrong_count" or kind == "trajectory"), "")
        with self._lock:
            self.requests[kind] += 1
            self.faults.update([fault] if fault else [])
        if fault == "closed" or (fault == "slow" and self._stopping.wait(self.rates.slow_seconds)):
            return None
        if fault == "quota":
            return error_reply(429, "Resource has been exhausted (e.g. check quota).")
        if fault == "server_error":
            return error_reply(500, "An internal error has occurred.")
        if fault == "blocked":
            return 200, {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": MODEL_VERSION}
        try:
            text = self.answering(question.prompt, question.image, found[1])
            return 200, question.reply(corrupt(text, fault), fault)
        except Exception as error:  # noqa: BLE001  # the client gets an answer in any case, and a test can read ``errors``
            self.errors.append(f"{type(error).__name__}: {error}")
            return error_reply(400 if isinstance(error, ValueError) else 500, str(error)[:1000])

    def _refuse(self, code: int, message: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.requests["refused"] += 1
        return error_reply(code, message)


def client(url: str) -> Client:
    """A google-genai client that asks the stand-in only, for ``GeminiModel(client=...)``.

    Raises:
        ImportError: google-genai is not installed.
    """
    from google.genai import Client, types

    # neither Vertex AI nor a proxy, whatever the environment says
    options = types.HttpOptions(base_url=url, client_args={"trust_env": False})
    return Client(api_key="stand-in", vertexai=False, http_options=options)


def corrupt(text: str, fault: str) -> str:
    """The text of an answer with a fault: truncated, malformed, not_finite, wrong_count or empty; unchanged for others.

    A text without a JSON list has no number and no waypoint to corrupt and stays as it is.
    """
    if fault == "empty":
        return ""
    if fault == "truncated":
        return text[: len(text) * 2 // 3]
    if fault == "malformed":
        return text.replace("[", "[,")
    if fault in ("not_finite", "wrong_count"):
        try:
            values = json_list(text)
        except AnswerError:
            return text
        return json.dumps(values[:-1]) if fault == "wrong_count" else _without_number(json.dumps(values))
    return text


def _without_number(text: str) -> str:
    """JSON with its last number replaced by NaN."""
    tokens = re.finditer(r'"(?:[^"\\]|\\.)*"|(?P<number>-?\d[-+.\dEe]*)', text)  # texts may hold digits, too
    numbers = [token for token in tokens if token["number"]]
    return f"{text[: numbers[-1].start()]}NaN{text[numbers[-1].end() :]}" if numbers else text


def error_reply(code: int, message: str) -> tuple[int, dict[str, Any]]:
    """Status and body of an error, as Google's services answer it."""
    status = STATUS_NAMES.get(code, HTTPStatus(code).name)
    return code, {"error": {"code": code, "message": message, "status": status}}


# ------------------------------------------------------------------------------------------------------- requests
class _Message(BaseModel, alias_generator=to_camel, populate_by_name=True, val_json_bytes="base64"):
    """A part of a request; its names may be written in either of Google's spellings, inlineData or inline_data."""


class _Blob(_Message):
    data: bytes


class _Part(_Message):
    text: str = ""
    inline_data: _Blob | None = None


class _Content(_Message):
    parts: list[_Part] = Field(min_length=1)


class _Thinking(_Message):
    thinking_budget: int = 0


class _Config(_Message):
    thinking_config: _Thinking = _Thinking()


class _Question(_Message):
    """The parts of a request that are read."""

    contents: list[_Content] = Field(min_length=1)
    tools: list[dict[str, Any]] = []
    generation_config: _Config = _Config()

    @property
    def _parts(self) -> list[_Part]:
        return [part for content in self.contents for part in content.parts]

    @property
    def prompt(self) -> str:
        """All text."""
        return "".join(part.text for part in self._parts)

    @property
    def _files(self) -> list[bytes]:
        return [part.inline_data.data for part in self._parts if part.inline_data is not None]

    @property
    def image(self) -> bytes | None:
        """The first file."""
        return next(iter(self._files), None)

    def reply(self, text: str, fault: str) -> dict[str, Any]:
        """The answer, as the service wraps it."""
        parts: list[dict[str, Any]] = [{"text": text}] if text else []
        if text and any("codeExecution" in tool or "code_execution" in tool for tool in self.tools):
            run = {"executableCode": {"language": "PYTHON", "code": "print(0)"}}
            parts = [run, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "0\n"}}, *parts]
        usage = {
            "promptTokenCount": _tokens(self.prompt) + IMAGE_TOKENS * len(self._files),
            "candidatesTokenCount": _tokens(text),
            "thoughtsTokenCount": max(
                0, self.generation_config.thinking_config.thinking_budget
            ),  # as if the whole budget were used
        }
        content = {"role": "model", **({"parts": parts} if parts else {})}
        finish = "MAX_TOKENS" if fault == "truncated" else "STOP"
        return {
            "candidates": [{"content": content, "finishReason": finish, "index": 0}],
            "usageMetadata": {**usage, "totalTokenCount": sum(usage.values())},
            "modelVersion": MODEL_VERSION,
        }


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


# ------------------------------------------------------------------------------------------------------- the server
class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # many clients may come at once
    fake: FakeGemini

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed their connection; the default prints a traceback."""


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP 1.0, a connection for each request, so that no open connection outlives the server."""

    server: _Server
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self.send_error(411, "the request has no valid Content-Length")
        if len(length) > 12 or int(length) > MAX_REQUEST:
            return self.send_error(413, f"the request is larger than {MAX_REQUEST} bytes")
        body = self.rfile.read(int(length))
        if len(body) == int(length) and (reply := self.server.fake.respond(self.path, body)):  # else nobody listens
            self._answer(*reply)
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer anything but a readable POST with Google's form of an error."""
        self._answer(*error_reply(code, message or explain or HTTPStatus(code).phrase))

    def _answer(self, code: int, payload: dict[str, Any]) -> None:
        data = json.dumps(payload).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing, because tests and progress bars use the terminal."""
