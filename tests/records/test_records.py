import dataclasses
import gzip
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold_bench.evaluation import EvaluationError, read_records
from scaffold_bench.files import write_atomically
from scaffold_bench.records.episode import MAX_MEASURES, parse_record, record_line
from scaffold_bench.records.folder import MANIFEST, RECORDS, check_same_run, manifest, written
from scaffold_bench.records.run import read_manifest
from scaffold_bench.types import EpisodeRecord

RECORD = EpisodeRecord(
    task="hammer",
    env_id="Scaffold-Hammer-v0",
    split="eval",
    state=3,
    trial=1,
    seed=123456789,
    success_once=True,
    success_at_end=False,
    first_success=200,
    length=300,
    tracking_error_mean=0.1,
    tracking_error_max=1 / 3,
    tracked_fraction=0.5,
    tips_in_contact=2.0,
    grip_force=1e-300,
    reward=299.99999999999994,
    measures={"swings": 3.0, "height": -0.0},
    failure="",
    plan="0123456789abcdef",
)
FLOATS = tuple(field.name for field in dataclasses.fields(EpisodeRecord) if field.type == "float")


def numbered(state):
    return dataclasses.replace(RECORD, state=state)


def bits(number):
    return struct.pack("<d", number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / RECORDS


# --- records


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=len(FLOATS) + 1, max_size=len(FLOATS) + 1))
def test_a_line_keeps_every_bit(numbers):
    *fields, measure = numbers
    record = dataclasses.replace(RECORD, **dict(zip(FLOATS, fields, strict=True)), measures={"angle": measure})
    again = parse_record(record_line(record))
    assert again == record
    assert [bits(getattr(again, name)) for name in FLOATS] == [bits(number) for number in fields]
    assert bits(again.measures["angle"]) == bits(measure)


@given(st.text(), st.text())
def test_a_record_is_one_line_of_ascii_whatever_its_text(task, failure):
    record = dataclasses.replace(RECORD, task=task, failure=failure)
    line = record_line(record)
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert parse_record(line) == record


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["reward", "measures"])
def test_a_number_json_does_not_have_is_not_written(name, number):
    value = {"angle": number} if name == "measures" else number
    with pytest.raises(ValueError, match=rf"{name}(.|\n)*finite number"):
        dataclasses.replace(RECORD, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "three"),
        ("state", 3.0),
        ("success_once", 1),
        ("reward", True),
        ("task", None),
        ("lost_step", "7"),
        ("measures", {"a b": 1.0}),
        ("measures", {f"m{number}": 0.0 for number in range(MAX_MEASURES + 1)}),
        ("measures", {"height": "high"}),
    ],
)
def test_a_record_of_another_type_is_not_made(name, value):
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(RECORD, **{name: value})


def test_a_record_can_be_copied_and_sent_to_another_process():
    assert pickle.loads(pickle.dumps(RECORD)) == RECORD
    assert EpisodeRecord(**dataclasses.asdict(RECORD)) == RECORD
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.state = 4


def test_numbers_of_numpy_become_numbers_of_python():
    record = dataclasses.replace(RECORD, reward=np.float32(0.5), measures={"angle": np.float64(0.25)})
    assert (type(record.reward), type(record.measures["angle"])) == (float, float)
    assert record_line(record) == record_line(dataclasses.replace(RECORD, reward=0.5, measures={"angle": 0.25}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reward": 299.99999999999994', '"reward": NaN'),
        ('"reward": 299.99999999999994', '"reward": -Infinity'),
        ('"swings": 3.0', '"swings": NaN'),
        ('"state": 3', '"state": "three"'),
        ('"success_once": true', '"success_once": "no"'),
        ('"reward": 299.99999999999994', '"reward": 1e999'),
        ('"swings": 3.0', '"two words": 3.0'),
    ],
)
def test_a_value_that_is_no_result_is_not_read(old, new):
    line = record_line(RECORD)
    assert old in line
    with pytest.raises(ValueError, match=r"^has a wrong (reward|measures|state|success_once).* \(.*\)$"):
        parse_record(line.replace(old, new))


def test_records_are_read_in_order(path):
    path.write_text("".join(record_line(numbered(state)) for state in (5, 0, 3)))
    assert read_records(path) == [numbered(5), numbered(0), numbered(3)]


def test_an_empty_file_has_no_records(path):
    path.touch()
    assert read_records(path) == []


@pytest.mark.parametrize("cut", [1, 2, 100, len(record_line(RECORD)) - 1])
def test_a_torn_last_line_is_ignored(path, cut):
    path.write_text(record_line(numbered(0)) + record_line(numbered(1))[:cut])
    assert read_records(path) == [numbered(0)]


DAMAGE = {
    "cut": record_line(RECORD)[:40] + "\n",
    "blank": "\n",
    "no-object": "[1, 2]\n",
    "null": "null\n",
    "missing-field": record_line(RECORD).replace('"reward": 299.99999999999994, ', ""),
    "extra-field": record_line(RECORD).replace("{", '{"bonus": 1, ', 1),
    "two-in-one": record_line(RECORD).strip() + record_line(RECORD),
}


@pytest.mark.parametrize("line", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_line_before_the_end_is_refused(path, line):
    assert line != record_line(RECORD)
    path.write_text(record_line(numbered(0)) + line + record_line(numbered(1)))
    with pytest.raises(EvaluationError, match=r"records\.jsonl, line 2, is damaged"):
        read_records(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda line: line.replace(b"Hammer", b"Ham\x0ber"), id="vertical-tab"),
        pytest.param(lambda line: line.replace(b"Hammer", b"Ham\xffer"), id="not-utf-8"),
        pytest.param(lambda line: line.replace(b'"hammer"', b"[]"), id="list-as-task"),
    ],
)
def test_a_line_with_damaged_bytes_before_the_end_is_refused(path, damage):
    lines = [record_line(numbered(state)).encode() for state in range(3)]
    path.write_bytes(lines[0] + damage(lines[1]) + lines[2])
    with pytest.raises(EvaluationError, match="line 2"):
        read_records(path)


