"""The documentation builds without a warning, has an anchor for every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scaffold_bench

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.site


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(site),
    ]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=quiet)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run = build(ROOT / "mkdocs.yml", folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def test_every_public_name_has_an_anchor(site: Path) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    anchors = set(re.findall(r'id="(scaffold_bench[^"]*)"', pages))
    assert {f"scaffold_bench.{name}" for name in scaffold_bench.__all__} <= anchors


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", page.read_text())
        assert [tag for tag in loaded if 'rel="canonical"' not in tag] == [], page.name


def test_every_task_has_its_page_in_the_navigation(site: Path) -> None:
    home = (site / "tasks" / "index.html").read_text(encoding="utf-8")
    for name in scaffold_bench.task_names():
        assert (site / "tasks" / f"{name}.html").is_file()
        assert f'href="{name}.html" class="md-nav__link"' in home


def test_links_to_files_outside_the_folder_lead_to_the_repository(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(r'href="https://[^"]+/blob/main/README\.md"', home)
    assert (site / "outside" / "benchmarks" / "results" / "throughput.png").is_file()
    assert "outside/benchmarks/results/throughput.png" in (site / "performance.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("[gone](../nowhere.py)", "index.md links to nowhere.py, which is not in the repository"),
        ("[gone](nowhere.md)", "nowhere.md"),
        ("[gone](planners.md#nowhere)", "nowhere"),
        ("::: scaffold_bench.nowhere", "scaffold_bench.nowhere"),
    ],
)
def test_what_leads_nowhere_fails_the_build(tmp_path: Path, line: str, warning: str) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "scripts").mkdir()
    for name in ("mkdocs.yml", "scripts/reference_site.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("README.md", "baselines", "benchmarks", "leaderboard", "scaffold_bench"):
        (tmp_path / name).symlink_to(ROOT / name)
    index = tmp_path / "docs" / "index.md"
    index.write_text(f"{index.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    run = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert warning in said
    assert "Aborted with 1 warnings" in said or "Aborted with a BuildError" in said  # for this and nothing else
