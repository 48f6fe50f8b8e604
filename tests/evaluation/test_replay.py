"""The recorder of episodes for the site's replays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaffold_bench.evaluation import make_policy
from scaffold_bench.evaluation.replay import STRIDE, record_trace, write_trace
from scaffold_bench.evaluation.rollout import run_episode
from scaffold_bench.registration import make_env
from scaffold_bench.submissions.trace import UNIT, read_trace
from scaffold_bench.types import EPISODE_STEPS


@pytest.mark.parametrize("task", ["hammer", "scissors"])
def test_a_recorded_episode_shows_what_happened(task: str, tmp_path: Path) -> None:
    env = make_env(task, scaffolds="oracle", split="eval", tracking_threshold=None)
    trace = record_trace(env, make_policy("reference"), "reference", 0, 0)
    record = run_episode(env, make_policy("reference"), 0, 0)
    final = env.keypoints[0].cpu().numpy()
    plan = env.scaffold.keypoints
    env.close()
    assert trace.success == record.success_once == trace.frames[-1].solved
    assert len(trace.frames) == EPISODE_STEPS // STRIDE + 1
    assert np.abs(np.array(trace.frames[-1].keypoints) * UNIT - final).max() <= UNIT
    planned = np.array([frame.planned for frame in trace.frames]) * UNIT
    assert np.abs(planned - plan[::STRIDE]).max() <= UNIT
    assert {body.kind for body in trace.bodies} == {"hand", "object", "scene"}
    write_trace(tmp_path / "x.json", trace)
    assert (tmp_path / "x.json").stat().st_size <= 300_000
    assert read_trace(tmp_path / "x.json") == trace
