"""Rollouts over frozen states, records, and the tables made of them."""

from scaffold_bench.evaluation.media import record_episode
from scaffold_bench.evaluation.protocol import PRESETS, Preset
from scaffold_bench.evaluation.runner import Results, evaluate
from scaffold_bench.policies.base import Episode, Policy
from scaffold_bench.policies.names import make_policy
from scaffold_bench.records.folder import EvaluationError
from scaffold_bench.records.run import read_records

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
    "record_episode",
]
