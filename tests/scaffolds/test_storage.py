"""What is written to a plan file comes back bit for bit."""

import dataclasses
import itertools

import numpy as np
import pytest
from plan_files import hold_still, plan, save

from scaffold_bench.scaffolds import ScaffoldEntry, load_scaffolds, save_scaffolds, scaffold_from_waypoints
from scaffold_bench.types import InvalidScaffoldError, Scaffold, Waypoints


def plain(seed=0):
    """A plan of 301 frames that came from no waypoints."""
    rng = np.random.default_rng(seed)
    keypoints, wrist = rng.uniform(-0.02, 0.02, (301, 1, 3)), rng.uniform(-0.02, 0.02, (301, 6))
    keypoints[::7], wrist[::5] = -0.0, -0.0
    return Scaffold("sponge", keypoints, wrist, ("sponge",))


def assert_same(read, written):
    assert read.keypoints.tobytes() == written.keypoints.tobytes()
    assert read.wrist.tobytes() == written.wrist.tobytes()
    for name in ("task", "attachments", "valid", "reason", "version", "sha256", "provenance"):
        assert getattr(read, name) == getattr(written, name), name


@pytest.mark.parametrize(
    "scaffold",
    [
        pytest.param(plan(), id="20-waypoints"),
        pytest.param(plan(count=2), id="2-waypoints"),
        pytest.param(plan(count=301), id="301-waypoints"),
        pytest.param(plan(timed=True), id="timed"),
        pytest.param(plain(), id="plain-frames"),
        pytest.param(plan(valid=False, reason="the answer was “no”\nJSON expected"), id="invalid"),
        pytest.param(plan(provenance={}), id="no-provenance"),
    ],
)
def test_a_plan_comes_back_bit_for_bit(path, scaffold):
    assert_same(load_scaffolds(save(path, scaffold))[0], scaffold)


def test_provenance_keeps_its_types(path):
    mixed = {"text": "1", "whole": 1, "real": 1.0, "flag": True}
    read = load_scaffolds(save(path, plan(provenance=mixed)))[0].provenance
    assert {name: type(value) for name, value in read.items()} == {
        "text": str,
        "whole": int,
        "real": float,
        "flag": bool,
    }


def test_mixed_tasks_shapes_and_states_keep_their_order(path):
    plans = [
        plan(),
        plain(1),
        plan("apple", count=5),
        plan(seed=2),
        plan(timed=True),
        plain(3),
        plan(attachments=("a",)),
    ]
    entries = [
        ScaffoldEntry(scaffold, split, state)
        for scaffold, split, state in zip(
            plans, itertools.cycle(["eval", "train"]), [9, 0, None, 3, 4, 5, 99], strict=False
        )
    ]
    save_scaffolds(path, entries)
    file = load_scaffolds(path)
    assert len(file) == len(plans)
    for read, written in zip(file, plans, strict=True):
        assert_same(read, written)
    assert [(row.task, row.split, row.state) for row in file.entries] == [
        (entry.scaffold.task, entry.split, entry.state) for entry in entries
    ]


def test_a_loaded_file_can_be_written_again(path, tmp_path):
    save(path, plan(timed=True), plain())
    again = save(tmp_path / "again.npz", *load_scaffolds(path))
    assert [s.sha256 for s in load_scaffolds(again)] == [s.sha256 for s in load_scaffolds(path)]


def test_thousands_of_plans_stay_small(path):
    plans = [plan(seed=seed) for seed in range(1600)]
    save(path, *plans)
    assert path.stat().st_size < 3_000_000
    file = load_scaffolds(path)
    assert len(file) == 1600
    for row in (0, 800, 1599, -1):
        assert_same(file[row], plans[row])


def test_no_plans_make_an_empty_file(path):
    save_scaffolds(path, [])
    assert list(load_scaffolds(path)) == []


def test_missing_folders_are_made(tmp_path):
    assert len(load_scaffolds(save(tmp_path / "a" / "b" / "plans.npz", plan()))) == 1


def test_a_row_past_the_end_is_an_index_error(path):
    with pytest.raises(IndexError):
        load_scaffolds(save(path, plan()))[1]


def test_a_file_is_replaced_whole(path):
    save(path, plan(seed=1), plan(seed=2))
    save(path, plan(seed=3))
    assert [s.sha256 for s in load_scaffolds(path)] == [plan(seed=3).sha256]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    save(path, plan(seed=1))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            save(path, plan(seed=2))
    assert path.read_bytes() == before


def test_a_plan_with_replaced_frames_is_saved_with_those(path):
    edited = dataclasses.replace(plan(), wrist=np.full((301, 6), 0.5))
    assert load_scaffolds(save(path, edited))[0].sha256 == edited.sha256


def test_a_plan_does_not_share_memory_with_its_waypoints(path):
    wrist = np.zeros((20, 6), dtype=np.float32)
    scaffold = scaffold_from_waypoints("hammer", Waypoints(np.zeros((20, 1, 3)), wrist, ("world",)), {})
    wrist += 0.5
    assert load_scaffolds(save(path, scaffold))[0].sha256 == scaffold.sha256


def test_provenance_with_nan_does_not_make_the_file_unreadable(path):
    try:
        save(path, plan(provenance={"score": float("nan")}))
    except ValueError:
        return
    load_scaffolds(path)


def test_waypoints_of_two_lengths_are_refused():
    with pytest.raises(InvalidScaffoldError):
        scaffold_from_waypoints("hammer", Waypoints(np.zeros((20, 1, 3)), np.zeros((10, 6)), ("world",)), {})


@pytest.mark.parametrize("times", [[0.0, 2.0, 1.0], [0.0, 0.5]])
def test_bad_waypoint_times_are_an_invalid_scaffold(times):
    waypoints = Waypoints(np.zeros((3, 1, 3)), np.zeros((3, 6)), ("world",), np.array(times))
    with pytest.raises(InvalidScaffoldError):
        scaffold_from_waypoints("hammer", waypoints, {})


def test_a_slice_of_a_file_is_a_sequence_of_plans(path):
    file = load_scaffolds(save(path, plan(seed=1), plan(seed=2), plan(seed=3)))
    assert [s.sha256 for s in file[1:]] == [plan(seed=2).sha256, plan(seed=3).sha256]


def test_plans_and_their_states_go_round(tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    save_scaffolds(first, [ScaffoldEntry(hold_still(), "eval", 3), ScaffoldEntry(hold_still(), "train", None)])
    save_scaffolds(second, load_scaffolds(first).with_states())
    assert first.read_bytes() == second.read_bytes()


def test_what_is_no_entry_is_not_saved(tmp_path):
    with pytest.raises(InvalidScaffoldError, match=r"expected ScaffoldEntry\(plan, split, state\)"):
        save_scaffolds(tmp_path / "a.npz", [hold_still()])
    for state in (-1, 1.5, True):
        with pytest.raises(InvalidScaffoldError, match="state: is"):
            ScaffoldEntry(hold_still(), "eval", state)
