import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold_bench.metrics import outcomes, summarize, summarize_runs
from scaffold_bench.metrics.summary import MEANS
from scaffold_bench.records.episode import parse_record, record_line
from scaffold_bench.types import EpisodeRecord


def record(state, trial=0, success=True, task="hammer", **changes):
    fields = {
        "task": task,
        "env_id": f"Scaffold-{task}-v0",
        "split": "eval",
        "state": state,
        "trial": trial,
        "seed": 0,
        "success_once": success,
        "success_at_end": success,
        "first_success": 1 if success else -1,
        "length": 300,
        "tracking_error_mean": 0.01,
        "tracking_error_max": 0.02,
        "tracked_fraction": 1.0,
        "tips_in_contact": 2.0,
        "grip_force": 3.0,
        "reward": 100.0,
        "measures": {"swings": 3.0},
        "failure": "" if success else "task",
        "plan": "0123456789abcdef",
    }
    return EpisodeRecord(**{**fields, **changes})


def scored(task, successes, episodes=10):
    return [record(state, success=state < successes, task=task) for state in range(episodes)]


RNG = np.random.default_rng(3)
RECORDS = [
    record(state, trial, bool(RNG.integers(2)), tracking_error_mean=RNG.uniform(), grip_force=RNG.uniform())
    for state in range(6)
    for trial in range(4)
]


def test_scores_by_hand():
    records = [
        record(0, 0, True, tracking_error_mean=0.01, tracked_fraction=1.0, tips_in_contact=4.0, grip_force=10.0),
        record(0, 1, True, tracking_error_mean=0.02, tracked_fraction=0.8, success_at_end=False),
        record(7, 0, False, tracking_error_mean=0.06, tracked_fraction=0.6, failure="tracking"),
        record(7, 1, False, tracking_error_mean=0.03, tracked_fraction=0.0, failure="plan"),
    ]
    summary = summarize(records)["tasks"]["hammer"]
    assert (summary["task"], summary["episodes"], summary["states"]) == ("hammer", 4, 2)
    assert summary["success_once"]["mean"] == 0.5
    assert summary["success_at_end"]["mean"] == 0.25
    assert summary["tracking_error"] == pytest.approx(0.03)
    assert summary["tracked_fraction"] == pytest.approx(0.6)
    assert summary["tips_in_contact"] == pytest.approx(2.5)
    assert summary["grip_force"] == pytest.approx(4.75)  # (10 + 3 + 3 + 3) / 4
    assert summary["failures"] == {"plan": 1, "tracking": 1}


def test_failures_are_counted_by_class_and_successes_are_none():
    failures = ["tracking", "task", "tracking", "plan", "tracking"]
    records = [record(i, success=False, failure=failure) for i, failure in enumerate(failures)] + [record(9)]
    counted = summarize(records)["tasks"]["hammer"]["failures"]
    assert list(counted.items()) == [("plan", 1), ("task", 1), ("tracking", 3)]


def test_tasks_weigh_alike_whatever_their_number_of_episodes():
    records = [*scored("apple", 1, episodes=1), *scored("hammer", 0, episodes=9)]
    assert summarize(records)["mean_success_once"] == 0.5


def test_aggregates_over_eight_tasks_by_hand():
    successes = {"a": 10, "b": 0, "c": 4, "d": 9, "e": 1, "f": 5, "g": 7, "h": 8}
    summary = summarize([r for task, count in successes.items() for r in scored(task, count)])
    assert summary["mean_success_once"] == pytest.approx(0.55)  # 44 / 80
    assert summary["interquartile_mean_success_once"] == pytest.approx(0.6)  # (0.4 + 0.5 + 0.7 + 0.8) / 4
    assert summary["mean_success_at_end"] == pytest.approx(0.55)
    assert set(summary["tasks"]) == set(successes)


def test_success_at_end_has_its_own_mean_over_tasks():
    records = [record(0), record(1, success_at_end=False)]
    assert summarize(records)["mean_success_at_end"] == 0.5
    assert summarize(records)["mean_success_once"] == 1.0


def test_trials_are_clustered_by_state():
    by_state = [record(state, trial, state % 2 == 0) for state in range(10) for trial in range(10)]
    by_trial = [record(10 * state + trial, 0, state % 2 == 0) for state in range(10) for trial in range(10)]
    clustered, naive = (summarize(records)["tasks"]["hammer"]["success_once"] for records in (by_state, by_trial))
    assert clustered["mean"] == naive["mean"] == 0.5
    assert clustered["high"] - clustered["low"] > 2 * (naive["high"] - naive["low"])


def test_unanimous_success_has_no_interval():
    assert summarize(scored("hammer", 10))["tasks"]["hammer"]["success_once"] == {"mean": 1.0, "low": 1.0, "high": 1.0}


@settings(deadline=None, max_examples=10)
@given(st.permutations(RECORDS))
def test_the_order_of_records_does_not_matter(shuffled):
    assert json.dumps(summarize(shuffled)) == json.dumps(summarize(RECORDS))


