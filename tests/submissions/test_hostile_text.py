"""Hostile texts and numbers in ``submission.json`` are refused with a reason, or shown as the text that they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import Case, check, declare, harmless, rewritten, with_text, written
from synthetic import edited

from scaffold_bench.submissions import markdown, parse_submission, validate
from scaffold_bench.submissions.model import MAX_ROWS, MAX_SUBMISSION_BYTES, SubmissionError

CASES: dict[str, Case] = {
    "wrong hash of the records": (
        lambda s: declare(s, records__sha256="00" * 32),
        "the hash of the rows is not the declared",
    ),
    "wrong hash of the plans": (lambda s: declare(s, plans__set_sha256="00" * 32), "plans.set_sha256 is not the hash"),
    "wrong score": (
        lambda s: declare(s, aggregates__mean_success_once__mean=0.75),
        "aggregates.mean_success_once.mean is 0.75",
    ),
    "claim of 10 GB of rows": (lambda s: declare(s, records__rows=10**10), "records.rows Input should be less than"),
    "claim of endless states": (lambda s: declare(s, protocol__states=10**10), "protocol.states Input should be less"),
    "claim of endless episodes": (
        lambda s: declare(s, protocol__states=100, protocol__trials=100, protocol__training_seeds=list(range(20))),
        f"has 400000 episodes, more than {MAX_ROWS}",
    ),
    "NaN in what it says": (
        lambda s: with_text(s, r'"low": [\d.]+', '"low": NaN'),
        "low Input should be a finite number",
    ),
    "Infinity in what it says": (
        lambda s: with_text(s, r'"low": [\d.]+', '"low": Infinity'),
        "low Input should be a finite number",
    ),
    "1e999 in what it says": (lambda s: with_text(s, r'"low": [\d.]+', '"low": 1e999'), "should be written inf"),
    "huge integer in what it says": (lambda s: with_text(s, r'"rows": \d+', f'"rows": {"9" * 4000}'), "records.rows "),
    "huge integer for a score": (lambda s: with_text(s, r'"low": [\d.]+', f'"low": {"9" * 4000}'), "aggregates.*low "),
    "larger integer in what it says": (
        lambda s: with_text(s, r'"rows": \d+', f'"rows": {"9" * 8000}'),
        "is not readable",
    ),
    "deeply nested": (lambda s: written(s / "submission.json", b"[" * 100_000 + b"]" * 100_000), "nested too deeply"),
    "nested objects": (
        lambda s: written(s / "submission.json", b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
        "nested too deep",
    ),
    "longer than it may be": (
        lambda s: declare(s, method__description="x" * MAX_SUBMISSION_BYTES),
        f"bytes, more than {MAX_SUBMISSION_BYTES}",
    ),
    "long name": (lambda s: declare(s, method__name="x" * 81), "method.name String should have at most 80 characters"),
    "long description": (
        lambda s: declare(s, method__description="x" * 4001),
        "method.description String should have at most",
    ),
    "many authors": (lambda s: declare(s, method__authors=["x"] * 51), "method.authors List should have at most 50"),
    "no author": (lambda s: declare(s, method__authors=[]), "method.authors List should have at least 1"),
    "a name given twice": (lambda s: with_text(s, r"\{", '{"format": 1,'), "a name is given twice"),
    "unknown field": (lambda s: declare(s, exec="rm"), "exec Extra inputs are not permitted"),
    "unknown field with a bad name": (
        lambda s: declare(s, **{"<script>\u202e\x1b[0m": 1}),
        r"<script>\\u202e\\x1b\[0m Extra inputs are not permitted",
    ),
    "number as text in what it says": (lambda s: declare(s, format="1"), "format "),
    "not UTF-8": (
        lambda s: rewritten(s / "submission.json", lambda raw: raw.replace(b"Mine", b"M\xffne")),
        "is not readable",
    ),
    "empty": (lambda s: written(s / "submission.json", b""), "is not readable"),
    "forged verification": (lambda s: written(s / "verification.json", b'{"badge": "re-run"}'), "is no verification"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_declaration_is_refused_with_a_reason(mine: Path, case: Case) -> None:
    check(mine, case)


PAYLOADS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "| a | b |",
    "@everyone #1 `code` **bold** <!-- -->",
    "{{ 7 * 7 }} ${7*7} %s {0}",
    "&lt;script&gt;",
    "</code><script>alert(1)</script>",
]


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where ``submission.json`` has text."""
    if isinstance(value, str):
        yield path
    for name, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from texts(part, (*path, name))


def read_or_refused(raw: bytes) -> Any:
    """What ``submission.json`` says, or None if it was refused."""
    try:
        return parse_submission(raw).model_dump()
    except SubmissionError:
        return None


def test_scripts_in_any_text_are_refused_or_kept_as_text(mine: Path) -> None:
    path, kept = mine / "submission.json", set()
    original = json.loads(path.read_text())
    places = list(texts(original))
    assert len(places) > 30
    for place in places:
        for payload in PAYLOADS:
            data = json.loads(json.dumps(original))
            spot = data
            for part in place[:-1]:
                spot = spot[part]
            spot[place[-1]] = payload
            told = read_or_refused(json.dumps(data).encode())
            if told is None:
                continue
            for part in place:
                told = told[part]
            assert told == payload
            kept.add(place)
    assert {place[:2] for place in kept} == {
        ("method", "name"),
        ("method", "authors"),
        ("method", "description"),
        ("plans", "provider"),
        ("policy", "reference"),
        ("training", "hardware"),
        ("vlm", "model"),
        ("evaluated", "hardware"),
    }


@pytest.mark.parametrize("payload", PAYLOADS)
def test_kept_scripts_are_shown_and_never_obeyed(mine: Path, payload: str) -> None:
    with edited(mine) as told:
        told["method"] |= {"name": payload, "authors": [payload], "description": f"{payload}\n\n# {payload}"}
        told["vlm"]["model"] = told["training"]["hardware"] = told["evaluated"]["hardware"] = payload
        told["policy"]["reference"] = payload
    report = validate(mine)
    assert report.problems == []
    assert report.submission is not None
    assert report.submission.method.name == payload
    assert harmless(markdown(report))


def test_a_hostile_folder_name_is_only_text(mine: Path) -> None:
    folder = mine.rename(mine.with_name("<img src=x onerror=alert(1)>|@a"))
    assert harmless(markdown(validate(folder)))
