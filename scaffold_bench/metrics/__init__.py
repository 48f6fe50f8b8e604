"""Records to arrays to intervals. NumPy only; no simulator."""

from scaffold_bench.metrics.attribution import NEVER, Attribution, attribute, count_causes, flows
from scaffold_bench.metrics.bootstrap import (
    Interval,
    hierarchical_bootstrap,
    hierarchical_interval,
    interquartile_mean,
)
from scaffold_bench.metrics.comparison import Profile, performance_profile, places, probability_of_improvement
from scaffold_bench.metrics.summary import TaskSummary, outcomes, summarize, summarize_runs

__all__ = [
    "NEVER",
    "Attribution",
    "Interval",
    "Profile",
    "TaskSummary",
    "attribute",
    "count_causes",
    "flows",
    "hierarchical_bootstrap",
    "hierarchical_interval",
    "interquartile_mean",
    "outcomes",
    "performance_profile",
    "places",
    "probability_of_improvement",
    "summarize",
    "summarize_runs",
]
