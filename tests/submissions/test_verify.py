"""A sample of a submission's episodes comes out bit for bit, or the difference is told; strangers' code is not run."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import edited, make_submission

from scaffold_bench.cli import main as cli
from scaffold_bench.cli import submit as cli_submit
from scaffold_bench.evaluation import evaluate
from scaffold_bench.evaluation.fingerprint import numerics
from scaffold_bench.evaluation.verify import verify
from scaffold_bench.files import ZOO
from scaffold_bench.submissions import About, SubmissionError, prepare, validate
from scaffold_bench.submissions.verification import Verification, read_verification, write_verification

KEPT = Path(cli.__file__).parents[1] / "plans"
STRANGER = """
from pathlib import Path
Path(__file__).with_name("was-run").touch()
import numpy as np
class Policy:
    def reset(self, episode):
        self._action = np.zeros(episode.spec.action_dim, dtype=np.float32)
    def act(self, observation):
        return self._action
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of the reference policy, four episodes."""
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    evaluate("reference", ["drawer", "pliers"], states=2, trials=1, out=folder)
    return folder


@pytest.fixture
def honest(run: Path, tmp_path: Path) -> Path:
    prepare([run], tmp_path / "honest")
    return tmp_path / "honest"


def forged(run: Path, folder: Path, **changes: Any) -> Path:
    """The same evaluation with one embellished record, submitted by the book."""
    shutil.copytree(run, folder / "run")
    records = folder / "run" / "records.jsonl"
    first, *rest = records.read_text().splitlines()
    records.write_text("\n".join([json.dumps({**json.loads(first), **changes}, sort_keys=True), *rest]) + "\n")
    prepare([folder / "run"], folder / "forged")
    return folder / "forged"


# ------------------------------------------------------------------------------------------------ what is found
def test_honest_records_come_out_bit_for_bit(honest: Path) -> None:
    assert validate(honest).badge == "recomputed"
    found = verify(honest, seed=1)
    assert (found.sampled, found.identical, found.same_outcome, found.differences) == (4, 4, 4, [])
    assert not found.foreign_code
    assert read_verification(honest) == found
    assert validate(honest).badge == "re-run"


def test_an_embellished_record_is_found(run: Path, tmp_path: Path) -> None:
    path = forged(run, tmp_path, grip_force=12.5)
    assert validate(path).problems == []
    found = verify(path, seed=1)
    assert (found.sampled, found.identical, found.same_outcome) == (4, 3, 4)
    (difference,) = found.differences
    assert (difference.task, difference.state, difference.trial) == ("drawer", 0, 0)
    assert difference.fields == ["grip_force"]
    report = validate(path)
    assert report.badge == "recomputed"
    assert "3 of 4 episodes that were run again have the same bits" in report.notes


def test_the_last_bit_counts(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "records.jsonl").read_text().splitlines()[0])
    last_bit = record["reward"] * (1 + 2**-52)
    assert last_bit != record["reward"]
    found = verify(forged(run, tmp_path, reward=last_bit), seed=1)
    assert [difference.fields for difference in found.differences] == [["reward"]]


def test_the_seed_decides_which_episodes_are_run(honest: Path) -> None:
    from scaffold_bench.evaluation import verify as module

    report = validate(honest)
    draws = {
        tuple(record.key for _, record in module._draw(report, 2, module.np.random.default_rng(seed)))
        for seed in range(40)
    }
    assert len(draws) == 6  # all pairs of four episodes
    assert all(len(set(draw)) == 2 for draw in draws)
    found = verify(honest, sample=1, seed=3)
    assert (found.sampled, found.sample_seed) == (1, 3)
    assert not found.passed
    assert validate(honest).badge == "recomputed"  # one of four is no evidence


def test_a_stored_actor_is_played_from_the_submission_s_own_files(tmp_path: Path) -> None:
    shutil.copy(ZOO / "residual-ppo" / "drawer.safetensors", tmp_path)
    evaluate(f"file:{tmp_path / 'drawer.safetensors'}", ["drawer"], states=1, trials=1, out=tmp_path / "run")
    prepare([tmp_path / "run"], tmp_path / "s.zip")
    (tmp_path / "drawer.safetensors").unlink()
    assert validate(tmp_path / "s.zip").submission.policy.kind == "actor"  # type: ignore[union-attr]
    found = verify(tmp_path / "s.zip", seed=0)
    assert (found.sampled, found.identical) == (1, 1)
    assert (tmp_path / "s.zip.verification.json").exists()
    assert validate(tmp_path / "s.zip").badge == "re-run"


def test_an_actor_of_the_package_is_named_by_its_hash_and_not_copied(tmp_path: Path) -> None:
    evaluate("zoo:residual-ppo", ["drawer"], states=1, trials=1, out=tmp_path / "run")
    prepare([tmp_path / "run"], tmp_path / "s")
    submission = validate(tmp_path / "s").submission
    assert submission is not None
    assert (submission.policy.kind, submission.policy.files) == ("actor", [])
    assert submission.training.steps is not None
    assert verify(tmp_path / "s", seed=0).identical == 1
    with edited(tmp_path / "s") as told:
        told["policy"]["checkpoints"] = ["0" * 64]
    with pytest.raises(SubmissionError, match="zoo:residual-ppo is here another one than was evaluated"):
        verify(tmp_path / "s", seed=0)


def test_another_kind_of_processor_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = forged(run, tmp_path, grip_force=12.5)
    with edited(path) as told:
        assert told["evaluated"]["numerics"] == [numerics()]
        told["evaluated"]["numerics"] = ["0" * 16]
    assert verify(path, seed=1).other_processor == 4
    with pytest.raises(SystemExit):
        cli_submit.verify(path)
    assert "4 of the 4 came from another kind of processor" in " ".join(capsys.readouterr().out.split())


# ------------------------------------------------------------------------------------------------ strangers' code
def test_strangers_code_is_run_with_the_flag_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_stranger.py").write_text(STRANGER)
    evaluate("a_stranger:Policy", ["pliers"], states=1, trials=1, out="run")
    prepare(["run"], "s")
    (tmp_path / "was-run").unlink()
    sys.modules.pop("a_stranger")
    with pytest.raises(SubmissionError, match="a_stranger:Policy is code from elsewhere, which is not run"):
        verify("s", seed=0)
    assert "a_stranger" not in sys.modules
    assert not (tmp_path / "was-run").exists()
    found = verify("s", seed=0, allow_foreign_code=True)
    assert (found.identical, found.foreign_code) == (1, True)
    assert (tmp_path / "was-run").exists()
    (tmp_path / "a_stranger.py").write_text(STRANGER + "# another version\n")
    with pytest.raises(SubmissionError, match="a_stranger:Policy is here another one than was evaluated"):
        verify("s", seed=0, allow_foreign_code=True)


# ------------------------------------------------------------------------------------------------ what cannot be run
def test_an_invalid_submission_is_not_run(honest: Path) -> None:
    with edited(honest) as told:
        told["records"]["sha256"] = "00" * 32
    with pytest.raises(SubmissionError, match="the hash of the rows is not the declared one"):
        verify(honest, seed=0)
    assert not (honest / "verification.json").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backend": "physx_cuda"}, "its backend is physx_cuda, this can run physx_cpu only"),
        (
            {"track": "open", "plans": {"provider": "mine:Plans"}},
            "its plans come from mine:Plans, which may read",
        ),
        ({"track": "open", "plans": {"provider": "vlm?replay=x"}}, "which may read files or ask a service"),
        (
            {"track": "open", "plans": {"provider": "recorded:nothing"}},
            "its plans cannot be had: there is no plan",
        ),
        (
            {"track": "open", "plans": {"provider": "recorded:oracle-5", "file_sha256": "ab" * 32}},
            "the plan files of recorded:oracle-5 are not those that were followed",
        ),
        ({"environment": {"wrist_plan": False}}, "its policy asks for another environment"),
        (
            {"policy": {"kind": "actor"}, "protocol": {"training_seeds": [0]}},
            "has training seed None as number 0",  # the records say otherwise
        ),
    ],
)
def test_what_cannot_be_run_again_is_told(honest: Path, changes: dict[str, Any], told: str) -> None:
    with edited(honest) as data:
        for name, change in changes.items():
            data[name] = {**data[name], **change} if isinstance(change, dict) else change
    with pytest.raises(SubmissionError, match=told):
        verify(honest, seed=0)


def test_an_actor_without_files_cannot_be_run(tmp_path: Path) -> None:
    path = make_submission(tmp_path)
    with edited(path) as data:
        data["policy"] |= {"kind": "actor", "reference": "file:somewhere"}
    with pytest.raises(SubmissionError, match="it has no policy files, so it cannot be run again"):
        verify(path, seed=0)


def test_plans_of_a_file_are_followed_again(tmp_path: Path) -> None:
    shutil.copyfile(KEPT / "oracle-5.npz", tmp_path / "p.npz")
    planner = f"noise(0.01,seed=3):{tmp_path / 'p.npz'}"
    evaluate("plan-grasp", ["drawer"], states=1, trials=1, scaffolds=planner, out=tmp_path / "run")
    submission = prepare([tmp_path / "run"], tmp_path / "s").submission
    assert submission is not None
    assert (submission.plans.provider, submission.policy.kind) == ("noise(0.01,seed=3):p.npz", "plan-grasp")
    assert verify(tmp_path / "s", seed=0, plans=planner).identical == 1
    shutil.copyfile(KEPT / "oracle-3.npz", tmp_path / "p.npz")
    for plans, told in {
        None: "which may read files or ask a service; give its name with the paths of its plan files by --plans",
        planner: "are not those that were followed",
        planner.replace("0.01", "0.02"): r"is not noise\(0.01,seed=3\):p.npz, which made the plans",
        "oracle": "oracle is not noise",
    }.items():
        with pytest.raises(SubmissionError, match=told):
            verify(tmp_path / "s", seed=0, plans=plans)


def test_kept_plan_sets_are_found(tmp_path: Path) -> None:
    evaluate("plan-grasp", ["drawer"], states=1, trials=1, scaffolds="recorded:oracle-5", out=tmp_path / "run")
    prepare([tmp_path / "run"], tmp_path / "s")
    assert verify(tmp_path / "s", seed=0).identical == 1


def test_a_sample_needs_an_episode(honest: Path) -> None:
    with pytest.raises(SubmissionError, match="sample must be at least 1, got 0"):
        verify(honest, sample=0, seed=0)


# ------------------------------------------------------------------------------------------------ badges
def passed(path: Path, **changes: Any) -> Verification:
    report = validate(path)
    assert report.submission is not None
    rows = report.submission.records.rows
    return Verification(
        **{
            "format": 1,
            "submission_sha256": report.submission_sha256,
            "records_sha256": report.submission.records.sha256,
            "sample_seed": 1,
            "episodes": rows,
            "sampled": rows,
            "identical": rows,
            "same_outcome": rows,
            "differences": [],
            "foreign_code": False,
            "backend": "physx_cpu",
            "numerics": "ab" * 8,
            "other_processor": 0,
            "versions": {},
            "hardware": "some cpu",
            "date": "2026-01-02T03:04:05Z",
            **changes,
        }
    )


def test_a_badge_is_void_once_the_bytes_change(tmp_path: Path) -> None:
    path = make_submission(tmp_path)
    write_verification(path, passed(path))
    assert validate(path).badge == "re-run"
    with edited(path) as data:
        data["method"]["name"] = "Another name"
    report = validate(path)
    assert (report.problems, report.badge) == ([], "recomputed")
    assert "verification.json is about other bytes and does not count; run 'submit verify' again" in report.notes


@pytest.mark.parametrize(
    ("changes", "badge"),
    [
        ({}, "re-run"),
        ({"sampled": 23, "identical": 23}, "recomputed"),  # of 24
        ({"identical": 23}, "recomputed"),
        ({"episodes": 48000, "sampled": 50, "identical": 50}, "re-run"),
        ({"episodes": 48000, "sampled": 49, "identical": 49}, "recomputed"),
    ],
)
def test_a_badge_needs_enough_episodes_and_every_bit(tmp_path: Path, changes: dict[str, Any], badge: str) -> None:
    path = make_submission(tmp_path)
    write_verification(path, passed(path, **changes))
    assert validate(path).badge == badge


def test_something_wrong_leaves_no_badge(tmp_path: Path) -> None:
    path = make_submission(tmp_path)
    with edited(path) as data:
        data["aggregates"]["mean_success_once"]["mean"] = 0.99
    write_verification(path, passed(path))
    assert validate(path).badge == "self-reported"


# ------------------------------------------------------------------------------------------------ the command line
def test_from_a_run_to_a_badge(command_line: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    code, out, _ = command_line(
        "submit", "prepare", str(run), "--out", "mine", "--name", "Mine", "--authors", "A B", "C D"
    )
    assert (code, "made mine and checked it" in out) == (0, True)
    code, out, _ = command_line("submit", "validate", "mine", "--report", "reports/mine.md")
    assert (code, "valid: mean success once 100.0 [100.0, 100.0] %, badge recomputed" in out) == (0, True)
    assert (tmp_path / "reports" / "mine.md").read_text().startswith("# <code>mine</code>: valid")
    code, out, _ = command_line("submit", "verify", "mine", "--sample", "4")
    assert (code, "4 of 4 episodes have the same bits, 4 the same outcome (seed " in out) == (0, True)
    assert "badge re-run" in command_line("submit", "validate", "mine")[1]
    submission = validate(tmp_path / "mine").submission
    assert submission is not None
    assert submission.method.authors == ["A B", "C D"]


def test_two_verifications_draw_differently(command_line: Callable[..., Any], honest: Path) -> None:
    seeds = set()
    for _ in range(2):
        command_line("submit", "verify", str(honest), "--sample", "1")
        found = read_verification(honest)
        assert found is not None
        seeds.add(found.sample_seed)
    assert len(seeds) == 2


def test_what_is_wrong_is_printed_and_fails(command_line: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    path = forged(run, tmp_path / "x", grip_force=12.5)
    code, out, _ = command_line("submit", "verify", str(path))
    assert (code, "differs: drawer, seed 0, state 0, trial 0: grip_force" in out) == (1, True)
    with edited(path) as told:
        told["method"]["name"] = "[red]\u202ehi"
    code, out, _ = command_line("submit", "validate", str(path), "--report", "r.md")
    assert code == 1
    assert "wrong: submission.json: method.name has an invisible or direction-changing character, U+202E" in out
    assert "not valid" in (tmp_path / "r.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prepare", "nowhere", "--out", "s"], "nowhere is no finished evaluation"),
        (["prepare", "--out", "s"], "there are no runs; give the folders"),
        (["verify", "nowhere"], "nowhere is not there"),
    ],
)
def test_a_mistake_is_answered_in_one_line(command_line: Callable[..., Any], arguments: list[str], told: str) -> None:
    code, _, err = command_line("submit", *arguments)
    assert (code, told in err, len(err.splitlines())) == (2, True, 1)


def test_help_names_the_commands(command_line: Callable[..., Any]) -> None:
    code, out, _ = command_line("submit", "--help")
    assert code == 0
    for name in ("prepare", "validate", "verify"):
        assert name in out


def test_about_may_be_given_in_code(run: Path, tmp_path: Path) -> None:
    about = replace(About(), name="In code", links=("https://example.org",))
    assert prepare([run], tmp_path / "s", about).submission.method.links == ["https://example.org"]  # type: ignore[union-attr]