def test_the_order_of_tasks_does_not_matter():
    apple, bottle, hammer = (scored(task, n) for task, n in (("apple", 1), ("bottle", 2), ("hammer", 3)))
    assert json.dumps(summarize(apple + bottle + hammer)) == json.dumps(summarize(hammer + bottle + apple))


def test_a_summary_can_be_recomputed_from_the_records_file():
    again = [parse_record(record_line(r)) for r in RECORDS]
    assert json.dumps(summarize(again)) == json.dumps(summarize(RECORDS))


def test_no_records_have_no_scores():
    assert summarize([]) == {
        "tasks": {},
        "mean_success_once": None,
        "interquartile_mean_success_once": None,
        "mean_success_at_end": None,
    }


# --- several training seeds


def seeded(success, seeds=3, states=5, trials=4, task="hammer"):
    """Runs whose success is a function of seed, state and trial."""
    return [
        [
            record(state, trial, bool(success(seed, state, trial)), task)
            for state in range(states)
            for trial in range(trials)
        ]
        for seed in range(seeds)
    ]


def test_one_run_has_one_interval_however_it_is_asked_for():
    several, one = summarize_runs([RECORDS]), summarize(RECORDS)
    solved = sum(r.success_once for r in RECORDS)
    causes = {"tracked and solved": solved, "tracked but failed": len(RECORDS) - solved}
    assert several["tasks"] == {"hammer": {**one["tasks"]["hammer"], "seeds": 1, "causes": causes}}
    assert {name: several[name]["mean"] for name in MEANS} == {name: one[name] for name in MEANS}


def test_scores_of_several_seeds_by_hand():
    summary = summarize_runs(seeded(lambda seed, state, _: seed == 0 or (seed == 1 and state == 0)))
    task = summary["tasks"]["hammer"]
    assert (task["seeds"], task["states"], task["episodes"]) == (3, 5, 60)
    assert task["success_once"]["mean"] == pytest.approx((20 + 4) / 60)
    assert task["causes"] == {"tracked and solved": 24, "tracked but failed": 36}


def test_seeds_that_differ_widen_the_interval():
    apart = summarize_runs(seeded(lambda seed, *_: seed % 2, seeds=4))
    mixed = summarize_runs(seeded(lambda seed, state, trial: (seed + state + trial) % 2, seeds=4))
    wide, narrow = (summary["tasks"]["hammer"]["success_once"] for summary in (apart, mixed))
    assert wide["mean"] == narrow["mean"] == 0.5
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_means_over_tasks_have_intervals():
    runs = [
        [*first, *second, *third, *fourth]
        for first, second, third, fourth in zip(
            *(
                seeded(lambda seed, state, trial, n=n: (7 * seed + 3 * state + trial) % 10 < n, task=task)
                for task, n in (("a", 1), ("b", 4), ("c", 5), ("d", 9))
            ),
            strict=True,
        )
    ]
    summary = summarize_runs(runs)
    scores = {task: part["success_once"]["mean"] for task, part in summary["tasks"].items()}
    assert summary["mean_success_once"]["mean"] == pytest.approx(sum(scores.values()) / 4)
    assert summary["interquartile_mean_success_once"]["mean"] == pytest.approx((scores["b"] + scores["c"]) / 2)
    for name in ("mean_success_once", "interquartile_mean_success_once", "mean_success_at_end"):
        interval = summary[name]
        assert interval["low"] < interval["mean"] < interval["high"]
    # four tasks together are surer than one
    widths = [part["success_once"]["high"] - part["success_once"]["low"] for part in summary["tasks"].values()]
    together = summary["mean_success_once"]
    assert together["high"] - together["low"] < np.mean(widths)


@settings(deadline=None, max_examples=5)
@given(st.permutations(range(20)))
def test_the_order_of_records_within_a_seed_does_not_matter(order):
    runs = seeded(lambda seed, state, trial: (seed + state * trial) % 3 == 0)
    shuffled = [[run[i] for i in order] for run in runs]
    assert json.dumps(summarize_runs(shuffled)) == json.dumps(summarize_runs(runs))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda runs: [*runs[:2], runs[2][:-1]],
        lambda runs: [*runs[:2], [*runs[2][:-1], runs[2][0]]],
        lambda runs: [*runs[:2], [*runs[2], record(0, task="apple")]],
        lambda runs: [*runs[:2], [*runs[2][:-1], record(9, 3)]],
        lambda runs: [run[:-1] for run in runs],
        lambda _: [],
    ],
    ids=["missing", "twice", "another task", "another state", "ragged", "nothing"],
)
def test_runs_of_other_episodes_are_refused(spoil):
    with pytest.raises(ValueError, match="every training seed must have"):
        summarize_runs(spoil(seeded(lambda *_: True)))


def test_a_run_whose_states_have_other_trials_is_refused():
    with pytest.raises(
        ValueError, match="hammer: every training seed must have the same states, and every state the same trials"
    ):
        summarize(RECORDS[:-1])


def test_outcomes_are_arrays_of_seeds_states_and_trials():
    runs = seeded(lambda seed, state, trial: (seed, state, trial) == (2, 1, 3))
    (array,) = outcomes(runs).values()
    assert array.shape == (3, 5, 4)
    assert np.argwhere(array).tolist() == [[2, 1, 3]]
