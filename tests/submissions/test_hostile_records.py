"""Hostile rows are refused with a reason, and no changed digit in a submission passes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import Case, check, rewritten, with_row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import ROWS, lines_of, write_lines

from scaffold_bench.records.episode import MAX_MEASURES
from scaffold_bench.submissions import parse_submission, validate
from scaffold_bench.submissions.model import SubmissionError


def without_facts(line: str) -> str:
    """A row as older releases wrote it."""
    facts = ("lost_step", "contact_step", "leave_step", "keypoint_error")
    return json.dumps({name: value for name, value in json.loads(line).items() if name not in facts}, sort_keys=True)


def without_keypoints(lines: list[str]) -> list[str]:
    """The first failure does not say where its keypoints are."""
    place = next(i for i, line in enumerate(lines) if '"failure": "t' in line)
    row = json.loads(lines[place])
    del row["keypoint_error"]
    return [*lines[:place], json.dumps(row, sort_keys=True), *lines[place + 1 :]]


def moved(submission: Path, order: Callable[[list[str]], list[str]]) -> Path:
    write_lines(submission, order(lines_of(submission)))
    return submission


CASES: dict[str, Case] = {
    "no rows": (lambda s: write_lines(s, []), "hammer, training seed number 0, state 0, trial 0 is missing"),
    "duplicate row": (
        lambda s: moved(s, lambda rows: [*rows[:3], rows[2], *rows[3:]]),
        "hammer, training seed number 0, state 1, trial 0 is there more than once",
    ),
    "missing row": (
        lambda s: moved(s, lambda rows: rows[:7] + rows[8:]),
        "hammer, training seed number 1, state 0, trial 1 is missing",
    ),
    "duplicate in place of another": (
        lambda s: moved(s, lambda rows: [*rows[:-1], rows[0]]),
        "pliers, training seed number 1, state 2, trial 1 is missing",
    ),
    "reordered rows": (
        lambda s: moved(s, lambda rows: [rows[1], rows[0], *rows[2:]]),
        "row 2, hammer, training seed number 0, state 0, trial 0, is out of order",
    ),
    "end without a line break": (
        lambda s: rewritten(s / ROWS, lambda raw: gzip.compress(gzip.decompress(raw)[:-1])),
        "ends within a row",
    ),
    "NaN": (
        lambda s: with_row(s, r'"reward": [\d.]+', '"reward": NaN'),
        "row 1, has a wrong reward .Input should be a finite number",
    ),
    "Infinity": (
        lambda s: with_row(s, r'"reward": [\d.]+', '"reward": -Infinity'),
        "row 1, has a wrong reward .Input should be a finite number",
    ),
    "a step as a fraction": (lambda s: with_row(s, r'"contact_step": 80', '"contact_step": 80.0'), "row 1, "),
    "what is not known as null": (lambda s: with_row(s, r'"contact_step": 80', '"contact_step": null'), "row 1, "),
    "a step after the end": (
        lambda s: with_row(s, r'"leave_step": 100', '"leave_step": 301'),
        "a step that no episode",
    ),
    "lost and tracked": (
        lambda s: with_row(s, r'"lost_step": -?\d+(.*"tracked_fraction": )[\d.]+', r'"lost_step": 5\g<1>1.0'),
        "row 1, ",
    ),
    "keypoints nearer than right": (
        lambda s: with_row(s, r'"keypoint_error": [\d.e-]+', '"keypoint_error": -0.5'),
        "keypoint error",
    ),
    "facts left out of one row": (
        lambda s: with_row(s, r'"(contact|leave|lost)_step": -?\d+, ', ""),
        "says only in part when tracking was lost",
    ),
    "keypoints left out of a failure": (lambda s: moved(s, without_keypoints), "does not say how far its keypoints"),
    "all facts left out of one row": (
        lambda s: moved(s, lambda rows: [without_facts(rows[0]), *rows[1:]]),
        "some rows say when tracking was lost, others do not",
    ),
    "infinite by its exponent": (lambda s: with_row(s, r'"reward": [\d.]+', '"reward": 1e999'), "row 1, "),
    "NaN in a measure": (
        lambda s: with_row(s, r'"height": [\d.]+', '"height": NaN'),
        "row 1, has a wrong measures.height .Input should be a finite number",
    ),
    "huge integer": (lambda s: with_row(s, '"state": 0', f'"state": {"9" * 4000}'), "row 1, has state 9999"),
    "larger integer than Python reads": (lambda s: with_row(s, '"state": 0', f'"state": {"9" * 8000}'), "row 1, "),
    "huge integer for a number": (
        lambda s: with_row(s, r'"reward": [\d.]+', f'"reward": {"9" * 999}'),
        "row 1, has a wrong reward",
    ),
    "negative state": (lambda s: with_row(s, '"state": 0', '"state": -1'), "row 1, has state -1"),
    "number as text": (
        lambda s: with_row(s, '"state": 0', '"state": "0"'),
        "row 1, has a wrong state .Input should be a valid integer",
    ),
    "truth as number": (
        lambda s: with_row(s, '"state": 1', '"state": true'),
        "has a wrong state .Input should be a valid integer",
    ),
    "nested row": (lambda s: moved(s, lambda rows: ["[" * 8000, *rows[1:]]), "row 1, "),
    "deeply nested measure": (
        lambda s: with_row(s, r'"height": [\d.]+', '"height": ' + "[" * 3000 + "]" * 3000),
        "row 1, ",
    ),
    "a name twice": (lambda s: with_row(s, '"state": 0', '"state": 7, "state": 0'), "row 1, is not written as"),
    "another spelling of a number": (
        lambda s: with_row(s, '"length": 300', '"length":  300'),
        "row 1, is not written as",
    ),
    "extra field": (lambda s: with_row(s, "{", '{"aa": 1, '), "row 1, has a wrong aa"),
    "missing field": (lambda s: with_row(s, r'"reward": [\d.]+, ', ""), "row 1, has a wrong reward .Field required"),
    "no object": (
        lambda s: moved(s, lambda rows: ["null", *rows[1:]]),
        "row 1, is no record .Input should be an object",
    ),
    "endless row": (
        lambda s: with_row(s, r'"plan": "', '"plan": "' + "a" * 200_000),
        "unpacks to more than records need",
    ),
    "script in a measure's name": (lambda s: with_row(s, '"angle"', '"<b>"'), "row 1, has a wrong measures.<b>"),
    "a thousand measures": (
        lambda s: with_row(s, '"angle"', ", ".join(f'"a{i:04d}": 1.0' for i in range(400)) + ', "angle"'),
        f"row 1, has a wrong measures .Dictionary should have at most {MAX_MEASURES} items",
    ),
    "not ASCII": (lambda s: with_row(s, '"hammer"', '"h\u00e4mmer"'), "is damaged|row 1, "),
    "terminal codes in a task": (lambda s: with_row(s, '"task": "hammer"', r'"task": "\\u001b[31m"'), "row 1, is of "),
    "another task": (lambda s: with_row(s, '"task": "hammer"', '"task": "apple"'), "row 1, is of apple"),
    "another version of a task": (
        lambda s: with_row(s, "Hammer-v0", "Hammer-v1"),
        "row 1, is of hammer, Scaffold-Hammer-v1",
    ),
    "training states": (lambda s: with_row(s, '"eval"', '"train"'), "row 1, is of hammer, Scaffold-Hammer-v0, train"),
    "another seed": (lambda s: with_row(s, r'"seed": \d+', '"seed": 1'), "row 1, has the seed 1"),
    "another training seed": (
        lambda s: with_row(s, '"training_seed": 0', '"training_seed": 9'),
        "row 1, has training seed 9",
    ),
    "seed index out of range": (lambda s: with_row(s, '"seed_index": 0', '"seed_index": -1'), "as number -1"),
    "short episode": (lambda s: with_row(s, '"length": 300', '"length": 30'), "row 1, has length 30"),
    "success that never was": (
        lambda s: with_row(s, '"success_once": false', '"success_once": true'),
        "has first_success -1, unlike its success_once",
    ),
    "more than all tracked": (
        lambda s: with_row(s, r'"tracked_fraction": [\d.]+', '"tracked_fraction": 1.5'),
        "tracked_frac",
    ),
    "other rows than declared": (
        lambda s: write_lines(s, [lines_of(s)[0].replace("eval", "eval"), *lines_of(s)[:0:-1]], declare=False),
        "is out of order",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_row_is_refused_with_a_reason(mine: Path, case: Case) -> None:
    check(mine, case)


# ------------------------------------------------------------------------------------------------ a changed digit
def changed_digit(text: str, pick: int, digit: int) -> str:
    """The text with one of its digits replaced by another."""
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    place = places[pick % len(places)]
    other = str((int(text[place]) + 1 + digit % 9) % 10)
    return text[:place] + other + text[place + 1 :]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.integers(0, 10**9), digit=st.integers(0, 8))
def test_a_changed_digit_in_a_record_is_noticed(mine: Path, pick: int, digit: int) -> None:
    packed = mine / ROWS
    original = packed.read_bytes()
    text = gzip.decompress(original).decode()
    try:
        packed.write_bytes(gzip.compress(changed_digit(text, pick, digit).encode(), 1))
        assert validate(mine).problems
    finally:
        packed.write_bytes(original)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pick=st.integers(0, 10**9), digit=st.integers(0, 8))
def test_a_changed_digit_in_an_aggregate_is_noticed(mine: Path, pick: int, digit: int) -> None:
    path = mine / "submission.json"
    original = path.read_text()
    head, aggregates = original.split('"aggregates"')
    try:
        path.write_text(f'{head}"aggregates"{changed_digit(aggregates, pick, digit)}')
        assert validate(mine).problems
    finally:
        path.write_text(original)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success_at_end", "false"),
        ("tracking_error_mean", "0.02999"),
        ("grip_force", "9.5"),
        ("tips_in_contact", "3.5"),
    ],
)
def test_a_changed_score_is_noticed_even_if_the_hash_follows(mine: Path, field: str, value: str) -> None:
    lines = lines_of(mine)
    place = next(i for i, line in enumerate(lines) if '"success_at_end": true' in line)
    lines[place] = re.sub(rf'"{field}": [\w.]+', f'"{field}": {value}', lines[place])
    write_lines(mine, lines)
    problems = validate(mine).problems
    assert problems
    assert all(problem.startswith("aggregates.") for problem in problems)


def test_a_number_in_another_spelling_is_refused() -> None:
    # it would read as the same number, so a changed last digit could pass
    with pytest.raises(SubmissionError, match=r"the number 0.10000000000000001 should be written 0.1"):
        parse_submission(b'{"a": 0.10000000000000001}')