def test_a_repeated_episode_is_refused(path):
    again = dataclasses.replace(numbered(0), reward=1.0)
    path.write_text("".join(map(record_line, [numbered(0), numbered(1), again])))
    with pytest.raises(EvaluationError, match=r"line 3, repeats the episode \('hammer', 0, 1\)"):
        read_records(path)


def test_same_state_of_another_trial_or_task_is_another_episode(path):
    records = [RECORD, dataclasses.replace(RECORD, trial=2), dataclasses.replace(RECORD, task="sponge")]
    path.write_text("".join(map(record_line, records)))
    assert read_records(path) == records


def test_a_resumed_file_loses_its_torn_line_and_grows(path):
    path.write_text(record_line(numbered(0)) + record_line(numbered(1))[:50])
    fresh = written(path, read_records(path), [numbered(2), numbered(1)])
    assert next(fresh) == numbered(2)
    assert read_records(path) == [numbered(0), numbered(2)]
    assert list(fresh) == [numbered(1)]
    assert path.read_text() == "".join(record_line(numbered(state)) for state in (0, 2, 1))


@pytest.mark.parametrize(("content", "raw"), [("néw", "néw".encode()), (b"\xff\0", b"\xff\0")])
def test_a_file_is_replaced_whole(path, content, raw):
    path.write_text("old and long")
    write_atomically(path, content)
    assert path.read_bytes() == raw
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_left_as_it_was(path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    path.write_text("old")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


# --- a run's folder


def both_of(folder):
    return read_manifest(folder), read_records(folder)


def test_a_run_is_its_manifest_and_its_records_packed_or_not(path):
    (path.parent / MANIFEST).write_text('{"policy": "mine"}')
    raw = "".join(map(record_line, [numbered(1), numbered(0)])).encode()
    path.write_bytes(raw)
    plain = both_of(path.parent)
    assert plain == ({"policy": "mine"}, [numbered(1), numbered(0)])
    path.unlink()
    path.with_name(f"{RECORDS}.gz").write_bytes(gzip.compress(raw))
    assert both_of(path.parent) == plain


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "is no finished evaluation .*; give a folder that"),
        (lambda folder: (folder / RECORDS).unlink(), "is no finished evaluation .*; give a folder that"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "is damaged; choose another --out or delete"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 9999), "is damaged; choose another --out or delete"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "is damaged; choose another --out or delete"),
        (lambda folder: (folder / RECORDS).rename(folder / f"{RECORDS}.gz"), "is no finished evaluation .Not a gzip"),
    ],
)
def test_a_folder_without_a_run_is_refused(path, spoil, message):
    (path.parent / MANIFEST).write_text("{}")
    path.write_text(record_line(RECORD))
    assert both_of(path.parent) == ({}, [RECORD])
    spoil(path.parent)
    with pytest.raises(EvaluationError, match=message):
        both_of(path.parent)


# --- manifest

IDENTITY = {
    "policy": "reference",
    "tasks": ["Scaffold-Hammer-v0"],
    "scaffolds": "oracle",
    "split": "eval",
    "states": 20,
    "trials": 1,
    "backend": "physx_cpu",
    "start_states": {"hammer": "aa"},
}
CHANGES = {
    "policy": "random",
    "tasks": ["Scaffold-Hammer-v1"],
    "scaffolds": "plans.npz",
    "split": "train",
    "states": 21,
    "trials": 2,
    "backend": "physx_cuda",
    "start_states": {"hammer": "bb"},
    "versions": {"scaffold-bench": "9"},
}


@pytest.fixture(scope="module")
def run():
    return json.loads(json.dumps(manifest(IDENTITY, ["scaffold-bench", "evaluate"])))


def test_a_manifest_says_what_was_run_with_what_and_where(run):
    assert {name: run[name] for name in IDENTITY} == IDENTITY
    assert run["command"] == ["scaffold-bench", "evaluate"]
    assert {"python", "numpy", "torch", "mani_skill", "sapien", "gymnasium"} <= set(run["versions"])
    assert set(run["source"]) == {"commit", "dirty"}
    assert run["hardware"]["cores"] >= 1


def test_another_kind_of_processor_is_told(run):
    with pytest.raises(EvaluationError, match="some/folder was begun on a machine that computes other last bits"):
        check_same_run(run, {**run, "numerics": "ab"}, Path("some/folder"))


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_that_differs_is_named(run, name):
    with pytest.raises(EvaluationError, match=rf"some/folder holds another evaluation \(different {name}\)"):
        check_same_run(run, {**run, name: CHANGES[name]}, Path("some/folder"))


def test_every_difference_is_named(run):
    with pytest.raises(EvaluationError, match=r"different split, states\)"):
        check_same_run(run, {**run, "split": "train", "states": 1}, Path("f"))


def test_an_incomplete_manifest_differs(run):
    old = {name: value for name, value in run.items() if name != "policy"}
    with pytest.raises(EvaluationError, match="policy"):
        check_same_run(old, run, Path("f"))


def test_time_place_and_commit_do_not_make_another_run(run):
    check_same_run(run, {**run, "date": "2000", "command": [], "hardware": {}, "source": {}}, Path("f"))
