import dataclasses
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold_bench.evaluation import PRESETS, EvaluationError, Preset, make_policy, read_records
from scaffold_bench.evaluation.protocol import preset
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.names import policy_name
from scaffold_bench.policies.scripted import PlanOnlyPolicy, RandomPolicy, ReferencePolicy
from scaffold_bench.records.episode import parse_record, record_line
from scaffold_bench.records.folder import RecordWriter, check_same_run, manifest, write_atomically
from scaffold_bench.types import Camera, EpisodeRecord, TaskSpec

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
    return tmp_path / "records.jsonl"


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
    with pytest.raises(ValueError, match="not JSON compliant"):
        record_line(dataclasses.replace(RECORD, **{name: value}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reward": 299.99999999999994', '"reward": NaN'),
        ('"reward": 299.99999999999994', '"reward": -Infinity'),
        ('"swings": 3.0', '"swings": NaN'),
        ('"state": 3', '"state": "three"'),
        ('"success_once": true', '"success_once": "no"'),
    ],
)
def test_a_value_that_is_no_result_is_not_read(old, new):
    line = record_line(RECORD)
    assert old in line
    with pytest.raises(ValueError):  # noqa: PT011  # the wording is not settled
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
    with RecordWriter(path, read_records(path)) as writer:
        writer.add(numbered(2))
        assert read_records(path) == [numbered(0), numbered(2)]
        writer.add(numbered(1))
    assert path.read_text() == "".join(record_line(numbered(state)) for state in (0, 2, 1))


def test_a_file_is_replaced_whole(path):
    path.write_text("old and long")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


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


# --- presets


def test_presets_are_the_paper_s_protocol_and_a_quick_one():
    assert {"quick": Preset(states=20, trials=1), "full": Preset(states=100, trials=20)} == PRESETS


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (("quick",), (20, 1)),
        (("full",), (100, 20)),
        (("quick", 3), (3, 1)),
        (("full", None, 2), (100, 2)),
        (("quick", 100, 7), (100, 7)),
        (("quick", 1, 1), (1, 1)),
    ],
)
def test_a_preset_s_numbers_can_be_overridden(arguments, chosen):
    assert preset(*arguments) == Preset(*chosen)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("huge",), "no preset 'huge'; the presets are quick, full"),
        (("quick", 0), "states must be between 1 and 100, got 0"),
        (("quick", 101), "states must be between 1 and 100, got 101"),
        (("quick", -1), "states must be between 1 and 100, got -1"),
        (("quick", 5, 0), "trials must be at least 1, got 0"),
    ],
)
def test_a_preset_out_of_range_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        preset(*arguments)


# --- policies

SPEC = TaskSpec(
    id="Scaffold-Test-v0",
    name="test",
    instruction="Test.",
    capability="precise",
    keypoints=("a",),
    success="always",
    tracking_threshold=0.1,
    finger_commands=4,
    wrist_start=(0.0,) * 6,
    bodies=("a",),
    camera=Camera((1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
)
MODULE = """
class Mine:
    def reset(self, episode): pass
    def act(self, observation): return "mine"

class NoReset:
    def act(self, observation): return 0

class NeedsArgument(Mine):
    def __init__(self, size): pass

def factory():
    return Mine()

ready = Mine()
number = 3
"""


def actions(policy, seed=0, count=3):
    episode = Episode(SPEC, None, {}, seed, scripted_action=lambda step: np.full(10, step))
    policy.reset(episode)
    return np.stack([policy.act(np.zeros(5)) for _ in range(count)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_policies_under_test.py").write_text(MODULE)
    (tmp_path / "broken_under_test.py").write_text("import no_such_module_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_policies_under_test", None)


@pytest.mark.parametrize(
    ("name", "cls"), [("reference", ReferencePolicy), ("plan-only", PlanOnlyPolicy), ("random", RandomPolicy)]
)
def test_named_policies_are_made_anew(name, cls):
    assert type(make_policy(name)) is cls
    assert make_policy(name) is not make_policy(name)


@pytest.mark.parametrize("attribute", ["Mine", "factory", "ready"])
def test_a_reference_leads_to_a_module_in_the_current_folder(folder, attribute):
    policy = make_policy(f"my_policies_under_test:{attribute}")
    assert policy.act(None) == "mine"
    assert sys.modules["my_policies_under_test"].__file__ == str(folder / "my_policies_under_test.py")


def test_a_class_a_factory_or_an_object_will_do():
    ready = PlanOnlyPolicy()
    assert make_policy(ready) is ready
    assert isinstance(make_policy(RandomPolicy), RandomPolicy)
    assert make_policy(lambda: ready) is ready


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (
            "refrence",
            "there is no policy 'refrence'; use reference, plan-only, plan-grasp, random, zoo:NAME, file:PATH or a "
            "reference like",
        ),
        ("", "there is no policy ''"),
        ("my_policies_under_test:", "there is no policy"),
        (":Mine", "there is no policy"),
        ("no_such_module_anywhere:Mine", "cannot load the policy .*no_such_module_anywhere"),
        ("broken_under_test:Mine", "cannot load the policy .*no_such_module_anywhere"),
        ("my_policies_under_test:Missing", "cannot load the policy .*Missing"),
        ("my_policies_under_test:number", r"is not a policy: it needs reset\(self, episode\) and act"),
        ("my_policies_under_test:NoReset", r"is not a policy: it has no reset; it needs"),
        (None, r"None is not a policy: it needs reset\(self, episode\) and act"),
        pytest.param(
            ".my_policies_under_test:Mine",
            "cannot load the policy",
        ),
        pytest.param(
            "my_policies_under_test:NeedsArgument",
            "NeedsArgument",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_bad_reference_is_told_in_one_sentence(reference, told):
    with pytest.raises(ValueError, match=told) as caught:
        make_policy(reference)
    assert "\n" not in str(caught.value)


def test_reference_policy_follows_the_script_from_its_start_in_every_episode():
    policy = ReferencePolicy()
    for _ in range(2):
        np.testing.assert_array_equal(actions(policy)[:, 0], [0, 1, 2])


def test_plan_only_policy_does_nothing():
    np.testing.assert_array_equal(actions(PlanOnlyPolicy()), np.zeros((3, SPEC.action_dim)))


def test_random_policy_is_uniform_and_repeats_with_the_episode_s_seed():
    policy = RandomPolicy()
    first, again, other = (actions(policy, seed, count=200) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (200, SPEC.action_dim)
    assert -1 <= first.min() < -0.95
    assert 0.95 < first.max() <= 1


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("plan-only", "plan-only"),
        ("my_module:Mine", "my_module:Mine"),
        (PlanOnlyPolicy, "scaffold_bench.policies.scripted:PlanOnlyPolicy"),
        (PlanOnlyPolicy(), "scaffold_bench.policies.scripted:PlanOnlyPolicy"),
    ],
)
def test_policies_have_names(policy, name):
    assert policy_name(policy) == name


def first_factory():
    return PlanOnlyPolicy()


def second_factory():
    return RandomPolicy()


def test_two_factories_have_two_names():
    assert policy_name(first_factory) != policy_name(second_factory)
