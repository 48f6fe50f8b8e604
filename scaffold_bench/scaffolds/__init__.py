"""Planners and plan files."""

from __future__ import annotations

from scaffold_bench.scaffolds.from_waypoints import failed_scaffold, scaffold_from_waypoints
from scaffold_bench.scaffolds.names import register_provider, resolve_provider
from scaffold_bench.scaffolds.oracle import OracleProvider
from scaffold_bench.scaffolds.recorded import RecordedProvider, ReusedProvider, kept_sets
from scaffold_bench.scaffolds.storage import ScaffoldEntry, ScaffoldFile, load_scaffolds, save_scaffolds
from scaffold_bench.scaffolds.variants import MixedProvider, NoisyProvider, files_of, plan_files_hash

__all__ = [
    "MixedProvider",
    "NoisyProvider",
    "OracleProvider",
    "RecordedProvider",
    "ReusedProvider",
    "ScaffoldEntry",
    "ScaffoldFile",
    "failed_scaffold",
    "files_of",
    "kept_sets",
    "load_scaffolds",
    "plan_files_hash",
    "register_provider",
    "resolve_provider",
    "save_scaffolds",
    "scaffold_from_waypoints",
]
