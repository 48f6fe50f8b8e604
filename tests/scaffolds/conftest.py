"""A place for a plan file."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plans.npz"
