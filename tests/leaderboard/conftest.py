"""Submissions that several tests make pages of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic import edited, make_submission


@pytest.fixture(scope="session")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three valid submissions on two boards, and a broken one."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("submissions")
    shutil.move(
        make_submission(made / "a", links=("https://example.org/paper",), description="One.\nTwo."), folder / "one"
    )
    shutil.move(make_submission(made / "b", training_steps=2_000_000), folder / "Two!")
    shutil.move(make_submission(made / "c", track="simulated-vlm"), folder / "three")
    shutil.move(make_submission(made / "d"), folder / "wrong")
    with edited(folder / "wrong") as data:
        data["aggregates"]["mean_success_once"]["mean"] = 0.99
    return folder
