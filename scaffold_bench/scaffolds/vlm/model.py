"""Asking a vision-language model: the query, its answer, Gemini, and answers that are kept and replayed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from scaffold_bench.files import write_atomically

MAX_ANSWER_CHARACTERS = 200_000
"""Longer answers are cut; no plan needs a tenth of it."""
ENTERPRISE = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
RETRIED_STATUS = (408, 409, 429, 500, 502, 503, 504)
PRICES = {
    "gemini-2.5-flash": (0.30, 2.50),
    "gemini-2.5-flash-lite": (0.10, 0.40),
    "gemini-2.5-pro": (1.25, 10.00),
}
"""US dollars per million input and output tokens: Google's list prices of July 2025; pass ``prices`` if they moved."""


class VlmError(RuntimeError):
    """No answer came.

    Attributes:
        kind: blocked, quota, server, refused, timeout, connection, busy, empty, missing or setup.
        retryable: asking again may help.
        tokens_in, tokens_out: what was counted all the same.
    """

    def __init__(
        self, kind: str, message: str, retryable: bool = False, tokens_in: int = 0, tokens_out: int = 0
    ) -> None:
        super().__init__(message)
        self.kind, self.retryable, self.tokens_in, self.tokens_out = kind, retryable, tokens_in, tokens_out


