"""Imports point one way (docs/architecture.md): who may import whom, read from the source without running it."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scaffold_bench"

MAY_IMPORT = {
    "spec": set(),
    "version": set(),
    "files": set(),
    "planner_names": set(),
    "plan": {"spec"},
    "records": {"spec", "files"},
    "types": {"spec", "plan", "records"},
    "control": {"spec", "plan"},
    "metrics": {"spec", "records"},
    "robots": {"spec", "control"},
    "objects": {"spec", "control"},
    "tasks": {"spec", "plan", "control", "robots", "objects"},
    "envs": {"spec", "plan", "control", "robots", "objects", "tasks.base"},
    "scaffolds": {"spec", "files", "planner_names", "plan", "control"},
    "submissions": {"spec", "files", "planner_names", "records", "metrics", "version"},
    "leaderboard": {"files", "metrics", "submissions"},
    "registration": {"spec", "plan", "control", "scaffolds", "envs", "tasks"},
    "policies": {"spec", "files", "plan", "control", "envs.mdp"},
    "evaluation": {
        "spec",
        "files",
        "plan",
        "records",
        "metrics",
        "submissions",
        "registration",
        "scaffolds",
        "policies",
        "envs.start_states",
        "envs.env",
        "envs.vector_env",
    },
    "plan_sets": {
        "spec",
        "plan",
        "records",
        "registration",
        "scaffolds",
        "evaluation.runner",
        "envs.episodes",
        "envs.requests",
        "envs.start_states",
    },
    "synthetic_planner": {"spec", "files", "plan", "control", "registration", "scaffolds", "envs.camera"},
}
OUTERMOST = {"__init__", "__main__", "cli", "doctor"}
"""May import anything; no layer may import them."""
FACADES = {"types"}
"""For others: no layer imports them, but for the names that ``import scaffold_bench`` gives."""
WITHOUT_SIMULATOR = (
    "spec",
    "files",
    "planner_names",
    "plan",
    "records",
    "types",
    "control",
    "scaffolds",
    "metrics",
    "submissions",
    "leaderboard",
)
SIMULATORS = {"mani_skill", "sapien", "gymnasium"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_SOURCES = sorted(
    file
    for folder in ("scaffold_bench", "scripts", "baselines", "benchmarks", "leaderboard", "tests")
    for file in (ROOT / folder).rglob("*.py")
)


def layer_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def label(file):
    return file.relative_to(ROOT).as_posix()


def imports(source, package):
    """Dotted names a module imports, wherever in it; ``package`` resolves relative ones.

    ``from a import b`` gives ``a.b``: b may be a module.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base += [node.module] if node.module else []
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def imports_of(file):
    return imports(file.read_text(encoding="utf-8"), ".".join(file.relative_to(ROOT).parent.parts))


def within(name, parent):
    return name == parent or name.startswith(f"{parent}.")


def forbidden(names, layer):
    """Those of the imported names that the layer must not import from the package."""
    allowed = {f"scaffold_bench.{part}" for part in MAY_IMPORT[layer] | {layer}}
    return {name for name in names if within(name, "scaffold_bench") and not any(within(name, a) for a in allowed)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("from a.b import c as d", {"a.b.c"}),
        ("from . import x", {"p.q.x"}),
        ("from ..y import x", {"p.y.x"}),
        ("def f():\n    from a import b", {"a.b"}),
        ("if TYPE_CHECKING:\n    import a", {"a"}),
    ],
)
def test_imports_are_found_in_every_form(source, found):
    assert imports(source, "p.q") == found


@pytest.mark.parametrize(
    ("name", "layer", "refused"),
    [
        ("scaffold_bench.plan.Scaffold", "control", False),
        ("scaffold_bench.control.residual", "control", False),
        ("scaffold_bench.envs", "control", True),
        ("scaffold_bench.evaluate", "scaffolds", True),
        ("scaffold_bench", "metrics", True),
        ("scaffold_bench.envs.start_states.frozen_states", "evaluation", False),
        ("scaffold_bench.envs.simulation", "evaluation", True),
        ("scaffold_bench.envs.mdp", "tasks", True),
        ("scaffold_bench.tasks.hammer", "envs", True),
        ("scaffold_bench.types", "tasks", True),
        ("scaffold_bench.evaluation", "registration", True),
        ("numpy", "types", False),
    ],
)
def test_the_rule_tells_right_from_wrong(name, layer, refused):
    assert forbidden({name}, layer) == ({name} if refused else set())


def test_every_layer_has_a_rule():
    layers = {layer_of(file) for file in SOURCES}
    assert layers - MAY_IMPORT.keys() - OUTERMOST == set(), "add the new part to MAY_IMPORT"
    assert MAY_IMPORT.keys() <= layers


@pytest.mark.parametrize("file", [file for file in SOURCES if layer_of(file) in MAY_IMPORT], ids=label)
def test_imports_point_one_way(file):
    assert forbidden(imports_of(file), layer_of(file)) == set()


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_by_way_of_others():
    modules = {module_of(file) for file in SOURCES}
    graph = {}
    for file in SOURCES:
        names = {name if name in modules else name.rpartition(".")[0] for name in imports_of(file)}
        graph[module_of(file)] = (names & modules) - {module_of(file)}
    order = [*graphlib.TopologicalSorter(graph).static_order()]  # raises CycleError and names the circle
    assert order.index("scaffold_bench.spec") < order.index("scaffold_bench.cli.main")


@pytest.mark.parametrize("file", [file for file in SOURCES if layer_of(file) in WITHOUT_SIMULATOR], ids=label)
def test_no_simulator_is_imported(file):
    assert {name.split(".")[0] for name in imports_of(file)} & SIMULATORS == set()


@pytest.mark.parametrize("file", [file for file in SOURCES if layer_of(file) == "metrics"], ids=label)
def test_metrics_need_numpy_only(file):
    roots = {name.split(".")[0] for name in imports_of(file)}
    assert roots - sys.stdlib_module_names <= {"numpy", "scaffold_bench"}


THIRD_PARTY = {
    "records": {"numpy", "pydantic"},
    "submissions": {"numpy", "pydantic"},
    "leaderboard": {"numpy", "pydantic", "jinja2", "markupsafe", "markdown_it"},
}
"""What reading hostile files, and making pages of them, may need."""


@pytest.mark.parametrize("file", [file for file in SOURCES if layer_of(file) in THIRD_PARTY], ids=label)
def test_checking_and_showing_a_submission_needs_few_packages(file):
    roots = {name.split(".")[0] for name in imports_of(file)}
    assert roots - sys.stdlib_module_names <= THIRD_PARTY[layer_of(file)] | {"scaffold_bench"}


@pytest.mark.parametrize("file", ALL_SOURCES, ids=label)
def test_the_links_at_the_root_are_not_imported(file):
    assert {name.split(".")[0] for name in imports_of(file)} & {"envs", "tasks"} == set()


@pytest.mark.parametrize(
    "modules",
    [
        ["scaffold_bench"],
        ["scaffold_bench.types", "scaffold_bench.control", "scaffold_bench.scaffolds", "scaffold_bench.metrics"],
        ["scaffold_bench.records.run", "scaffold_bench.submissions"],
        ["scaffold_bench.leaderboard"],
        ["scaffold_bench.evaluation"],
    ],
    ids=", ".join,
)
def test_importing_loads_no_simulator(modules, tmp_path):
    code = f"import sys, {', '.join(modules)}; print(sorted(sys.modules.keys() & {{'mani_skill', 'sapien'}}))"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
