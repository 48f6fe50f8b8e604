"""What a submission calls its planner is judged as text; nothing of it is looked up unless it can do no harm."""

import pytest

from scaffold_bench.policies.scripted import POLICIES
from scaffold_bench.scaffolds import kept_sets, resolve_provider
from scaffold_bench.submissions.model import BUILT_IN
from scaffold_bench.submissions.planners import can_be_made_again, noise_of, usual_track, without_folders


def test_the_package_s_policies_are_known():
    assert set(BUILT_IN) == set(POLICIES)


@pytest.mark.parametrize(
    "name",
    [
        "oracle",
        "oracle?waypoints=5",
        "recorded:oracle-40",
        "recorded:simulated-vlm",
        "recorded:train",
        "recorded:train?set=oracle-3",
        "noise(0.02):oracle",
        "noise(0,flip=y,seed=3):recorded:oracle",
        "mix:oracle+recorded:simulated-vlm",
        "noise(0.01):mix:recorded:simulated-vlm+oracle",
    ],
)
def test_planners_of_the_package_make_their_plans_again(name):
    assert can_be_made_again(name)
    resolve_provider(name)  # and these names exist


@pytest.mark.parametrize(
    "name",
    [
        "",
        "vlm",
        "vlm?replay=/etc",
        "simulated-vlm",
        "plans.npz",
        "recorded:/etc/passwd",
        "recorded:../../plans.npz",
        "recorded:train?set=/etc/passwd",
        "recorded:train?set=a&set=/etc/passwd",
        "mix:oracle+vlm",
        "mix:oracle",
        "noise(0.02):/etc/passwd",
        "noise(0.02,seed=__import__):oracle",
        "noise(0.1):" * 20 + "oracle",
        "oracle\n",
        "someones-package",
        "noise",
        "mix",
        "recorded",
        "recorded:",
        "oracle?",
        "oracle?waypoints=5&waypoints=6",
        "noise( 0.02):oracle",
        "noise(0,seed=3,flip=x):oracle",
        "noise(0,seed=1,seed=2):oracle",
    ],
)
def test_anything_else_is_not_looked_up(name):
    assert not can_be_made_again(name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("oracle", "oracle"),
        ("/home/me/secret/plans.npz", "plans.npz"),
        ("runs/plans.npz", "plans.npz"),
        ("recorded:/home/me/plans.npz", "recorded:plans.npz"),
        ("recorded:train?set=/home/me/p.npz", "recorded:train?set=p.npz"),
        ("noise(0.02):runs/p.npz", "p.npz"),
        ("mix:a/p.npz+b/q.npz", "mix:p.npz+q.npz"),
        ("vlm?shots=3&examples=/home/me/e.json", "vlm?shots=3&examples=e.json"),
        ("mine.package:Planner", "mine.package:Planner"),
    ],
)
def test_folders_are_left_out(name, shown):
    assert without_folders(name).endswith(shown)
    assert "/" not in without_folders(name)
    assert without_folders(without_folders(name)) == without_folders(name)


@pytest.mark.parametrize(
    ("name", "track"),
    [
        ("oracle", "oracle"),
        ("oracle?waypoints=5", "oracle"),
        ("recorded:oracle-5", "oracle"),
        ("recorded:train", "pre-recorded"),
        ("recorded:train?set=simulated-vlm", "pre-recorded"),
        ("simulated-vlm", "simulated-vlm"),
        ("recorded:simulated-vlm-3shot", "simulated-vlm"),
        ("vlm", "vlm-zero-shot"),
        ("vlm?model=x", "vlm-zero-shot"),
        ("vlm?model=x&shots=3", "vlm-few-shot"),
        ("noise(0.02):oracle", "open"),
        ("plans.npz", "open"),
        ("oracles", "open"),
        ("vlms", "open"),
    ],
)
def test_the_planner_tells_the_track(name, track):
    assert usual_track(name) == track


def test_all_kept_sets_have_a_name_that_passes():
    assert all(can_be_made_again(f"recorded:{name}") for name in kept_sets())


@pytest.mark.parametrize(
    ("name", "sigma"),
    [
        ("oracle", 0.0),
        ("noise(0.02):oracle", 0.02),
        ("noise(1,seed=12345678901):oracle", 1.0),
        ("noise(0.02,flip=x):oracle", None),
        ("noise(0.02):recorded:oracle", None),
        ("noise(loud):oracle", None),
        ("noise", None),
        ("oracle?waypoints=20", None),
        ("", None),
    ],
)
def test_noise_on_the_oracle_is_read_from_the_name(name, sigma):
    assert noise_of(name) == sigma


@pytest.mark.parametrize("name", ["oracle?waypoints=\u0665", "noise(\u0660.\u0660\u0661):oracle"])
def test_digits_of_other_scripts_are_no_second_spelling(name):
    assert not can_be_made_again(name)
    assert noise_of(name) is None
    assert usual_track(name) == "open"


def test_noise_that_no_planner_makes_is_no_point_of_a_curve():
    assert noise_of("noise(1):oracle") == 1.0
    assert noise_of(f"noise(1{'0' * 150}):oracle") is None
