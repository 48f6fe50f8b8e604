"""What all tests share: one thread for torch, the command line, and the rule for tests that need what not all machines
have, as a renderer or a browser."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from scaffold_bench.doctor import can_render

# tiny tensors: a second thread only costs, and workers would fight for the cores; processes that tests start inherit it
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

probe_renderer = cache(can_render)


def pytest_collection_finish() -> None:
    """Leave what is imported to no collector: ManiSkill collects garbage whenever it makes or closes an environment,
    which takes 0.15 s with all modules in sight and nothing without."""
    import scaffold_bench.envs.env  # noqa: F401

    gc.collect()
    gc.freeze()


@cache
def probe_browser() -> tuple[bool, str]:
    """Whether a browser can be driven here, and what it lacks if not."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    lacking += [] if importlib.util.find_spec("selenium") else ["the Python package selenium"]
    return not lacking, f"no {' and no '.join(lacking)}; see scripts/install_chromium.sh"


def probe_mkdocs() -> tuple[bool, str]:
    """Whether the documentation can be built here, and what it lacks if not."""
    lacking = [name for name in ("mkdocs", "material", "mkdocstrings_handlers.python") if not findable(name)]
    return not lacking, f"no {' and no '.join(lacking)}; run pip install 'scaffold-bench[docs]'"


def findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package it would be in is not there
        return False


NEEDS = {
    "rendering": ("render", probe_renderer),
    "browser": ("drive a browser", probe_browser),
    "site": ("build the documentation", probe_mkdocs),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests with a marker of ``NEEDS`` where that cannot be had; where CI promises it, fail them."""
    for marker, (what, probe) in NEEDS.items():
        if item.get_closest_marker(marker) is None:
            continue
        works, said = probe()
        if not works and os.environ.get("CI"):
            pytest.fail(f"CI must be able to {what}: {said}", pytrace=False)
        if not works:
            pytest.skip(f"cannot {what}: {said}")


@pytest.fixture(scope="module")
def kept_envs() -> Iterator[Callable[..., Any]]:
    """``gym.make`` that makes an environment once for a whole file; all are closed after it."""
    import gymnasium as gym

    made: dict[str, Any] = {}

    def make(env_id: str, **kwargs: Any) -> Any:
        key = repr((env_id, sorted(kwargs.items())))
        if key not in made:
            made[key] = gym.make(env_id, **kwargs)
        return made[key]

    yield make
    for env in made.values():
        env.close()


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Call the command line in an empty folder: exit code, stdout, stderr."""
    from scaffold_bench.cli import main
    from scaffold_bench.cli.console import console

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCAFFOLD_BENCH_DEBUG", raising=False)
    monkeypatch.setattr(console, "width", 200)

    def no_input(*_: Any) -> str:
        raise AssertionError("the command line asked for input")

    monkeypatch.setattr("builtins.input", no_input)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scaffold-bench", *arguments])
        try:
            main.main()
            code: Any = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call
