"""Planners that read recorded plans or interpolate the reference, and how a planner is found by name."""

import numpy as np
import pytest
from plan_files import ATTACHMENTS, coarse, hold_still, plan, save

from scaffold_bench.scaffolds import OracleProvider, RecordedProvider, ScaffoldEntry, resolve_provider, save_scaffolds
from scaffold_bench.types import InvalidScaffoldError, PrivilegedRequest, ScaffoldRequest, StartState


def request(state=0, task="hammer", split="eval", cls=ScaffoldRequest, **more):
    return cls(task, "Hammer three times", ("a", "b"), np.zeros(6), state, split, ATTACHMENTS, **more)


@pytest.fixture
def recorded(path):
    save_scaffolds(
        path,
        [
            ScaffoldEntry(plan(seed=1), "eval", 4),
            ScaffoldEntry(plan(seed=2), "train", 4),
            ScaffoldEntry(plan("apple", seed=3), "eval", 4),
            ScaffoldEntry(plan(seed=4), "eval", 5),
            ScaffoldEntry(plan(seed=5), "eval", None),
        ],
    )
    return RecordedProvider(path)


@pytest.mark.parametrize(
    ("task", "split", "state", "seed"),
    [("hammer", "eval", 4, 1), ("hammer", "train", 4, 2), ("apple", "eval", 4, 3), ("hammer", "eval", 5, 4)],
)
def test_a_recorded_plan_is_found_by_task_split_and_state(recorded, task, split, state, seed):
    assert recorded.plan(request(state, task, split)).sha256 == plan(task, seed=seed).sha256


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((6, "hammer", "eval"), "plans.npz has no plan for hammer, split eval, state 6"),
        ((5, "hammer", "train"), "plans.npz has no plan for hammer, split train, state 5"),
        ((4, "sponge", "eval"), "plans.npz has no plan for sponge, split eval, state 4"),
        ((None, "hammer", "eval"), "plans.npz has no plan for hammer, split eval, a state from no frozen set"),
    ],
)
def test_a_plan_that_was_not_recorded_is_a_lookup_error(recorded, asked, told):
    with pytest.raises(LookupError, match=told):
        recorded.plan(request(*asked))


def test_recorded_plans_need_no_privilege_and_the_oracle_does():
    assert not RecordedProvider.privileged
    assert OracleProvider.privileged


@pytest.mark.parametrize("count", [2, 3, 40])
def test_the_oracle_interpolates_the_task_s_own_waypoints(count):
    asked = []

    def reference(waypoints):
        asked.append(waypoints)
        return coarse(waypoints, seed=8)

    start = StartState(np.zeros(6), {})
    scaffold = OracleProvider(waypoints=count).plan(request(cls=PrivilegedRequest, start=start, reference=reference))
    assert asked == [count]
    assert scaffold.sha256 == plan(count=count, seed=8).sha256
    assert scaffold.provenance == {"provider": "oracle", "waypoints": count}
    np.testing.assert_allclose(scaffold.wrist[[0, -1]], coarse(count, seed=8).wrist[[0, -1]], atol=1e-7)


def test_the_oracle_uses_the_paper_s_twenty_waypoints_by_default():
    assert OracleProvider().waypoints == 20


@pytest.mark.parametrize("count", [1, 0, -3])
def test_the_oracle_needs_two_waypoints(count):
    with pytest.raises(ValueError, match=f"at least 2 waypoints, got {count}"):
        OracleProvider(count)


def test_providers_are_resolved_from_names_paths_and_objects(path):
    save(path, plan(seed=6))
    assert isinstance(resolve_provider("oracle"), OracleProvider)
    for place in (path, str(path)):
        assert resolve_provider(place).plan(request(0)).sha256 == plan(seed=6).sha256
    mine = OracleProvider(3)
    assert resolve_provider(mine) is mine


class NoPrivilege:
    def plan(self, request):
        raise NotImplementedError


class PlanIsNoMethod:
    plan, privileged = None, False


@pytest.mark.parametrize(
    "thing", [object(), None, 3, NoPrivilege(), PlanIsNoMethod()], ids=lambda thing: type(thing).__name__
)
def test_a_thing_that_cannot_plan_is_a_type_error(thing):
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
        resolve_provider(thing)


@pytest.mark.parametrize("name", ["orakle", "", "missing.npz"])
def test_an_unknown_name_is_a_value_error(name):
    with pytest.raises(ValueError, match="neither a planner nor an existing plan file"):
        resolve_provider(name)


def test_a_file_that_holds_no_plans_is_refused(path):
    path.write_text("not plans")
    with pytest.raises(InvalidScaffoldError, match="not a readable plan file"):
        resolve_provider(path)


def test_two_plans_for_one_state_are_not_served(tmp_path):
    save_scaffolds(tmp_path / "a.npz", [ScaffoldEntry(hold_still(), "eval", 3)] * 2)
    with pytest.raises(InvalidScaffoldError, match="two plans for the same task, split and state"):
        RecordedProvider(tmp_path / "a.npz")
