"""Rollouts over frozen states, records, and the tables made of them."""

from scaffold_bench.evaluation.policies import Episode, Policy, make_policy
from scaffold_bench.evaluation.protocol import PRESETS, Preset
from scaffold_bench.evaluation.records import EvaluationError, read_records
from scaffold_bench.evaluation.runner import Results, evaluate

__all__ = [
    "PRESETS",
    "Episode",
    "EvaluationError",
    "Policy",
    "Preset",
    "Results",
    "evaluate",
    "make_policy",
    "read_records",
]
