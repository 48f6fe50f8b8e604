"""Plan sets: made and resumed, measured against the oracle, mined for examples, imported, drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaffold_bench.evaluation import evaluate
from scaffold_bench.plan_sets.draw import show_plan
from scaffold_bench.plan_sets.importing import import_plans
from scaffold_bench.plan_sets.make import make_plans, requests
from scaffold_bench.plan_sets.refine import best_examples, refine
from scaffold_bench.plan_sets.statistics import plan_distances, statistics
from scaffold_bench.scaffolds import OracleProvider, failed_scaffold, load_scaffolds, names, resolve_provider
from scaffold_bench.scaffolds.vlm.examples import load_examples
from scaffold_bench.types import InvalidScaffoldError, Scaffold


class Flaky:
    """An oracle that fails on some states and remembers what it was asked."""

    privileged = True

    def __init__(self, fails: tuple[int, ...] = (), stops_at: int | None = None) -> None:
        self.fails, self.stops_at = fails, stops_at
        self.asked: list[tuple[str, int]] = []

    def plan(self, request: Any) -> Scaffold:
        if request.state == self.stops_at:
            raise KeyboardInterrupt
        self.asked.append((request.task, request.state))
        if request.state in self.fails:
            return failed_scaffold(request, "no idea")
        return OracleProvider().plan(request)


def make(planner: Any, out: Path, tasks: tuple[str, ...] = ("hammer", "drawer"), n: int = 3, **more: Any) -> Any:
    return make_plans(planner, tasks, "train", n, out, **more)


# ------------------------------------------------------------------------------------------------ making
def test_an_interrupted_set_is_gone_on_with(tmp_path: Path) -> None:
    out, told = tmp_path / "plans.npz", []
    with pytest.raises(KeyboardInterrupt):
        make(Flaky(stops_at=2), out)
    assert len(load_scaffolds(out)) == 2
    second = Flaky()
    make(second, out, on_plan=lambda name, state, plan: told.append((name, state, plan.valid)))
    assert second.asked == [("hammer", 2), ("drawer", 0), ("drawer", 1), ("drawer", 2)]
    assert told[0] == ("hammer", 2, True)
    provider = resolve_provider(out)
    for task in ("hammer", "drawer"):
        for state, request in requests(task, "train", range(3), privileged=True):
            assert provider.plan(request).sha256 == OracleProvider().plan(request).sha256, (task, state)


def test_failed_plans_are_kept_and_made_again_on_request(tmp_path: Path) -> None:
    out = tmp_path / "plans.npz"
    entries = make(Flaky(fails=(1,)), out)
    assert [entry.scaffold.valid for entry in entries] == [True, False, True] * 2
    assert load_scaffolds(out)[1].reason == "no idea"
    again = Flaky()
    make(again, out)
    assert again.asked == []
    make(again, out, tasks=("hammer",), retry_failed=True)
    assert again.asked == [("hammer", 1)]
    assert [entry.valid for entry in load_scaffolds(out).entries] == [True] * 4 + [False, True]
    make(again, out, retry_failed=True)
    assert all(entry.valid for entry in load_scaffolds(out).entries)


def test_a_file_holds_the_plans_of_one_planner(tmp_path: Path) -> None:
    entries = make("oracle", tmp_path / "plans.npz")
    assert entries[0].scaffold.provenance["planner"] == "oracle"
    with pytest.raises(ValueError, match=r"holds plans of oracle, not of noise\(0.01\):oracle"):
        make("noise(0.01):oracle", tmp_path / "plans.npz")
    with pytest.raises(ValueError, match="workers must be at least 1"):
        make("oracle", tmp_path / "plans.npz", workers=0)


def test_without_anybody_to_ask_no_plan_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match="set GEMINI_API_KEY"):
        make("vlm", tmp_path / "plans.npz")
    assert not (tmp_path / "plans.npz").exists()


def test_a_planner_that_sees_is_not_for_batches() -> None:
    with pytest.raises(ValueError, match=r"plans from pictures, .* make a plan file first"):
        evaluate("reference", "drawer", states=1, trials=1, scaffolds="simulated-vlm")


def test_a_plan_for_another_task_is_not_kept(tmp_path: Path) -> None:
    class Confused:
        privileged = True

        def plan(self, request: Any) -> Scaffold:
            [(_, other)] = requests("sponge", "train", [0], privileged=True)
            return OracleProvider().plan(other) if request.task == "hammer" else OracleProvider().plan(request)

    with pytest.raises(InvalidScaffoldError, match="task: is 'sponge'"):
        make(Confused(), tmp_path / "plans.npz")


def test_plans_are_made_for_frozen_states_only() -> None:
    with pytest.raises(ValueError, match="must be train or eval, got 'fresh'"):
        next(requests("hammer", "fresh", [0]))


# ------------------------------------------------------------------------------------------------ statistics
def test_statistics_measure_the_distance_to_the_oracle(tmp_path: Path) -> None:
    exact = statistics(make("oracle", tmp_path / "a.npz"))
    assert [(row.task, row.plans, row.valid) for row in exact] == [("hammer", 3, 3), ("drawer", 3, 3)]
    assert exact[0].keypoint_error == exact[0].path_error == 0.0
    noisy = statistics(make("noise(0.03):oracle", tmp_path / "b.npz", n=20))
    # the length of a normal vector is about 1.6 sigma; the worse of two a little more; path noise adds in squares
    assert 0.03 < noisy[1].keypoint_error < 0.07
    assert 0.03 < noisy[1].path_error < 0.09
    failed = statistics(make(Flaky(fails=(0, 1, 2)), tmp_path / "c.npz", tasks=("hammer",)))
    assert failed[0].reasons == {"no idea": 3}
    assert np.isnan(failed[0].keypoint_error)


def test_a_distance_by_hand() -> None:
    [(_, request)] = requests("drawer", "eval", [4], privileged=True)
    plan = OracleProvider().plan(request)
    moved = Scaffold("drawer", plan.keypoints + np.float32([0.03, 0, 0.04]), plan.wrist, plan.attachments)
    assert plan_distances(moved, 4, "eval") == pytest.approx((0.05, 0.05), abs=1e-6)


# ------------------------------------------------------------------------------------------------ examples
def test_examples_are_the_plans_that_succeeded(tmp_path: Path) -> None:
    plans = tmp_path / "plans.npz"
    entries = make(Flaky(fails=(1,)), plans, tasks=("drawer",))
    run = evaluate("reference", ["drawer"], states=3, trials=1, split="train", scaffolds=plans)
    chosen = best_examples(entries, run.records)
    assert sorted(state for _, state, _ in chosen["drawer"]) == [0, 2]
    assert {success for *_, success in chosen["drawer"]} == {1.0}
    assert len(best_examples(entries, run.records, count=1)["drawer"]) == 1
    one = chosen["drawer"][0][0]
    assert one.keypoints.shape == (20, 1, 3)
    np.testing.assert_allclose(one.places[0], 0)
    assert 0.25 < np.linalg.norm(one.keypoints[-1, 0]) < 0.35  # pulled by 30 cm
    held = one.hands[10:] - one.keypoints[10:, 0]
    assert np.abs(held).max() < 0.02  # the hand's grasp point is at the handle
    with pytest.raises(ValueError, match="followed a plan that is not in the plan file"):
        best_examples(make("noise(0.01):oracle", tmp_path / "b.npz", tasks=("drawer",)), run.records)
    eval_run = evaluate("reference", ["drawer"], states=1, trials=1)
    with pytest.raises(ValueError, match="evaluate with --split train"):
        best_examples(entries, eval_run.records)


def test_refinement_shows_the_last_round_s_best_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def learning(shots: str = "0", examples: str = "") -> Any:
        shown = load_examples(Path(examples)) if examples else {}
        seen.append((int(shots), len(shown.get("drawer", []))))
        return Flaky(fails=() if shown else (0, 1))

    monkeypatch.setattr(names, "_made_by", {"learning": learning})
    rounds = refine("learning", "reference", ["drawer"], 3, 1, tmp_path, num_envs=3)
    assert seen == [(0, 0), (3, 1)]
    assert [one.success["drawer"] for one in rounds] == pytest.approx([1 / 3, 1.0])
    assert [one.valid["drawer"] for one in rounds] == pytest.approx([1 / 3, 1.0])
    monkeypatch.setattr(names, "_made_by", {"hopeless": lambda: Flaky(fails=(0, 1, 2))})
    [only] = refine("hopeless", "reference", ["drawer"], 3, 2, tmp_path / "hopeless", num_envs=3)
    assert only.success["drawer"] == 0.0
    with pytest.raises(ValueError, match="rounds must be 0 to 3"):
        refine("learning", "reference", ["drawer"], 3, 4, tmp_path)


# ------------------------------------------------------------------------------------------------ import
def rows(**changes: Any) -> list[dict[str, Any]]:
    [(_, request)] = requests("drawer", "eval", [2], privileged=True)
    plan = OracleProvider().plan(request).waypoints
    assert plan is not None
    row = {
        "task": "drawer",
        "split": "eval",
        "state": 2,
        "keypoints": plan.keypoints.tolist(),
        "wrist": plan.wrist.tolist(),
        "attachments": ["drawer"],
    }
    return [{**row, **changes}]


def test_plain_json_and_npz_become_plans(tmp_path: Path) -> None:
    [(_, request)] = requests("drawer", "eval", [2], privileged=True)
    (tmp_path / "p.json").write_text(json.dumps(rows(provenance={"provider": "mine"})))
    arrays = {name: np.array([value]) for name, value in rows()[0].items() if name != "attachments"}
    np.savez(tmp_path / "p.npz", attachments=np.array(["drawer"]), **arrays)
    for name, maker in (("p.json", "mine"), ("p.npz", None)):
        [entry] = import_plans(tmp_path / name)
        assert entry.scaffold.sha256 == OracleProvider().plan(request).sha256
        assert (entry.split, entry.state) == ("eval", 2)
        assert entry.scaffold.provenance["provider"] == "imported"  # whatever it says about itself
        assert entry.scaffold.provenance.get("made_by") == maker


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("{}", "is not a list of plans"),
        ("[" * 100_000, "is not JSON"),
        ([1], "plan 0: lacks a field"),
        ([{}], "plan 0: lacks a field"),
        (rows(task="hammr"), "did you mean 'hammer'"),
        (rows(task="hammer"), "hammer needs 2"),
        (rows(split="fresh"), "plan 0: split: is 'fresh'"),
        (rows(keypoints=[[0, 0, 0]]), "plan 0: keypoints: has shape"),
        (rows(keypoints=[[["a", 0, 0]]] * 20), "plan 0: keypoints"),
        (rows(wrist=[[0] * 6]), "plan 0: wrist: has shape"),
        (rows(attachments=["door"]), "attachments: names"),
        (rows(keypoints=[[[9e9, 0, 0]]] * 20), "keypoints: leaves the workspace"),
        (rows(state=-1), "plan 0: state: is -1, expected 0 to 99"),
        (rows(state=100), "expected 0 to 99"),
        (rows(state=2.5), "expected 0 to 99"),
        (rows()[:1] * 2, "plan 1: state: has two plans for drawer, split eval, state 2"),
        (rows(provenance={"a": [1]}), "neither text nor a finite number"),
    ],
)
def test_what_cannot_be_imported_is_told(tmp_path: Path, content: Any, told: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises((InvalidScaffoldError, ValueError), match=told):
        import_plans(path)
    (tmp_path / "p.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(InvalidScaffoldError, match="is not an NPZ file of plans"):
        import_plans(tmp_path / "p.npz")
    with pytest.raises(ValueError, match="no file"):
        import_plans(tmp_path / "nowhere.json")


# ------------------------------------------------------------------------------------------------ command line
def test_the_commands_for_plans(command_line: Callable[..., tuple[int, str, str]]) -> None:
    def printed(*words: str) -> str:
        _, out, err = command_line(*words)
        return " ".join((out + err).split())

    make_it = ["plans", "make", "--tasks", "drawer,sponge", "-n", "2", "--out", "p.npz", "--split", "both"]
    assert "p.npz: 8 plans, 8 valid" in printed(*make_it)
    assert "p.npz: 8 plans are well-formed" in printed("plans", "validate", "p.npz")
    assert "100 %" in printed("plans", "stats", "p.npz")
    Path("rows.json").write_text(json.dumps(rows()))
    assert "i.npz: 1 plans" in printed("plans", "import", "rows.json", "--out", "i.npz")
    assert "no plan file 'nowhere'" in printed("plans", "stats", "nowhere")
    run = [
        "evaluate",
        "--tasks",
        "drawer",
        "--states",
        "1",
        "--trials",
        "1",
        "--split",
        "train",
        "--scaffolds",
        "p.npz",
    ]
    printed(*run, "--out", "run")
    assert "drawer: 1 examples" in printed("plans", "examples", "p.npz", "run", "--out", "e.json")
    assert load_examples(Path("e.json"))["drawer"]


def test_a_plan_is_drawn_without_a_picture_too(tmp_path: Path) -> None:
    [(_, request)] = requests("hammer", "eval", [0], privileged=True)
    show_plan(tmp_path / "p.png", OracleProvider().plan(request), None)
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.rendering
def test_a_plan_is_drawn_over_the_picture(command_line: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = command_line("plans", "show", "oracle", "--task", "hammer", "--state", "1")
    assert "picture: runs/plans/hammer-001.png" in out
    assert Path("runs/plans/hammer-001.png").stat().st_size > 100_000
