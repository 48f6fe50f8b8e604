"""What is shipped: a wheel built from the sdist works on its own, and generated files are what their scripts make."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROBE = """
import gymnasium as gym, numpy as np, scaffold_bench
from scaffold_bench.evaluation import evaluate
print(scaffold_bench.__file__)
for env_id in ("Scaffold-Hammer-v0", "Scaffold-OpenFridge-v0"):
    env = gym.make(env_id)
    env.reset(seed=0)
    for _ in range(5):
        observation, reward, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    assert np.isfinite(observation).all() and np.isfinite(reward)
    print("steps", env_id)
"""


def python(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python without what the tests' own environment knows."""
    import os

    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


needs_build = pytest.mark.skipif(
    any(importlib.util.find_spec(module) is None for module in ("build", "hatchling")),
    reason="needs build and hatchling: pip install -e '.[dev]' hatchling",
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from it (which is what ``python -m build`` does without further options)."""
    out = tmp_path_factory.mktemp("dist")
    run = python("-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


@pytest.fixture(scope="module")
def wheel_files(dist: Path) -> set[str]:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def package_files() -> set[str]:
    """Everything of the package in this checkout."""
    found = (path for path in (ROOT / "scaffold_bench").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


@needs_build
def test_the_wheel_holds_the_package_and_nothing_else(wheel_files: set[str]) -> None:
    shipped = {name for name in wheel_files if ".dist-info/" not in name}
    assert shipped == package_files()
    assert {name.split("/")[0] for name in shipped} == {"scaffold_bench"}


@needs_build
def test_the_wheel_holds_states_assets_and_the_type_marker(wheel_files: set[str]) -> None:
    assert "scaffold_bench/py.typed" in wheel_files
    assert "scaffold_bench/states/manifest.json" in wheel_files
    assert sum(name.startswith("scaffold_bench/states/") and name.endswith(".npz") for name in wheel_files) == 16
    assert (
        sum(name.startswith("scaffold_bench/objects/assets/") and name.endswith(".glb") for name in wheel_files) == 13
    )
    assert not any(name.startswith("tests/") or "/test_" in name for name in wheel_files)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_files)


@needs_build
def test_the_sdist_can_be_worked_with(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isreg() for member in members)  # no links
    names = {member.name.partition("/")[2] for member in members}
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/test_packaging.py"} <= names
    assert package_files() <= names
    assert {"scripts/make_states.py", "scripts/make_assets.py"} <= names
    assert {"scaffold_bench/plans/oracle.npz", "scaffold_bench/scaffolds/vlm/prompts/keypoints.txt"} <= names
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"envs", "tasks", "runs", ".venv", "dist"}


@needs_build
def test_the_installed_wheel_works_without_the_checkout(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run = python(*pip, "--target", str(target), str(wheel), cwd=elsewhere)
    assert run.returncode == 0, run.stderr
    assert not (target / "envs").exists()
    assert not (target / "tasks").exists()
    probe = python("-c", PROBE, cwd=elsewhere, PYTHONPATH=str(target))
    assert probe.returncode == 0, probe.stderr
    where, *steps = probe.stdout.splitlines()
    assert Path(where).is_relative_to(target)
    assert steps == ["steps Scaffold-Hammer-v0", "steps Scaffold-OpenFridge-v0"]
    assert (target / "bin" / "scaffold-bench").is_file()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "script", ["make_states.py", "make_assets.py", "make_docs.py", "make_results.py", "make_schema.py"]
)
def test_generated_files_are_what_their_script_makes(script: str, tmp_path: Path) -> None:
    run = python(str(ROOT / "scripts" / script), "--check", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
