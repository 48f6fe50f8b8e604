"""Evaluations: which episodes run, that results repeat, and that nothing is lost when something breaks."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from scaffold_bench import OracleProvider, evaluate, save_scaffolds
from scaffold_bench.evaluation import EvaluationError, Results, read_records, runner
from scaffold_bench.evaluation.rollout import CONTACT_FORCE, EpisodeTally, run_episode
from scaffold_bench.metrics import summarize
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.scripted import RandomPolicy, ReferencePolicy
from scaffold_bench.records import folder as record_folder
from scaffold_bench.records.episode import record_line
from scaffold_bench.records.folder import sole_writer
from scaffold_bench.registration import get_task, make_env, start_states, task_spec
from scaffold_bench.scaffolds import ScaffoldEntry, scaffold_from_waypoints
from scaffold_bench.types import EPISODE_STEPS

RUN: dict[str, Any] = {"tasks": ["hammer", "drawer"], "states": 2, "trials": 1}
KEYS = [(task, state, 0) for task in ("hammer", "drawer") for state in (0, 1)]
FILES = {"records.jsonl", "manifest.json", "summary.json"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """An evaluation of the reference policy that nothing interrupted."""
    return evaluate("reference", out=tmp_path_factory.mktemp("whole") / "run", **RUN)


def lines(results: Results) -> str:
    return "".join(record_line(record) for record in results.records)


def written(folder: Path) -> str:
    return (folder / "records.jsonl").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ what is run
def test_every_episode_has_one_record_in_order(whole: Results) -> None:
    assert [record.key for record in whole.records] == KEYS
    for record in whole.records:
        spec = task_spec(record.task)
        assert record.env_id == spec.id
        assert (record.split, record.length) == ("eval", EPISODE_STEPS)
        assert record.seed == start_states(get_task(record.task), "eval").trial_seed(record.state, record.trial)
        assert 0 <= record.tracking_error_mean <= record.tracking_error_max
        assert set(record.measures) == ({"swings", "head_height"} if record.task == "hammer" else {"opening"})
        assert all(math.isfinite(value) for value in record.measures.values())
    assert len({record.plan for record in whole.records}) == len(KEYS)
    assert len({record.reward for record in whole.records}) == len(KEYS)


def test_the_files_hold_what_is_returned(whole: Results) -> None:
    assert whole.out is not None
    assert {path.name for path in whole.out.iterdir()} == FILES
    assert read_records(whole.out / "records.jsonl") == whole.records
    assert written(whole.out) == lines(whole)
    assert json.loads((whole.out / "manifest.json").read_text(encoding="utf-8")) == whole.manifest
    assert json.loads((whole.out / "summary.json").read_text(encoding="utf-8")) == whole.summary
    assert whole.summary == summarize(whole.records)
    manifest = whole.manifest
    assert manifest["tasks"] == ["Scaffold-Hammer-v0", "Scaffold-OpenDrawer-v0"]
    assert [manifest[name] for name in ("policy", "split", "states", "trials")] == ["reference", "eval", 2, 1]
    assert manifest["backend"] == "physx_cpu"
    assert manifest["start_states"]["hammer"] == start_states(get_task("hammer"), "eval").sha256


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Results) -> None:
    monkeypatch.chdir(tmp_path)
    results = evaluate("reference", **RUN)
    assert list(tmp_path.iterdir()) == []
    assert results.out is None
    assert lines(results) == lines(whole)
    assert results.summary == whole.summary


def test_the_reference_policy_solves_and_the_others_do_not(whole: Results) -> None:
    assert all(record.success_once and record.failure == "" for record in whole.records)
    for policy in ("plan-only", "random"):
        results = evaluate(policy, tasks="hammer", states=1, trials=1)
        (record,) = results.records
        assert not record.success_once
        assert record.first_success == -1
        assert record.failure == "tracking"
        assert results.summary["tasks"]["hammer"]["success_once"]["mean"] == 0
        assert record.reward < whole.records[0].reward
    assert whole.summary["mean_success_once"] == 1


def test_the_table_shows_every_task(whole: Results) -> None:
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(whole.table())
    table = console.export_text()
    assert "reference on eval states (2 states x 1 trials)" in table
    for row in ("hammer", "drawer", "mean"):
        (line,) = (line for line in table.splitlines() if f" {row} " in line)
        assert "100.0" in line


@pytest.mark.parametrize(
    ("tasks", "order"),
    [
        ("hammer", ["hammer"]),
        (["drawer", "hammer"], ["drawer", "hammer"]),
        (["Scaffold-Hammer-v0", "hammer"], ["hammer"]),
    ],
)
def test_tasks_are_named_by_id_or_name_and_run_once(tasks: Any, order: list[str]) -> None:
    results = evaluate("plan-only", tasks=tasks, states=1, trials=1)
    assert [record.task for record in results.records] == order


def test_the_training_states_can_be_evaluated_too(whole: Results) -> None:
    (record,) = evaluate("reference", tasks="hammer", states=1, trials=1, split="train").records
    assert record.split == "train"
    assert record.plan != whole.records[0].plan
    assert record.seed != whole.records[0].seed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"policy": "refrence"}, "there is no policy 'refrence'"),
        ({"tasks": "hamer"}, "there is no task 'hamer'; did you mean 'hammer'"),
        ({"tasks": []}, "there are no tasks to evaluate"),
        ({"preset": "fast"}, "there is no preset 'fast'; the presets are quick, full"),
        ({"states": 101}, "states must be between 1 and 100, got 101"),
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"split": "fresh"}, "split must be 'eval' or 'train', got 'fresh'"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"workers": 2, "policy": RandomPolicy()}, "several workers need a policy given by name"),
        ({"scaffolds": "orcale"}, "neither a planner nor an existing plan file"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        evaluate(**{"policy": "reference", "out": tmp_path / "run", **RUN, **arguments})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------ repeatability
def test_an_episode_does_not_depend_on_those_run_before_it(whole: Results) -> None:
    alone = make_env("hammer", split="eval", tracking_threshold=None)
    assert record_line(run_episode(alone, ReferencePolicy(), 1, 0)) == record_line(whole.records[1])
    alone.close()


def test_a_sampling_policy_repeats_through_the_episode_s_seed() -> None:
    first, again = (evaluate("random", tasks="hammer", states=1, trials=2) for _ in range(2))
    assert lines(first) == lines(again)
    assert len({record.reward for record in first.records}) == 2


def test_a_policy_is_told_about_its_episode() -> None:
    told: list[Episode] = []
    seen: list[np.ndarray] = []

    class Listener:
        def reset(self, episode: Episode) -> None:
            told.append(episode)

        def act(self, observation: np.ndarray) -> np.ndarray:
            seen.append(observation)
            return np.zeros(told[-1].spec.action_dim, np.float32)

    results = evaluate(Listener(), tasks="hammer", states=1, trials=2)
    assert [episode.seed for episode in told] == [record.seed for record in results.records]
    assert [episode.scaffold.sha256[:16] for episode in told] == [record.plan for record in results.records]
    assert len(seen) == 2 * EPISODE_STEPS
    for episode, first in zip(told, (seen[0], seen[EPISODE_STEPS]), strict=True):
        assert episode.spec == task_spec("hammer")
        np.testing.assert_array_equal(
            first[episode.layout["initial_keypoints"]].reshape(-1, 3), episode.scaffold.keypoints[0]
        )
        assert episode.scripted_action(0).shape == (7,)


@pytest.mark.parametrize("num_envs", [1, 3, 5])
def test_records_do_not_depend_on_how_many_run_side_by_side(num_envs: int) -> None:
    def run(num_envs: int) -> Results:
        return evaluate("random", ["apple", "pliers"], states=3, trials=2, num_envs=num_envs)

    together, apart = run(num_envs), run(6)
    assert lines(together) == lines(apart)
    assert len({record.reward for record in together.records}) == 12


def test_jobs_are_even_and_as_few_as_keep_every_worker_busy() -> None:
    todo = [("apple", state, 0) for state in range(20)] + [("hammer", 0, 0)]

    def sizes(num_envs: int, workers: int) -> list[int]:
        return [len(episodes) for _, episodes in runner._jobs(todo, num_envs, workers)]

    assert sizes(32, 1) == [20, 1]
    assert sizes(32, 2) == [10, 10, 1]
    assert sizes(8, 2) == [6, 7, 7, 1]
    assert sizes(1, 2) == [1] * 21


def test_a_policy_that_cannot_be_copied_is_told_so() -> None:
    class Holding(RandomPolicy):
        def __init__(self) -> None:
            self.lock = threading.Lock()

    with pytest.raises(EvaluationError, match=r"the policy cannot be copied .*; use one environment at a time"):
        evaluate(Holding, "hammer", states=2, trials=1, num_envs=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_records_do_not_depend_on_workers_and_a_policy_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Results, workers: int
) -> None:
    source = "from scaffold_bench.policies.scripted import ReferencePolicy\nclass Mine(ReferencePolicy): pass\n"
    (tmp_path / "policy_under_test.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    results = evaluate("policy_under_test:Mine", out="run", workers=workers, **RUN)
    assert written(tmp_path / "run") == lines(whole)
    assert results.summary == whole.summary
    assert results.manifest["policy"] == "policy_under_test:Mine"
    sys.modules.pop("policy_under_test")


def test_a_policy_that_returns_nonsense_is_told_so() -> None:
    class Nonsense:
        def reset(self, episode: Episode) -> None:
            self.size, self.steps = episode.spec.action_dim, 0

        def act(self, observation: np.ndarray) -> np.ndarray:  # noqa: ARG002
            self.steps += 1
            return np.full(self.size, math.nan if self.steps > 5 else 0.0)

    with pytest.raises(ValueError, match=r"actions are not finite at index \(0, 0\)"):
        evaluate(Nonsense, tasks="hammer", states=1, trials=1)


# ------------------------------------------------------------------------------------------------ resuming
class Interrupted(ReferencePolicy):
    """A reference policy whose user loses patience in the third episode."""

    episodes, patience = 0, 2

    def reset(self, episode: Episode) -> None:
        super().reset(episode)
        type(self).episodes += 1

    def act(self, observation: np.ndarray) -> np.ndarray:
        if self.episodes > self.patience and self._step == 100:
            raise KeyboardInterrupt
        return super().act(observation)


@pytest.fixture
def _named_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "policy_name", lambda _: "reference")
    monkeypatch.setattr(Interrupted, "episodes", 0)


@pytest.mark.usefixtures("_named_reference")
def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path, whole: Results) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted, out=folder, **RUN)
    assert [record.key for record in read_records(folder / "records.jsonl")] == KEYS[:2]
    assert not (folder / "summary.json").exists()
    started = (folder / "manifest.json").read_bytes()

    played = []

    class Counting(ReferencePolicy):
        def reset(self, episode: Episode) -> None:
            played.append(episode.seed)
            super().reset(episode)

    results = evaluate(Counting, out=folder, **RUN)
    assert played == [record.seed for record in whole.records[2:]]
    assert written(folder) == lines(whole)
    assert results.records == whole.records
    assert results.summary == whole.summary
    assert (folder / "manifest.json").read_bytes() == started
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.parametrize("cut", [1, 700, 1600], ids=lambda cut: f"{cut} bytes lost")
def test_a_torn_file_is_completed(tmp_path: Path, whole: Results, cut: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert whole.out is not None
    (folder / "manifest.json").write_bytes((whole.out / "manifest.json").read_bytes())
    (folder / "records.jsonl").write_bytes(written(whole.out).encode()[:-cut])
    evaluate("reference", out=folder, **RUN)
    assert written(folder) == lines(whole)


def test_episodes_finished_out_of_order_are_kept_and_sorted(tmp_path: Path, whole: Results) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert whole.out is not None
    (folder / "manifest.json").write_bytes((whole.out / "manifest.json").read_bytes())
    some = [whole.records[index] for index in (3, 0, 2)]
    (folder / "records.jsonl").write_text("".join(map(record_line, some)), encoding="utf-8")
    evaluate("reference", out=folder, **RUN)
    assert written(folder) == lines(whole)


def test_a_finished_evaluation_is_not_run_again(whole: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run_episodes", lambda *_: pytest.fail("an episode was run again"))
    assert whole.out is not None
    before = written(whole.out)
    again = evaluate("reference", out=whole.out, **RUN)
    assert again.records == whole.records
    assert written(whole.out) == before


# ------------------------------------------------------------------------------------------------ folders
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"policy": "plan-only"}, "policy"),
        ({"states": 1}, "states"),
        ({"trials": 2}, "trials"),
        ({"tasks": "hammer"}, "tasks"),
        ({"split": "train"}, "split"),
    ],
    ids=str,
)
def test_another_evaluation_in_the_same_folder_is_refused(whole: Results, changes: dict[str, Any], named: str) -> None:
    assert whole.out is not None
    before = {path.name: path.read_bytes() for path in whole.out.iterdir()}
    with pytest.raises(EvaluationError, match=rf"holds another evaluation \(different .*{named}.*\); choose another"):
        evaluate(**{"policy": "reference", "out": whole.out, **RUN, **changes})
    assert {path.name: path.read_bytes() for path in whole.out.iterdir()} == before


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(EvaluationError, match="is not empty and holds no evaluation; choose another --out"):
        evaluate("reference", out=tmp_path, **RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"policy": ')
    with pytest.raises(EvaluationError, match=r"manifest\.json is damaged; choose another --out or delete"):
        evaluate("reference", out=tmp_path, **RUN)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(EvaluationError, match=r"cannot write to .*taken \(File exists\); choose another --out"):
        evaluate("reference", out=tmp_path / "taken", **RUN)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EvaluationError, match=r"cannot write to .*\(Permission denied\); choose another --out"):
        evaluate("reference", out=tmp_path / "run", **RUN)


def test_a_full_disk_ends_in_one_sentence_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Results
) -> None:
    room = [2]

    def full(record: Any) -> str:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= 1
        return record_line(record)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(record_folder, "record_line", full)
        with pytest.raises(
            EvaluationError, match=r"cannot write to .*\(No space left on device\); free space"
        ) as caught:
            evaluate("reference", out=folder, **RUN)
    assert "\n" not in str(caught.value)
    assert [record.key for record in read_records(folder / "records.jsonl")] == KEYS[:2]
    evaluate("reference", out=folder, **RUN)
    assert written(folder) == lines(whole)


# ------------------------------------------------------------------------------------------------ plans and records
def oracle_plan(state: int, trial: int = 0) -> Any:
    env = make_env("hammer", split="eval")
    env.reset(options={"state": state, "trial": trial})
    plan = env.scaffold
    env.close()
    return plan


def test_plans_can_come_from_a_file_that_holds_the_evaluated_states_only(tmp_path: Path, whole: Results) -> None:
    path = tmp_path / "plans.npz"
    save_scaffolds(path, [ScaffoldEntry(oracle_plan(state), "eval", state) for state in (0, 1)])
    results = evaluate("reference", tasks="hammer", states=2, trials=1, scaffolds=str(path))
    assert lines(results) == "".join(map(record_line, whole.records[:2]))
    assert results.manifest["scaffolds"] == str(path)


class NoPlan(OracleProvider):
    """A planner that gives up: the hand is held still, and the plan says why."""

    def plan(self, request: Any) -> Any:
        waypoints = request.reference(2)
        still = type(waypoints)(
            np.repeat(waypoints.keypoints[:1], 2, axis=0),
            np.repeat(waypoints.wrist[:1], 2, axis=0),
            waypoints.attachments,
        )
        return scaffold_from_waypoints(request.task, still, {"provider": "none"}, valid=False, reason="gave up")


def test_an_episode_without_a_plan_is_data() -> None:
    env = make_env("hammer", scaffolds=NoPlan(), split="eval", tracking_threshold=None)
    record = run_episode(env, ReferencePolicy(), 0, 0)
    env.close()
    assert record.failure == "plan"
    assert not record.success_once
    assert record.length == EPISODE_STEPS
    summary = summarize([record])
    assert summary["tasks"]["hammer"]["success_once"]["mean"] == 0


def info(error: float = 0.0, force: tuple[float, ...] = (0.0,) * 4, success: bool = False, valid: bool = True) -> Any:
    return {
        "tracking_error": np.array([[error / 2, error]]),
        "tip_forces": np.array([force]),
        "success": np.array([success]),
        "plan_valid": np.array([valid]),
        "measure/swings": np.array([1.0]),
        "measure/broken": np.array([math.nan]),
        "reward/tracking": np.array([0.5]),
    }


def tally(*steps: dict[str, Any], reward: float = 0.5) -> Any:
    counted = EpisodeTally(task_spec("hammer"))
    for step in steps:
        counted.add(np.array([reward]), step)
    keypoints = np.zeros((EPISODE_STEPS + 1, 2, 3))
    keypoints[40:, 1, 2] = 0.09  # epsilon_0 is 8 cm
    plan: Any = SimpleNamespace(keypoints=keypoints, valid=steps[0]["plan_valid"][0], sha256="0123456789abcdef" * 4)
    return counted.record(0, "eval", 3, 1, 77, plan, np.array([[0.0, 0.0, 0.0], [0.03, 0.0, 0.04]]))


def test_a_record_is_the_sum_of_its_steps() -> None:
    touch = CONTACT_FORCE
    record = tally(
        info(0.02, (2 * touch, 3.0, 0.0, 0.0)),
        info(0.10, (0.0, 1.0, touch / 2, 0.0), success=True),
        info(0.04, (touch / 2,) * 4),
    )
    assert (record.task, record.state, record.trial, record.seed) == ("hammer", 3, 1, 77)
    assert record.plan == "0123456789abcdef"
    assert (record.success_once, record.success_at_end, record.first_success) == (True, False, 2)
    assert record.length == 3
    assert record.tracking_error_mean == pytest.approx((0.02 + 0.10 + 0.04) * 0.75 / 3)
    assert record.tracking_error_max == pytest.approx(0.10)
    assert record.tracked_fraction == pytest.approx(2 / 3)  # epsilon_0 is 8 cm
    assert record.tips_in_contact == pytest.approx((2 + 1) / 2)  # over the two steps with a touch
    assert record.grip_force == pytest.approx((3.0 + 1.0) / 2)
    assert record.reward == pytest.approx(1.5)
    assert record.measures == {"swings": 1.0}  # what is no number is left out
    assert (record.lost_step, record.contact_step, record.leave_step) == (2, 1, 40)
    assert record.keypoint_error == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("steps", "failure"),
    [
        ([info(0.01), info(0.01, success=True), info(0.5)], ""),
        ([info(0.01, valid=False), info(0.5, valid=False)], "plan"),
        ([info(0.01), info(0.0801)], "tracking"),
        ([info(0.01), info(0.0799)], "task"),
        ([info(0.01, success=True, valid=False)], ""),
    ],
)
def test_a_failure_has_one_cause(steps: list[dict[str, Any]], failure: str) -> None:
    assert tally(*steps).failure == failure


def test_untouched_objects_have_no_grip() -> None:
    record = tally(info(), info())
    assert (record.tips_in_contact, record.grip_force) == (0.0, 0.0)
    assert (record.lost_step, record.contact_step) == (-1, -1)


def test_an_episode_without_a_plan_has_no_keypoints_to_be_wrong() -> None:
    assert tally(info(valid=False)).keypoint_error is None


def test_two_evaluations_cannot_share_a_folder(tmp_path: Path) -> None:
    with sole_writer(tmp_path), pytest.raises(EvaluationError, match="another evaluation is writing to"):
        evaluate("plan-only", ["drawer"], states=1, out=tmp_path)
    assert len(evaluate("plan-only", ["drawer"], states=1, out=tmp_path).records) == 1


def test_a_plan_file_changed_under_its_name_is_another_evaluation(tmp_path: Path) -> None:
    plans, out = tmp_path / "plans.npz", tmp_path / "run"
    oracle = make_env("drawer", split="eval")
    for waypoints in (20, 10):
        oracle.provider = OracleProvider(waypoints)
        oracle.reset(options={"state": 0})
        save_scaffolds(plans, [ScaffoldEntry(oracle.scaffold, "eval", 0)])
        if waypoints == 20:
            evaluate("plan-only", ["drawer"], states=1, scaffolds=str(plans), out=out)
    with pytest.raises(EvaluationError, match=r"different plans"):
        evaluate("plan-only", ["drawer"], states=1, scaffolds=str(plans), out=out)


def test_an_edited_policy_is_another_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code = "import numpy as np\nclass P:\n def reset(self, e): pass\n def act(self, o): return np.full(7, {})\n"
    source = tmp_path / "edited_policy.py"
    source.write_text(code.format(0.0))
    evaluate("edited_policy:P", ["drawer"], states=1, out=tmp_path / "run")
    source.write_text(code.format(0.5))
    with pytest.raises(EvaluationError, match="different policy_source"):
        evaluate("edited_policy:P", ["drawer"], states=1, out=tmp_path / "run")


def test_a_planner_object_can_be_evaluated() -> None:
    results = evaluate("plan-only", ["drawer"], states=1, scaffolds=OracleProvider(5))
    assert results.manifest["scaffolds"] == "scaffold_bench.scaffolds.oracle:OracleProvider"
    assert len(results.records) == 1
    with pytest.raises(ValueError, match="several workers need scaffolds given by name"):
        evaluate("plan-only", ["drawer"], states=1, scaffolds=OracleProvider(5), workers=2)
