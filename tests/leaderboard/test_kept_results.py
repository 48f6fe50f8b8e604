"""Kept evaluations can be played again: a sample of the reference policy's records comes out as it was recorded."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path

import pytest

from scaffold_bench.evaluation import make_policy
from scaffold_bench.evaluation.records import parse_record
from scaffold_bench.evaluation.rollout import run_episode
from scaffold_bench.registration import make_env
from scaffold_bench.types import EpisodeRecord

KEPT = Path(__file__).parents[2] / "leaderboard" / "reference" / "records.jsonl.gz"
RECORDS = [parse_record(line) for line in gzip.decompress(KEPT.read_bytes()).decode().splitlines()]
SAMPLE = {record.task: record for record in RECORDS if record.key[1:] == (37, 2)}


@pytest.mark.parametrize("record", SAMPLE.values(), ids=SAMPLE)
def test_a_kept_episode_can_be_played_again(record: EpisodeRecord) -> None:
    env = make_env(record.task, split=record.split, tracking_threshold=None)
    again = run_episode(env, make_policy("reference"), record.state, record.trial)
    env.close()
    kept, replayed = asdict(record), asdict(again)
    for name, value in kept.items():
        if isinstance(value, float):  # the last bits belong to one kind of processor
            assert replayed[name] == pytest.approx(value, rel=0.02, abs=0.002), name
        elif name == "first_success":
            assert replayed[name] == pytest.approx(value, abs=3)
        elif name == "measures":
            assert replayed[name] == pytest.approx(value, rel=0.02, abs=0.005)
        else:
            assert replayed[name] == value, name


TRAINED = KEPT.parents[1] / "residual-ppo" / "records.jsonl.gz"
TRAINED_SAMPLE = {
    record.task: record
    for record in (parse_record(line) for line in gzip.decompress(TRAINED.read_bytes()).decode().splitlines())
    if record.key[1:] == (11, 3)
}


@pytest.mark.parametrize("record", TRAINED_SAMPLE.values(), ids=TRAINED_SAMPLE)
def test_the_policies_in_the_package_do_what_was_recorded(record: EpisodeRecord) -> None:
    env = make_env(record.task, split=record.split, tracking_threshold=None)
    again = run_episode(env, make_policy("zoo:residual-ppo"), record.state, record.trial)
    env.close()
    # a closed loop doubles the last bits' differences between processors, so only the outcome is compared
    assert (again.success_once, again.seed, again.plan) == (record.success_once, record.seed, record.plan)
    assert again.tracking_error_mean == pytest.approx(record.tracking_error_mean, abs=0.01)
