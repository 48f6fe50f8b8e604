"""Records to arrays to intervals. NumPy only; no simulator."""

from scaffold_bench.metrics.statistics import Interval, cluster_bootstrap, interquartile_mean
from scaffold_bench.metrics.summary import TaskSummary, summarize

__all__ = ["Interval", "TaskSummary", "cluster_bootstrap", "interquartile_mean", "summarize"]
