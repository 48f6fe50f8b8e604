"""Short names, and planners made of planners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaffold_bench.plan_sets.make import requests
from scaffold_bench.registration import task_names
from scaffold_bench.scaffolds import (
    MixedProvider,
    NoisyProvider,
    OracleProvider,
    RecordedProvider,
    ReusedProvider,
    ScaffoldEntry,
    failed_scaffold,
    kept_sets,
    load_scaffolds,
    names,
    register_provider,
    resolve_provider,
    save_scaffolds,
)
from scaffold_bench.types import Scaffold


def request_for(task: str = "apple", state: int = 0, split: str = "eval") -> Any:
    return next(requests(task, split, [state], privileged=True))[1]


def plan(name: Any, **where: Any) -> Scaffold:
    return resolve_provider(name).plan(request_for(**where))


# ------------------------------------------------------------------------------------------------ names
def test_names_lead_to_planners() -> None:
    assert resolve_provider("oracle?waypoints=5").waypoints == 5  # type: ignore[attr-defined]
    assert isinstance(resolve_provider("recorded:oracle"), RecordedProvider)
    assert isinstance(resolve_provider("recorded:train"), ReusedProvider)
    nested = resolve_provider("noise(0.01,flip=x,seed=4):mix:recorded:oracle-5+noise(0):oracle")
    assert isinstance(nested, NoisyProvider)
    assert (nested.sigma, nested.flip, nested.seed, nested.privileged, nested.sees) == (0.01, "x", 4, True, False)
    assert isinstance(nested.provider, MixedProvider)
    assert [file.stem for file in nested.files()] == ["oracle-5"]
    vlm: Any = resolve_provider("vlm?model=gemini-x&temperature=0.2&waypoints=7&thinking=0&code=0&attempts=2")
    assert (vlm.name, vlm.temperature, vlm.waypoints, vlm.thinking_budget) == ("gemini-x", 0.2, 7, 0)
    assert (vlm.code_execution, vlm.budget.attempts, vlm.sees, vlm.privileged) == (False, 2, True, False)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("orakle", "neither a planner nor an existing plan file; did you mean 'oracle'"),
        ("oracle?waypoint=5", "unknown option waypoint; known are waypoints"),
        ("oracle?waypoints=many", "waypoints must be a number, got 'many'"),
        ("oracle?waypoints=1", "at least 2 waypoints"),
        ("recorded:nothing", "no plan file 'nothing'; the package has the sets"),
        (f"recorded:{__file__}", "not a readable plan file"),
        ("noise(loud):oracle", "sigma must be a number, got 'loud'"),
        ("noise(2):oracle", "between 0 and 1 m"),
        ("noise(0,flip=z):oracle", "flip must be x or y"),
        ("noise(0,axis=x):oracle", "unknown option axis"),
        ("mix:oracle", "must name two planners"),
        ("noise(0):" * 9 + "oracle", "nested more than 8 deep"),
        ("vlm?shots=3", "shots=3 needs examples"),
        ("vlm?examples=nowhere.json", "no examples at nowhere.json"),
        ("vlm?replay=nowhere", "no recorded answers at nowhere"),
        ("vlm?replay=a&record=b", "either record= .* or replay="),
        ("vlm?size=3", "unknown option size"),
        ("oracle?waypoints=302", "at most 301"),
        ("vlm?concurrency=0", "concurrency must be at least 1"),
        ("runs/what?.npz", "neither a planner nor an existing plan file"),
        ("x" * 5000, "neither a planner nor an existing plan file"),
    ],
)
def test_wrong_names_are_told_in_one_sentence(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        resolve_provider(name)


def test_names_may_hold_paths_with_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("oracle").write_text("not a plan file")  # a file does not take the place of a planner
    assert isinstance(resolve_provider("oracle"), OracleProvider)
    save_scaffolds("a+b?.npz", [ScaffoldEntry(plan("oracle"), "eval", 0)])
    assert isinstance(resolve_provider("a+b?.npz"), RecordedProvider)
    mixed: Any = resolve_provider("mix:recorded:a+b?.npz+mix:oracle+noise(0):oracle")
    assert isinstance(mixed.keypoints, RecordedProvider)
    assert isinstance(mixed.trajectory, MixedProvider)
    kept: Any = resolve_provider("vlm?record=runs/a+b%25")
    assert kept.model.folder == Path("runs/a+b%25")


def test_third_parties_have_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Still:
        privileged = False

        def __init__(self, why: str = "tired") -> None:
            self.why = why

        def plan(self, request: Any) -> Scaffold:
            return failed_scaffold(request, self.why)

    monkeypatch.setattr(names, "_made_by", {})
    register_provider("still", Still)
    assert plan("still?why=asleep").reason == "asleep"
    assert plan("noise(0.01):still").reason == "tired"
    with pytest.raises(ValueError, match="exists already"):
        register_provider("still", Still)
    with pytest.raises(ValueError, match="exists already"):
        register_provider("oracle", Still)
    with pytest.raises(ValueError, match="cannot make the planner 'still\\?how=1'"):
        resolve_provider("still?how=1")

    class Point:
        name = "from-elsewhere"

        @staticmethod
        def load() -> Any:
            return Still

    monkeypatch.setattr(names, "entry_points", lambda group: [Point] if group == "scaffold_bench.providers" else [])
    assert plan("from-elsewhere").reason == "tired"


# ------------------------------------------------------------------------------------------------ kept sets
def test_the_kept_sets_are_the_oracle_s_plans() -> None:
    assert {"oracle", "oracle-3", "oracle-5", "oracle-10", "oracle-40"} <= set(kept_sets())
    for count in (3, 5, 10, 20, 40):
        name = "oracle" if count == 20 else f"oracle-{count}"
        for split, state in (("train", 99), ("eval", 17)):
            kept, made = (
                plan(one, split=split, state=state) for one in (f"recorded:{name}", f"oracle?waypoints={count}")
            )
            assert kept.sha256 == made.sha256
            assert kept.waypoints is not None
            assert len(kept.waypoints.wrist) == count


@pytest.mark.parametrize("name", kept_sets())
def test_a_kept_set_has_a_plan_for_every_frozen_state(name: str) -> None:
    provider: Any = resolve_provider(f"recorded:{name}")
    entries = load_scaffolds(provider.path).entries
    assert {(entry.task, entry.split, entry.state) for entry in entries} == {
        (task, split, state) for task in task_names() for split in ("train", "eval") for state in range(100)
    }
    assert sum(entry.valid for entry in entries) > 0.99 * len(entries)
    if name.startswith("simulated-vlm"):
        assert {entry.provenance["provider"] for entry in entries} == {"simulated-vlm"}
        assert not any("usd" in entry.provenance for entry in entries)


def test_reused_plans_are_training_plans_and_always_the_same_one() -> None:
    train = {plan("oracle", split="train", state=state).sha256 for state in range(100)}
    drawn = [plan("recorded:train", state=state).sha256 for state in range(12)]
    assert set(drawn) <= train
    assert len(set(drawn)) > 6
    assert drawn == [plan("recorded:train", state=state).sha256 for state in range(12)]
    assert str(plan("recorded:train").provenance["reused_from"]).startswith("train ")
    with pytest.raises(LookupError, match="no valid training plan for apple"):
        ReusedProvider(_only_eval()).plan(request_for())


def _only_eval() -> Path:
    import tempfile

    path = Path(tempfile.mkdtemp()) / "eval.npz"
    save_scaffolds(path, [ScaffoldEntry(plan("oracle"), "eval", 0)])
    return path


# ------------------------------------------------------------------------------------------------ noise
def test_noise_has_the_asked_size_and_leaves_the_start_of_the_hand() -> None:
    oracle = plan("oracle")
    offsets, planning = [], []
    for seed in range(200):
        noisy = plan(f"noise(0.02,seed={seed}):oracle")
        assert noisy.waypoints is not None
        assert oracle.waypoints is not None
        difference = noisy.waypoints.keypoints - oracle.waypoints.keypoints
        offsets.append(difference[0])
        planning.append((difference - difference[0])[1:])
        np.testing.assert_array_equal(noisy.wrist[0], oracle.wrist[0])
    assert np.std(offsets) == pytest.approx(0.02, rel=0.05)
    assert np.std(planning) == pytest.approx(0.02, rel=0.05)


def test_noise_is_the_same_for_the_same_start_and_differs_between_starts() -> None:
    first, again = (plan("noise(0.01):oracle", state=3).sha256 for _ in range(2))
    assert first == again
    assert plan("noise(0):oracle", state=3).sha256 == plan("oracle", state=3).sha256
    errors = [plan("noise(0.01):oracle", state=s).keypoints[0] - plan("oracle", state=s).keypoints[0] for s in (3, 4)]
    assert not np.allclose(errors[0], errors[1])


def test_noise_upon_noise_is_drawn_anew_and_told() -> None:
    twice = plan("noise(0.01):noise(0.01):oracle")
    once, exact = plan("noise(0.01):oracle"), plan("oracle")
    assert twice.provenance["noise"] == "0.01,seed=0; 0.01,seed=0"
    assert not np.allclose(twice.keypoints[0] - once.keypoints[0], once.keypoints[0] - exact.keypoints[0])


def test_the_hand_moves_with_what_it_holds() -> None:
    """With one keypoint, the hand's error is the keypoint's at every later waypoint."""
    oracle, noisy = (plan(name, task="sponge") for name in ("oracle", "noise(0.02):oracle"))
    assert oracle.waypoints is not None
    assert noisy.waypoints is not None
    keypoint = (noisy.waypoints.keypoints - oracle.waypoints.keypoints)[1:, 0]
    np.testing.assert_allclose((noisy.waypoints.wrist - oracle.waypoints.wrist)[1:, :3], keypoint, atol=1e-6)


def test_a_flip_mirrors_the_motion() -> None:
    oracle, flipped = (plan(name, task="fridge") for name in ("oracle", "noise(0,flip=y):oracle"))
    moved, mirrored = (one.keypoints - one.keypoints[0] for one in (oracle, flipped))
    np.testing.assert_allclose(mirrored[..., 1], -moved[..., 1], atol=1e-6)
    np.testing.assert_allclose(mirrored[..., [0, 2]], moved[..., [0, 2]], atol=1e-6)
    assert np.abs(moved[..., 1]).max() > 0.2


def test_too_much_noise_is_a_plan_that_says_so() -> None:
    plans = [plan(f"noise(1,seed={seed}):oracle") for seed in range(5)]
    assert not all(one.valid for one in plans)
    bad = next(one for one in plans if not one.valid)
    assert "physically possible" in bad.reason or "workspace" in bad.reason


# ------------------------------------------------------------------------------------------------ mixes
def test_a_mix_has_the_keypoints_of_one_and_the_motion_of_the_other() -> None:
    mixed, oracle, noisy = (plan(name) for name in ("mix:noise(0.02):oracle+oracle", "oracle", "noise(0.02):oracle"))
    np.testing.assert_allclose(mixed.keypoints[0], noisy.keypoints[0], atol=1e-6)
    np.testing.assert_allclose(mixed.keypoints - mixed.keypoints[0], oracle.keypoints - oracle.keypoints[0], atol=1e-6)
    np.testing.assert_array_equal(mixed.wrist[0], oracle.wrist[0])
    shift = noisy.keypoints[0, 0] - oracle.keypoints[0, 0]
    np.testing.assert_allclose(mixed.wrist[-1, :3] - oracle.wrist[-1, :3], shift, atol=1e-6)
    assert (mixed.provenance["provider"], mixed.provenance["trajectory"]) == ("mix", "oracle")


def test_a_trajectory_planner_that_takes_keypoints_is_given_them() -> None:
    given = []

    class Planner:
        privileged, sees = False, False

        def plan_with_keypoints(self, request: Any, positions: Any, attachments: Any) -> Scaffold:
            given.append((positions, attachments))
            return failed_scaffold(request, "seen enough")

        def plan(self, request: Any) -> Scaffold:
            raise AssertionError(request)

    made = MixedProvider(OracleProvider(), Planner()).plan(request_for())
    assert made.reason == "seen enough"
    assert (made.provenance["provider"], made.provenance["keypoints"]) == ("mix", "oracle")
    np.testing.assert_array_equal(given[0][0], plan("oracle").keypoints[0].astype(float))
    assert given[0][1] == ("apple", "board")
