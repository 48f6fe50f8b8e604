"""What all tests share: one thread for torch, and the rule for tests that need a renderer."""

from __future__ import annotations

import gc
import os
from functools import cache

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
    import scaffold_bench.envs.scaffold_env  # noqa: F401

    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``rendering`` where nothing can render; where CI promises a renderer, fail them."""
    if item.get_closest_marker("rendering") is None:
        return
    works, said = probe_renderer()
    if works:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must be able to render: {said}", pytrace=False)
    pytest.skip(f"no Vulkan driver: {said}")
