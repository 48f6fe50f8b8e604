"""Baselines are what others write their own from: they import public names only."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

BASELINES = sorted((Path(__file__).parents[2] / "baselines").glob("*.py"))


def private_imports(source: str) -> list[str]:
    """Imports of the package that are not public: deeper than a room, or not in its ``__all__``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("scaffold_bench.")]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scaffold_bench":
            public = import_module(node.module).__all__ if node.module.count(".") < 2 else []
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in public]
    return found


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("import scaffold_bench", []),
        ("from scaffold_bench import Scaffold", []),
        ("from scaffold_bench.policies import save_actor", []),
        ("from scaffold_bench.policies.actor import save_actor", ["scaffold_bench.policies.actor.save_actor"]),
        ("from scaffold_bench.policies import actor", ["scaffold_bench.policies.actor"]),
        ("from scaffold_bench.types import nobody", ["scaffold_bench.types.nobody"]),
        ("def f():\n    import scaffold_bench.envs.mdp", ["scaffold_bench.envs.mdp"]),
    ],
)
def test_private_imports_are_found(source: str, private: list[str]) -> None:
    assert private_imports(source) == private


@pytest.mark.parametrize("file", BASELINES, ids=lambda file: file.name)
def test_baselines_import_public_names_only(file: Path) -> None:
    assert private_imports(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("room", ["evaluation", "policies", "records", "scaffolds"])
def test_every_public_name_exists(room: str) -> None:
    module = import_module(f"scaffold_bench.{room}")
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in module.__all__:
        assert getattr(module, name) is not None