@dataclass(frozen=True)
class Query:
    """One question to a model. Its :attr:`key` names the answer in a folder of kept ones.

    Attributes:
        purpose: "keypoints" or "trajectory".
        prompt: the text. image: a PNG file, or None.
        model: the model's name. temperature: of sampling.
        thinking_budget: tokens the model may think, 0 for none, None for the model's default.
        code_execution: let the model run code while it answers.
        attempt: 0, 1, ...: a question that is asked again because its answer was refused is another question.
    """

    purpose: str
    prompt: str
    image: bytes | None
    model: str
    temperature: float
    thinking_budget: int | None
    code_execution: bool
    attempt: int = 0

    @property
    def key(self) -> str:
        """Hash of everything that shapes the answer."""
        facts = {**asdict(self), "image": hashlib.sha256(self.image or b"").hexdigest()}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a model said, and what it took.

    Attributes:
        text: the answer, at most :data:`MAX_ANSWER_CHARACTERS`. model: who answered, as it names itself.
        tokens_in, tokens_out: as counted by the service; thoughts count as output. seconds: until the answer was there.
        kept: it comes from a recording, nobody was asked.
    """

    text: str
    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    kept: bool = False


class VlmModel(Protocol):
    """Anything that answers queries, from several threads at once."""

    def ask(self, query: Query, timeout: float) -> Answer:
        """Return the answer.

        Args:
            timeout: seconds to wait for it.

        Raises:
            VlmError: there is none.
        """
        ...


class GeminiModel:
    """Gemini through google-genai. The SDK's own environment variables say who pays and where it is.

    GEMINI_API_KEY or GOOGLE_API_KEY; or GOOGLE_GENAI_USE_VERTEXAI with GOOGLE_CLOUD_PROJECT and
    GOOGLE_CLOUD_LOCATION; GOOGLE_GEMINI_BASE_URL for a proxy or a stand-in.

    Args:
        concurrency: questions that may be under way at once, over all threads.
        client: a ready ``google.genai.Client``; made on the first question otherwise.

    Raises:
        ValueError: ``concurrency`` below 1.
    """

    def __init__(self, concurrency: int = 8, client: Any = None) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {concurrency}")
        self._client, self._lock, self._slots = client, threading.Lock(), threading.BoundedSemaphore(concurrency)

    def check(self) -> Any:
        """Find out whether there is somebody to ask, as far as that can be known without asking.

        Returns:
            The ``google.genai.Client``.

        Raises:
            VlmError: of the kind ``setup``.
        """
        with self._lock:
            if self._client is None:
                try:
                    from google import genai
                except ImportError as error:
                    raise VlmError("setup", "the vlm planner needs google-genai; pip install google-genai") from error
                enterprise = any(os.environ.get(name, "").lower() in ("1", "true") for name in ENTERPRISE)
                # thinking budgets and code execution are part of the beta interface
                options = None if enterprise else genai.types.HttpOptions(api_version="v1beta")
                try:
                    self._client = genai.Client(http_options=options)
                except Exception as error:  # the SDK and its libraries for credentials raise many kinds
                    raise VlmError(
                        "setup",
                        "the vlm planner has nobody to ask; set GEMINI_API_KEY, or try without a key: make demo-vlm "
                        f"({str(error)[:200]})",
                    ) from error
            return self._client

    def ask(self, query: Query, timeout: float) -> Answer:
        """See :class:`VlmModel`."""
        client = self.check()
        from google.genai import errors, types  # only now: the package is large

        parts: list[Any] = [types.Part.from_text(text=query.prompt)]
        if query.image is not None:
            parts.insert(0, types.Part.from_bytes(data=query.image, mime_type="image/png"))
        thinking = query.thinking_budget
        config = types.GenerateContentConfig(
            temperature=query.temperature,
            http_options=types.HttpOptions(timeout=max(1000, int(timeout * 1000))),
            thinking_config=None if thinking is None else types.ThinkingConfig(thinking_budget=thinking),
            # the service refuses JSON mode together with code execution
            tools=[types.Tool(code_execution=types.ToolCodeExecution())] if query.code_execution else None,
            response_mime_type=None if query.code_execution else "application/json",
        )
        if not self._slots.acquire(timeout=timeout):
            raise VlmError("busy", f"{timeout:.0f} s went by waiting for other questions to be answered", True)
        start = time.monotonic()
        try:
            reply = client.models.generate_content(
                model=query.model, contents=[types.Content(role="user", parts=parts)], config=config
            )
        except errors.APIError as error:
            code = int(error.code or 0)
            kind = {429: "quota"}.get(code, "server" if code >= 500 else "refused")
            reason = f"{query.model} answered {code}: {str(error.message)[:300]}"
            raise VlmError(kind, reason, code in RETRIED_STATUS) from error
        except Exception as error:  # the SDK lets through what its HTTP libraries and parsers raise
            kind = "timeout" if "timeout" in type(error).__name__.lower() else "connection"
            raise VlmError(kind, f"no answer from {query.model} ({type(error).__name__})", retryable=True) from error
        finally:
            self._slots.release()
        return _read(reply, query, time.monotonic() - start)


def _read(reply: Any, query: Query, seconds: float) -> Answer:
    """The text of a reply.

    Raises:
        VlmError: it was blocked, or holds no text.
    """
    usage = reply.usage_metadata
    spent_in, spent_out = (
        sum(int(getattr(usage, f"{name}_token_count", None) or 0) for name in names)
        for names in (("prompt", "tool_use_prompt"), ("candidates", "thoughts"))
    )
    blocked = getattr(getattr(reply, "prompt_feedback", None), "block_reason", None)
    if blocked:
        raise VlmError("blocked", f"{query.model} refused the question ({_name(blocked)})", True, spent_in, spent_out)
    candidate = (reply.candidates or [None])[0]
    parts = getattr(getattr(candidate, "content", None), "parts", None) or []
    text = "".join(part.text for part in parts if isinstance(part.text, str) and not part.thought)
    finish = _name(getattr(candidate, "finish_reason", None))
    if not text.strip():
        blocked_by = finish in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")
        reason = f"{query.model} gave no text ({finish or 'no candidate'})"
        raise VlmError("blocked" if blocked_by else "empty", reason, True, spent_in, spent_out)
    return Answer(
        text=text[:MAX_ANSWER_CHARACTERS],
        model=str(reply.model_version or query.model)[:100],
        tokens_in=spent_in,
        tokens_out=spent_out,
        seconds=seconds,
    )


def _name(value: Any) -> str:
    return str(getattr(value, "name", value) or "")


# ------------------------------------------------------------------------------------------------------- kept answers
class Recording:
    """Keeps every answer in a folder, and gives a kept one instead of asking again.

    A file per answer, named by :attr:`Query.key`: the query without its picture, which goes into ``images`` by its
    hash, and the answer. Failures of the service are not kept; they left no answer. Nothing in a file is trusted.

    Args:
        folder: where the files are. model: who is asked for what is not there; None for nobody (replay).
    """

    def __init__(self, folder: Path, model: VlmModel | None) -> None:
        self.folder, self.model = Path(folder), model
        if model is None and not self.folder.is_dir():
            raise ValueError(f"there are no recorded answers at {self.folder}")

    def check(self) -> None:
        """Find out whether what is not there could be asked for; see :meth:`GeminiModel.check`."""
        if callable(check := getattr(self.model, "check", None)):
            check()

    def ask(self, query: Query, timeout: float) -> Answer:
        """See :class:`VlmModel`; an answer that is missing in a replay has the kind ``missing``."""
        path = self.folder / f"{query.key}.json"
        if path.is_file():
            return _load(path)
        if self.model is None:
            raise VlmError(
                "missing",
                f"{self.folder} has no answer to this {query.purpose} question ({query.key[:12]}); it was recorded "
                "with another prompt, picture, model or setting",
            )
        answer = self.model.ask(query, timeout)
        facts = {"query": asdict(query), "answer": asdict(answer)}
        del facts["query"]["image"], facts["answer"]["kept"]
        if query.image is not None:
            digest = facts["query"]["image"] = hashlib.sha256(query.image).hexdigest()
            write_atomically(self.folder / "images" / f"{digest}.png", query.image)
        write_atomically(path, json.dumps(facts, indent=1))
        return answer


def _load(path: Path) -> Answer:
    try:
        if path.stat().st_size > 8 * MAX_ANSWER_CHARACTERS:
            raise ValueError("it is too large")
        facts = json.loads(path.read_text(encoding="utf-8"))["answer"]
        return Answer(
            text=str(facts["text"])[:MAX_ANSWER_CHARACTERS],
            model=str(facts["model"])[:100],
            tokens_in=int(facts["tokens_in"]),
            tokens_out=int(facts["tokens_out"]),
            seconds=float(facts["seconds"]),
            kept=True,
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = f"the recorded answer {path} is damaged ({error}); delete it to ask again"
        raise VlmError("missing", reason) from error


# ------------------------------------------------------------------------------------------------------- budget
@dataclass(frozen=True)
class Budget:
    """How long one plan may take.

    Attributes:
        attempts: answers per question that may fail or be refused. seconds: for the whole plan. timeout: per answer.
        backoff: first pause after a failure of the service, doubled each time, up to ``longest_pause``, and jittered.
    """

    attempts: int = 4
    seconds: float = 300.0
    timeout: float = 120.0
    backoff: float = 1.0
    longest_pause: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"a plan needs at least one attempt, got {self.attempts}")
        if min(self.seconds, self.timeout) <= 0 or min(self.backoff, self.longest_pause) < 0:
            raise ValueError("seconds and timeout must be positive, pauses not negative")

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures of the service."""
        return float(min(self.longest_pause, self.backoff * 2 ** max(0, failures - 1)) * random.uniform(0.5, 1.0))


@dataclass
class Account:
    """What a plan has cost so far, and when it was begun (``time.monotonic``)."""

    began: float
    questions: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    model: str = ""
    failures: list[str] = field(default_factory=list)

    def add(self, answer: Answer | VlmError) -> None:
        """Count an answer, or what a failure has cost."""
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        if isinstance(answer, Answer):
            self.seconds += answer.seconds
            self.model = answer.model

    def facts(self, prices: Mapping[str, tuple[float, float]]) -> dict[str, str | int | float | bool]:
        """For a plan's provenance; the cost is left out where the price of who answered is not known."""
        facts: dict[str, str | int | float | bool] = {
            "answered_by": self.model,
            "questions": self.questions,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 3),
        }
        known = [name for name in prices if self.model == name or self.model.startswith(f"{name}-0")]
        if known:  # a model may sign with its version, gemini-2.5-flash-001
            price_in, price_out = prices[known[0]]
            facts["usd"] = round((self.tokens_in * price_in + self.tokens_out * price_out) / 1e6, 6)
        if self.failures:
            facts["failures"] = "; ".join(self.failures)[:500]
        return facts
