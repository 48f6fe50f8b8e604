"""Submissions made from runs are valid, say what was run, and every contradiction is told in a sentence."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from synthetic import STATES, TASKS, TRIALS, edited, lines_of, make_actor_submission, make_run, make_submission
from synthetic import manifest as run_manifest

from scaffold_bench.envs.start_states import frozen_states
from scaffold_bench.metrics import summarize_runs
from scaffold_bench.records.episode import record_line
from scaffold_bench.registration import get_task, task_ids, task_names
from scaffold_bench.submissions import SUITES, About, Report, SubmissionError, markdown, prepare, schema, validate
from scaffold_bench.submissions.model import Submission, contradictions
from scaffold_bench.submissions.rows import parse_row
from scaffold_bench.submissions.suite import CURRENT, trial_seed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_submission(tmp_path_factory.mktemp("valid"), description="Two lines.\nOf text.")


def told(report: Report) -> str:
    return "\n".join(report.problems)


# ------------------------------------------------------------------------------------------------ the suite
def test_the_current_suite_is_the_tasks_of_this_release() -> None:
    suite = SUITES[CURRENT]
    assert tuple(suite.env_ids.values()) == task_ids()
    assert tuple(suite.env_ids) == task_names()
    for task, sha256 in suite.start_states.items():
        assert frozen_states(task, "eval").sha256 == sha256


def test_trial_seeds_are_the_environments() -> None:
    for task in SUITES[CURRENT].env_ids:
        states = frozen_states(get_task(task).spec.name, "eval")
        assert [trial_seed(task, s, t) for s in (0, 99) for t in (0, 19)] == [
            states.trial_seed(s, t) for s in (0, 99) for t in (0, 19)
        ]


def test_the_committed_schema_is_that_of_the_code() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_schema.py"), "--check"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    committed = json.loads((ROOT / "leaderboard" / "submission.schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(schema()))
    assert committed["additionalProperties"] is False
    assert set(committed["required"]) == set(Submission.model_fields)


# ------------------------------------------------------------------------------------------------ prepare
def test_a_prepared_submission_is_valid_and_says_what_was_run(valid: Path) -> None:
    report = validate(valid)
    assert report.problems == []
    assert (report.badge, [len(run) for run in report.runs]) == ("recomputed", [12, 12])
    submission = report.submission
    assert submission is not None
    assert submission.track == "oracle"
    assert (submission.protocol.preset, submission.protocol.tasks) == ("quick", list(TASKS))
    assert (submission.protocol.states, submission.protocol.trials) == (STATES, TRIALS)
    assert submission.protocol.training_seeds == [0, 1]
    assert (submission.policy.kind, submission.policy.reference) == ("foreign", "mine:Policy")
    assert submission.evaluated.commits == ["0123456789" * 4] * 2
    assert submission.evaluated.numerics == [None, None]
    assert submission.records.rows == 24
    assert submission.method.description == "Two lines.\nOf text."


def test_the_numbers_are_those_of_the_records(valid: Path) -> None:
    report = validate(valid)
    assert report.aggregates is not None
    numbers = report.aggregates.model_dump()
    assert numbers == summarize_runs(report.runs)
    solved = [json.loads(line)["success_once"] for line in lines_of(valid) if '"hammer"' in line]
    assert numbers["tasks"]["hammer"]["success_once"]["mean"] == pytest.approx(sum(solved) / 12)


def test_rows_go_by_task_training_seed_state_and_trial(valid: Path) -> None:
    found = [json.loads(line) for line in lines_of(valid)]
    keys = [(TASKS.index(row["task"]), row["seed_index"], row["state"], row["trial"]) for row in found]
    assert keys == sorted(keys)
    assert {(row["seed_index"], row["training_seed"]) for row in found} == {(0, 0), (1, 1)}


def test_a_folder_and_an_archive_say_the_same(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "run")]
    folder, archive = prepare(runs, tmp_path / "s"), prepare(runs, tmp_path / "s.zip")
    assert folder.submission == archive.submission
    assert validate(tmp_path / "s.zip").problems == []
    with zipfile.ZipFile(tmp_path / "s.zip") as file:
        assert {name: file.read(name) for name in file.namelist()} == {
            path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()
        }
    prepare(runs, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "s.zip").read_bytes()


def test_stored_actors_travel_with_their_seeds_and_cost(tmp_path: Path) -> None:
    report = validate(make_actor_submission(tmp_path))
    assert report.problems == []
    assert report.submission is not None
    assert report.submission.protocol.training_seeds == [5, 6]
    assert (report.submission.training.steps, report.submission.training.wall_clock_hours) == (2000, 1.0)
    assert [file.path for file in report.submission.policy.files] == [
        f"policy/seed-{index}/{task}.safetensors" for index in (0, 1) for task in sorted(TASKS)
    ]


def test_a_plan_file_is_called_by_its_name_only(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", scaffolds="/home/me/secret/plans.npz", plans="cd" * 32)
    submission = prepare([run], tmp_path / "s").submission
    assert submission is not None
    assert (submission.track, submission.plans.provider) == ("open", "plans.npz")
    assert "secret" not in (tmp_path / "s" / "submission.json").read_text()


def spoil_records(run: Path, change: Any) -> None:
    lines = (run / "records.jsonl").read_text().splitlines()
    (run / "records.jsonl").write_text("".join(f"{line}\n" for line in change(lines)))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda run: spoil_records(run, lambda lines: lines[:-1]), "has 11 of 12 episodes; run its command again"),
        (lambda run: spoil_records(run, lambda lines: [*lines[:-1], lines[0]]), "line 12, repeats the episode"),
        (lambda run: spoil_records(run, lambda lines: [*lines[:-1], "{"]), "line 12, is damaged"),
        (lambda run: spoil_records(run, lambda lines: [*lines[:-1], "[" * 9999]), "line 12, is damaged"),
        (lambda run: (run / "records.jsonl").unlink(), "is no finished evaluation"),
        (lambda run: (run / "manifest.json").write_text("{}"), "is no finished evaluation"),
        (lambda run: (run / "manifest.json").write_text(json.dumps(run_manifest(split="train"))), "split train"),
        (lambda run: (run / "manifest.json").write_text(json.dumps(run_manifest(trials=3))), "12 of 18 episodes"),
        (
            lambda run: (run / "manifest.json").write_text(json.dumps(run_manifest(policy="file:nowhere"))),
            "there are no policy files at nowhere",
        ),
        (
            lambda run: (run / "manifest.json").write_text(json.dumps(run_manifest(policy="zoo:residual-ppo"))),
            "the policy's files are not those that were evaluated",
        ),
    ],
)
def test_a_run_that_cannot_be_submitted_is_refused(tmp_path: Path, spoil: Any, sentence: str) -> None:
    run = make_run(tmp_path / "run")
    spoil(run)
    with pytest.raises(SubmissionError, match=sentence):
        prepare([run], tmp_path / "s")
    assert not list(tmp_path.glob("s*"))


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        (About(name="a\u202eb", training_seeds=(0, 1)), "method.name has an invisible or direction-changing"),
        (About(links=("ftp://x",), training_seeds=(0, 1)), "method.links.0 is not an http or https address"),
        (About(track="best", training_seeds=(0, 1)), "track "),
        (About(track="vlm-few-shot", training_seeds=(0, 1)), "vlm is missing"),
        (About(training_seeds=(0,)), "there are 1 training seeds for 2 runs"),
        (About(training_seeds=(3, 3)), "names a training seed twice"),
        (About(), "the training seeds of the runs are not known"),
    ],
)
def test_a_declaration_that_is_wrong_leaves_nothing_behind(tmp_path: Path, about: About, sentence: str) -> None:
    runs = [make_run(tmp_path / f"run-{seed}", seed) for seed in (0, 1)]
    with pytest.raises(SubmissionError, match=sentence):
        prepare(runs, tmp_path / "s", about)
    assert not list(tmp_path.glob("s*"))


def test_runs_of_two_methods_are_not_one_submission(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", policy="reference", versions={"numpy": "9"})]
    with pytest.raises(SubmissionError, match="differ in versions, policy; evaluate all training seeds alike"):
        prepare(runs, tmp_path / "s")


def test_nothing_is_overwritten(valid: Path, tmp_path: Path) -> None:
    before = (valid / "submission.json").read_bytes()
    with pytest.raises(SubmissionError, match="exists; choose another --out"):
        prepare([make_run(tmp_path / "run")], valid)
    assert (valid / "submission.json").read_bytes() == before
    with pytest.raises(SubmissionError, match="there are no runs"):
        prepare([], tmp_path / "s")


# ------------------------------------------------------------------------------------------------ contradictions
FULL = {"preset": "full", "tasks": list(SUITES[1].env_ids), "states": 100, "trials": 20}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"suite": 7}, "suite 7 is unknown; this release knows 1"),
        ({"protocol": {"tasks": ["hammer", "juggle"]}}, "suite 1 has no task juggle"),
        ({"protocol": {"tasks": ["pliers", "hammer"]}}, "protocol.tasks are not those of suite 1, in its order"),
        ({"env_ids": {"hammer": "Scaffold-Hammer-v1"}}, "env_ids are not those of suite 1"),
        ({"start_states": {"pliers": "00" * 32}}, "start_states are not those of suite 1"),
        ({"protocol": {"preset": "full"}}, "protocol.preset is full, which means all 8 tasks x 100 states x 20 trials"),
        ({"protocol": {**FULL, "training_seeds": [1, 2]}}, "x 3 training seeds; mark the submission quick"),
        ({"protocol": {**FULL, "training_seeds": [None]}, "policy": {"kind": "actor"}}, "null for a policy that was"),
        ({"protocol": {"training_seeds": [None]}, "training": {"steps": 5}}, "training_seeds is null for a policy"),
        ({"policy": {"checkpoints": [None]}}, "policy.checkpoints must have one entry for every training seed"),
        ({"policy": {"kind": "reference"}}, 'policy.reference must be "reference"'),
        ({"policy": {"kind": "random", "reference": "os:abort"}}, 'policy.reference must be "random"'),
        ({"policy": {"kind": "actor", "reference": "os:abort"}}, "must be zoo:NAME or file:NAME"),
        ({"policy": {"kind": "actor", "reference": "zoo:../../etc"}}, "must be zoo:NAME or file:NAME"),
        ({"evaluated": {"commits": [None] * 3}}, "evaluated.commits must have one entry"),
        ({"evaluated": {"numerics": [None] * 3}}, "evaluated.numerics must have one entry"),
        ({"records": {"rows": 25}}, "records.rows is 25, the protocol makes 24"),
        ({"track": "vlm-zero-shot"}, "vlm is missing; the track vlm-zero-shot needs the model"),
        ({"plans": {"provider": "mine:Plans"}}, 'the track is oracle, the plans come from "mine:Plans"'),
        (
            {"policy": {"files": [{"path": "policy/seed-0/a.safetensors", "sha256": "00" * 32, "bytes": 9}]}},
            "only an actor has files",
        ),
        (
            {
                "policy": {
                    "kind": "actor",
                    "files": [{"path": "policy/seed-0/a.safetensors", "sha256": "00" * 32, "bytes": 9}],
                }
            },
            "policy.files must be given for every training seed or for none",
        ),
    ],
)
def test_a_contradiction_is_told(valid: Path, changes: dict[str, Any], sentence: str) -> None:
    data = json.loads((valid / "submission.json").read_text())
    assert contradictions(Submission.model_validate(data)) == []
    for name, change in changes.items():
        data[name] = {**data[name], **change} if isinstance(change, dict) else change
    assert sentence in "\n".join(contradictions(Submission.model_validate(data)))


@pytest.mark.parametrize("seeds", [[1, 2, 3], [None]])
def test_the_full_protocol_may_be_called_full(valid: Path, seeds: list[int | None]) -> None:
    data, suite = json.loads((valid / "submission.json").read_text()), SUITES[1]
    data["protocol"] = {**data["protocol"], **FULL, "training_seeds": seeds}
    data |= {"env_ids": dict(suite.env_ids), "start_states": dict(suite.start_states)}
    data["policy"]["checkpoints"] = [None] * len(seeds)
    data["evaluated"]["commits"] = data["evaluated"]["numerics"] = [None] * len(seeds)
    data["records"]["rows"] = 16000 * len(seeds)
    assert contradictions(Submission.model_validate(data)) == []


# ------------------------------------------------------------------------------------------------ the report
def test_a_report_says_what_a_reader_needs(valid: Path) -> None:
    report = validate(valid)
    text = markdown(report)
    assert text.startswith("# <code>mine</code>: valid\n")
    assert "Badge: **recomputed**." in text
    assert "| hammer | 12 |" in text
    assert "quick" in text
    assert "<code>Mine</code>" in text
    assert report.aggregates is not None
    assert f"{100 * report.aggregates.mean_success_once.mean:.1f} [" in text


def test_a_report_of_something_wrong_begins_with_it(tmp_path: Path) -> None:
    path = make_submission(tmp_path)
    with edited(path) as data:
        data["aggregates"]["tasks"]["hammer"]["success_once"]["mean"] = 0.99
    report = validate(path)
    assert report.badge == "self-reported"
    assert len(report.problems) == 1
    assert report.problems[0].startswith("aggregates.tasks.hammer.success_once.mean is 0.99, the records give 0.")
    assert markdown(report).startswith("# <code>mine</code>: not valid: 1 problem\n")


def test_a_field_that_a_later_release_added_may_be_missing(valid: Path) -> None:
    row = json.loads(lines_of(valid)[0])
    assert row["contact_step"] == 80
    newer = parse_row(json.dumps(row, sort_keys=True))
    del row["contact_step"]
    line = json.dumps(row, sort_keys=True)
    older = parse_row(line)
    assert (older.contact_step, newer.contact_step) == (None, 80)
    assert (older.seed_index, older.training_seed) == (0, 0)
    assert record_line(older) == f"{line}\n"
    with pytest.raises(ValueError, match=r"has a wrong lost_step \(Input should be a valid integer\)"):
        parse_row(json.dumps({**json.loads(line), "lost_step": "seven"}, sort_keys=True))


def test_recompressing_the_records_changes_nothing(tmp_path: Path) -> None:
    path = make_submission(tmp_path)
    packed = path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress(gzip.decompress(packed.read_bytes()), 1, mtime=5))
    assert validate(path).problems == []
