"""Entries of the package's own policies can be played again: a sample of episodes comes out as it was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold_bench.evaluation import make_policy
from scaffold_bench.evaluation.fingerprint import numerics
from scaffold_bench.evaluation.rollout import run_episode
from scaffold_bench.evaluation.verify import differing
from scaffold_bench.leaderboard.boards import candidates
from scaffold_bench.registration import make_env
from scaffold_bench.submissions import Report, validate
from scaffold_bench.types import EpisodeRecord

ENTRIES = Path(__file__).parents[2] / "leaderboard" / "submissions"
STATE = 37


def report(entry: str) -> Report:
    found = validate(ENTRIES / entry)
    assert found.problems == []
    return found


REFERENCE, TRAINED = report("reference"), report("residual-ppo-noise-1cm")


@pytest.mark.parametrize("path", candidates(ENTRIES), ids=lambda path: path.name)
def test_an_entry_is_valid_and_its_re_run_is_about_its_bytes(path: Path) -> None:
    found = report(path.name)
    assert not [note for note in found.notes if "about other bytes" in note]
    assert (found.badge == "re-run") == (found.verification is not None)


def sample(of: Report) -> dict[str, EpisodeRecord]:
    return {record.task: record for record in of.runs[0] if record.key[1:] == (STATE, 0)}


def play(record: EpisodeRecord, policy: str, scaffolds: str) -> EpisodeRecord:
    env = make_env(record.task, scaffolds=scaffolds, split=record.split, tracking_threshold=None)
    again = run_episode(env, make_policy(policy), record.state, record.trial)
    env.close()
    return again


def made_here(of: Report) -> bool:
    assert of.submission is not None
    return of.submission.evaluated.numerics == [numerics()]


@pytest.mark.parametrize("record", sample(REFERENCE).values(), ids=sample(REFERENCE))
def test_the_reference_s_episodes_can_be_played_again(record: EpisodeRecord) -> None:
    again = play(record, "reference", "oracle")
    if made_here(REFERENCE):
        assert differing(record, again) == []
    else:  # another kind of processor has other last bits, and a swinging hammer multiplies them
        assert (again.success_once, again.seed, again.plan) == (record.success_once, record.seed, record.plan)
        assert again.tracking_error_mean == pytest.approx(record.tracking_error_mean, abs=0.01)


@pytest.mark.parametrize("record", sample(TRAINED).values(), ids=sample(TRAINED))
def test_the_policies_in_the_package_do_what_was_recorded(record: EpisodeRecord) -> None:
    again = play(record, "zoo:residual-ppo", "noise(0.01):oracle")
    assert (again.seed, again.plan) == (record.seed, record.plan)
    if made_here(TRAINED):
        assert differing(record, again) == []
