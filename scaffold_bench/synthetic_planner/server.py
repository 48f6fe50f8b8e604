"""A local server with Gemini's interface, so that the real client can be run without Google.

It knows one call, ``models/<model>:generateContent``, as google-genai 3.4 makes it. A function gives the answers;
faults of the service are drawn at given rates.
"""

from __future__ import annotations

import base64
import json
import math
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

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
FAULTS = (
    "slow",
    "closed",
    "quota",
    "server_error",
    "blocked",
    "empty",
    "truncated",
    "malformed",
    "not_finite",
    "wrong_count",
)
"""Rates of :class:`ErrorRates` that concern the service, in the order in which they are drawn."""


class FakeGemini:
    """The server; it runs inside its with block: ``with FakeGemini(planner) as fake: client(fake.url)``.

    Args:
        answering: makes the texts; called from several threads at once. If it raises ValueError the answer has status
            400, for anything else 500.
        rates: of the service's faults; no faults if None. The planner's own errors are not read.
        seed: of the faults. A request has the same faults in every run, and others when it is repeated.
        port: the port to listen at, on 127.0.0.1; 0 for any free one.
    """

    def __init__(self, answering: Answering, rates: ErrorRates | None = None, seed: int = 0, port: int = 0) -> None:
        self.answering, self.rates, self._port = answering, rates or ErrorRates.none(), port
        self._random, self._lock = RequestRandom(seed), threading.Lock()
        self._server: _Server | None = None
        self._requests, self._faults, self._errors = Counter[str](), Counter[str](), list[str]()

    def __enter__(self) -> FakeGemini:
        server = self._server = _Server(("127.0.0.1", self._port), self)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()
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

    @property
    def requests(self) -> Counter[str]:
        """Questions so far, by kind: "keypoints", "trajectory", "other", and "refused" for invalid requests."""
        with self._lock:
            return self._requests.copy()

    @property
    def faults(self) -> Counter[str]:
        """Number of faults so far, by the names of their rates."""
        with self._lock:
            return self._faults.copy()

    @property
    def errors(self) -> list[str]:
        """The errors that ``answering`` raised so far, as text."""
        with self._lock:
            return list(self._errors)

    def respond(self, path: str, body: bytes, stopping: threading.Event) -> tuple[int, dict[str, Any]] | None:
        """Status and JSON answer to a request; None to close the connection without one.

        Args:
            stopping: set when the server stops, which ends all waiting.
        """
        found = PATH.fullmatch(path.partition("?")[0])
        if found is None:
            return self._refuse(
                404, f"there is nothing at {path[:200]}; this stand-in serves models/<model>:generateContent only"
            )
        try:
            question = _Question.model_validate_json(body)
            prompt, image = question.prompt, question.image
        except (ValidationError, ValueError) as error:
            return self._refuse(400, f"cannot read the request: {str(error)[:300]}")
        kind = kind_of(prompt)
        rng = self._random.generator(path.encode(), body)
        drawn = (name for name in FAULTS if rng.random() < getattr(self.rates, name))
        fault = next((name for name in drawn if name != "wrong_count" or kind == "trajectory"), "")
        with self._lock:
            self._requests[kind] += 1
            self._faults.update([fault] if fault else [])
        if fault == "slow" and stopping.wait(self.rates.slow_seconds):
            return None
        if fault == "closed":
            return None
        if fault == "quota":
            return error_reply(429, "Resource has been exhausted (e.g. check quota).")
        if fault == "server_error":
            return error_reply(500, "An internal error has occurred.")
        if fault == "blocked":
            return 200, {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": MODEL_VERSION}
        try:
            return 200, question.reply(corrupt(self.answering(prompt, image, found[1]), fault), fault)
        except Exception as error:  # noqa: BLE001  # the client gets an answer in any case, and a test can read ``errors``
            with self._lock:
                self._errors.append(f"{type(error).__name__}: {error}")
            return error_reply(400 if isinstance(error, ValueError) else 500, str(error)[:1000])

    def _refuse(self, code: int, message: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self._requests["refused"] += 1
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
        return json.dumps(values[:-1]) if fault == "wrong_count" else json.dumps(_without_number(values)[0])
    return text


def _without_number(value: Any) -> tuple[Any, bool]:
    """The JSON value with its last number replaced by NaN, and whether it had a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | dict):
        return value, False
    if isinstance(value, int | float):
        return math.nan, True
    items: list[tuple[Any, Any]] = list(enumerate(value) if isinstance(value, list) else value.items())
    copy = value.copy()
    for key, one in reversed(items):
        copy[key], done = _without_number(one)
        if done:
            return copy, True
    return copy, False


def error_reply(code: int, message: str) -> tuple[int, dict[str, Any]]:
    """Status and body of an error, as Google's services answer it."""
    status = STATUS_NAMES.get(code) or re.sub(r"\W+", "_", HTTPStatus(code).phrase).upper()
    return code, {"error": {"code": code, "message": message, "status": status}}


# ------------------------------------------------------------------------------------------------------- requests
class _Blob(BaseModel):
    data: str


class _Part(BaseModel):
    text: str = ""
    inline_data: _Blob | None = Field(default=None, validation_alias=AliasChoices("inlineData", "inline_data"))


class _Content(BaseModel):
    parts: list[_Part] = Field(min_length=1)


class _Thinking(BaseModel):
    budget: int = Field(default=0, validation_alias=AliasChoices("thinkingBudget", "thinking_budget"))


class _Config(BaseModel):
    thinking: _Thinking = Field(default=_Thinking(), validation_alias=AliasChoices("thinkingConfig", "thinking_config"))


class _Question(BaseModel):
    """The parts of a request that are read."""

    model_config = ConfigDict(extra="ignore")
    contents: list[_Content] = Field(min_length=1)
    tools: list[dict[str, Any]] = []
    config: _Config = Field(default=_Config(), validation_alias=AliasChoices("generationConfig", "generation_config"))

    @property
    def _parts(self) -> list[_Part]:
        return [part for content in self.contents for part in content.parts]

    @property
    def prompt(self) -> str:
        """All text."""
        return "".join(part.text for part in self._parts)

    @property
    def image(self) -> bytes | None:
        """The first file.

        Raises:
            ValueError: it is not base64.
        """
        for part in self._parts:
            if part.inline_data is not None:  # either alphabet of base64 is allowed
                return base64.b64decode(part.inline_data.data.translate(str.maketrans("-_", "+/")), validate=True)
        return None

    def reply(self, text: str, fault: str) -> dict[str, Any]:
        """The answer, as the service wraps it."""
        parts: list[dict[str, Any]] = [{"text": text}] if text else []
        if text and any("codeExecution" in tool or "code_execution" in tool for tool in self.tools):
            run = {"executableCode": {"language": "PYTHON", "code": "print(0)"}}
            parts = [run, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "0\n"}}, *parts]
        images = sum(part.inline_data is not None for part in self._parts)
        usage = {
            "promptTokenCount": _tokens(self.prompt) + IMAGE_TOKENS * images,
            "candidatesTokenCount": _tokens(text),
            "thoughtsTokenCount": max(0, self.config.thinking.budget),  # as if the whole budget were used
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
    daemon_threads = True
    request_queue_size = 128  # many clients may come at once

    def __init__(self, address: tuple[str, int], fake: FakeGemini) -> None:
        super().__init__(address, _Handler)
        self.fake, self.stopping = fake, threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed their connection; the default prints a traceback."""

    def stop(self) -> None:
        """Stop listening and end all connections, also those that wait."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the client has closed it already
                    continue


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self.send_error(411, "the request has no valid Content-Length")
        if len(length) > 12 or int(length) > MAX_REQUEST:
            return self.send_error(413, f"the request is larger than {MAX_REQUEST} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True  # the client has closed its side
            return None
        reply = self.server.fake.respond(self.path, body, self.server.stopping)
        if reply is None:
            self.close_connection = True
            return None
        return self._answer(*reply)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer anything but a readable POST with Google's form of an error, and close the connection, because the
        body was not read."""
        self.close_connection = True
        self._answer(*error_reply(code, message or explain or HTTPStatus(code).phrase))

    def _answer(self, code: int, payload: dict[str, Any]) -> None:
        data = json.dumps(payload).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing, because tests and progress bars use the terminal."""
