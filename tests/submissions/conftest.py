"""Valid submissions that tests may spoil: ``mine`` of code from elsewhere, ``actor`` with stored actors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic import make_actor_submission, make_submission


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    make_submission(folder / "a", vlm_model="some model", description="A method.", links=("https://example.org",))
    make_actor_submission(folder / "b")
    return folder


@pytest.fixture
def mine(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "a" / "mine", tmp_path / "mine"))


@pytest.fixture
def actor(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "b" / "actor", tmp_path / "actor"))
