"""The start states that ship with the package: their hashes, their splits and the jitter of trials."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from env_helpers import ALL_TASKS, rotation

from scaffold_bench.envs.start_states import FOLDER, StartStateError, frozen_states
from scaffold_bench.registration import task_names, task_spec
from scaffold_bench.types import StartState

GOLDEN_STATES = {
    "apple-train": "9d90d07d104ec5fb259a792ac5adf00bf28168d19b96c121a0c73f87c730ed42",
    "apple-eval": "72978a72d9b7049ff8973c3ff61a90941e0b400d804597f7d7a21a66609e6840",
    "bottle-train": "2a593d618b1f07ddac905cc54874ac661b165f2135c65d46787770421a1e40f1",
    "bottle-eval": "ab6366782357d6388255194dc2a5f842a3e89fd90b53441f8984594bc7cf23df",
    "drawer-train": "5f3fd19a5df107c15bb3e3d8c67c58cdd307b5f1b09bb1971f007837c24ab5e8",
    "drawer-eval": "2113094a67a8c48c8e751dbc840bd3498e293f091590d884754e5a93e3a159a0",
    "fridge-train": "31fdee28959a05d115fc6c149c430f8aae9821cf2a95771b49c9facad60939c0",
    "fridge-eval": "0104bee4d60d7b327c9b76486214aa1a068dea93c3c0f055841da72d809199f4",
    "hammer-train": "5419c0a5133a00ad267f34c6e300b474520b98b1309b60c36e5975e781439212",
    "hammer-eval": "ca0025445de661c04e45a30923c29619e43a3b8345f71390280a7c0e066f096c",
    "sponge-train": "e28b634f185e14bbaeb9131ad25b7a9df416278462ece2711b95afb40287697c",
    "sponge-eval": "c0eedb243aa83d3ffa46ecdb8437568c40b7f981e427fab714e147cf5aeb2eff",
    "scissors-train": "2d77bb82b144da8ddf096e81b5debf55fd23844327ce103aeb061539f63684ea",
    "scissors-eval": "783e619df09eb06f5248b7e1111f07bb0d7159e3e5066a52d3b9d9a8808c01ca",
    "pliers-train": "88629782e7eb4e8bbf5ac648fa04e48241ab2542185c8ecff6fa67c8563065a2",
    "pliers-eval": "68eb3522af170de43bc0ea9de643edb103695e72fd2679d24242fc7d872297a6",
}


def test_frozen_states_are_the_ones_they_always_were() -> None:
    assert json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8")) == GOLDEN_STATES
    assert {f"{path.stem}" for path in FOLDER.glob("*.npz")} == set(GOLDEN_STATES)


@pytest.mark.parametrize("key", sorted(GOLDEN_STATES))
def test_a_state_file_s_numbers_have_the_golden_hash(key: str) -> None:
    task, split = key.split("-")
    with np.load(FOLDER / f"{key}.npz", allow_pickle=False) as file:
        digest = hashlib.sha256()
        for name in sorted(file.files):
            values = file[name]
            assert values.dtype == np.float64
            digest.update(f"{name}{values.shape}".encode())
            digest.update(values.astype("<f8").tobytes())
    assert digest.hexdigest() == GOLDEN_STATES[key]
    assert frozen_states(task, split).sha256 == GOLDEN_STATES[key]


@pytest.mark.parametrize("name", task_names())
def test_all_two_hundred_states_of_a_task_differ(name: str) -> None:
    states = [state for split in ("train", "eval") for state in frozen_states(name, split)]
    assert len({state.wrist.tobytes() for state in states}) == 200
    poses = {b"".join(np.asarray(pose).tobytes() for _, pose in sorted(state.objects.items())) for state in states}
    assert len(poses) == 200


@ALL_TASKS
def test_splits_start_differently(make: Callable[[str], Any], fresh: Callable[..., Any], env_id: str) -> None:
    train, evaluation = make(env_id), fresh(env_id, split="eval")
    assert train.unwrapped.split == "train"  # the default
    first, second = (env.reset(seed=0, options={"state": 0})[0] for env in (train, evaluation))
    assert (first[:6] != second[:6]).all()
    for env, split in ((train, "train"), (evaluation, "eval")):
        start = frozen_states(task_spec(env_id).name, split)[0]
        np.testing.assert_array_equal(env.unwrapped.start_state.wrist, start.wrist)
        wrist = env.unwrapped.agent.robot.get_qpos()[0, :6]
        np.testing.assert_allclose(wrist, start.wrist, atol=1e-6)
        for name, pose in start.objects.items():
            placed = env.unwrapped._built.objects[name].pose.raw_pose[0]
            np.testing.assert_allclose(placed, pose, atol=1e-6)


@pytest.mark.parametrize("damage", ["number", "swapped", "truncated", "missing", "no manifest", "not in manifest"])
def test_tampered_states_are_refused(tmp_path: Path, damage: str) -> None:
    for name in ("hammer-eval.npz", "hammer-train.npz", "manifest.json"):
        shutil.copy(FOLDER / name, tmp_path)
    path, manifest = tmp_path / "hammer-eval.npz", tmp_path / "manifest.json"
    assert len(frozen_states("hammer", "eval", folder=tmp_path)) == 100
    if damage == "number":
        with np.load(path) as file:
            columns = dict(file)
        columns["wrist"][50, 2] = np.nextafter(columns["wrist"][50, 2], 9)
        np.savez_compressed(path, **columns)
    elif damage == "swapped":
        shutil.copy(tmp_path / "hammer-train.npz", path)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "missing":
        path.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("{}", encoding="utf-8")
    with pytest.raises(StartStateError, match="hammer-eval") as caught:
        frozen_states("hammer", "eval", folder=tmp_path)
    assert "reinstall scaffold-bench" in str(caught.value)
    assert "\n" not in str(caught.value)


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    return float((rotation(one) * rotation(other).inv()).magnitude())


@ALL_TASKS
def test_trials_jitter_a_state_slightly_and_repeatably(fresh: Callable[..., Any], env_id: str) -> None:
    env = fresh(env_id, split="eval")
    inner = env.unwrapped

    def start(trial: int | None) -> StartState:
        options: dict[str, Any] = {"state": 4} if trial is None else {"state": 4, "trial": trial}
        env.reset(seed=0, options=options)
        return inner.start_state

    frozen, trials = start(None), [start(trial) for trial in range(20)]
    assert len({one.wrist.tobytes() for one in trials}) == 20
    for name, pose in frozen.objects.items():
        assert len({one.objects[name].tobytes() for one in trials}) == 20
        shift = np.stack([one.objects[name][:3] - pose[:3] for one in trials])
        assert np.abs(shift[:, :2]).max() <= 0.002 + 1e-12
        assert np.ptp(shift[:, :2], axis=0).min() > 0.001
        np.testing.assert_array_equal(shift[:, 2], 0)
        turns = [angle_between(one.objects[name], pose) for one in trials]
        assert max(turns) <= math.radians(1) + 1e-6
        assert max(turns) > math.radians(0.5)
    wrist = np.stack([one.wrist - frozen.wrist for one in trials])
    assert 0.001 < np.abs(wrist[:, :3]).max() <= 0.002 + 1e-12
    np.testing.assert_array_equal(wrist[:, 3:], 0)
    assert start(7).wrist.tobytes() == trials[7].wrist.tobytes()
    assert [inner.start_state_set.trial_seed(4, trial) for trial in range(20)] != [
        inner.start_state_set.trial_seed(5, trial) for trial in range(20)
    ]
