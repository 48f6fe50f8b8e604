"""Make ``rliable.json``: what rliable says about some random scores, to compare ours with.

    python -m venv /tmp/rl && /tmp/rl/bin/pip install rliable==1.2.0 "pandas<3"
    /tmp/rl/bin/python tests/metrics/make_rliable_fixture.py

Run by hand; rliable is no dependency of this project.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rliable import library, metrics
from scipy.stats import trim_mean

RUNS, TASKS, REPETITIONS = 8, 8, 20000
THRESHOLDS = [0.2, 0.4, 0.6, 0.8]


def over_tasks(statistic):
    """rliable pools runs and tasks; ours are statistics of the tasks' means."""
    return lambda scores: np.array([statistic(scores.mean(axis=0))])


def interval(statistic, scores):
    points, intervals = library.get_interval_estimates(
        {"m": scores}, statistic, reps=REPETITIONS, random_state=np.random.RandomState(1)
    )
    return {"mean": float(points["m"][0]), "low": float(intervals["m"][0, 0]), "high": float(intervals["m"][1, 0])}


def main():
    rng = np.random.default_rng(20)
    first, second = (np.clip(rng.normal(mean, 0.2, (RUNS, TASKS)), 0, 1).round(3) for mean in (0.6, 0.5))
    pair = library.get_interval_estimates(
        {"a,b": (first, second)},
        lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
        reps=REPETITIONS,
        random_state=np.random.RandomState(1),
    )
    profile, bands = library.create_performance_profile({"m": first}, np.array(THRESHOLDS), reps=REPETITIONS)
    Path(__file__).with_name("rliable.json").write_text(
        json.dumps(
            {
                "made_by": "tests/metrics/make_rliable_fixture.py",
                "versions": {name: version(name) for name in ("rliable", "arch", "numpy", "scipy")},
                "first": first.tolist(),
                "second": second.tolist(),
                "pooled_iqm": float(metrics.aggregate_iqm(first)),
                "mean": interval(over_tasks(np.mean), first),
                "iqm": interval(over_tasks(lambda means: trim_mean(means, 0.25)), first),
                "improvement": {
                    "mean": float(pair[0]["a,b"][0]),
                    "low": float(pair[1]["a,b"][0, 0]),
                    "high": float(pair[1]["a,b"][1, 0]),
                },
                "thresholds": THRESHOLDS,
                "profile": {
                    "share": profile["m"].tolist(),
                    "low": bands["m"][0].tolist(),
                    "high": bands["m"][1].tolist(),
                },
            }
        )
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
