import sys

import numpy as np
import pytest

from scaffold_bench.evaluation import make_policy
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.names import policy_name
from scaffold_bench.policies.scripted import PlanOnlyPolicy, RandomPolicy, ReferencePolicy
from scaffold_bench.types import Camera, TaskSpec

SPEC = TaskSpec(
    id="Scaffold-Test-v0",
    name="test",
    instruction="Test.",
    capability="precise",
    keypoints=("a",),
    success="always",
    tracking_threshold=0.1,
    finger_commands=4,
    wrist_start=(0.0,) * 6,
    bodies=("a",),
    camera=Camera((1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
)
MODULE = """
class Mine:
    def reset(self, episode): pass
    def act(self, observation): return "mine"

class NoReset:
    def act(self, observation): return 0

class NeedsArgument(Mine):
    def __init__(self, size): pass

def factory():
    return Mine()

ready = Mine()
number = 3
"""


def actions(policy, seed=0, count=3):
    episode = Episode(SPEC, None, {}, seed, scripted_action=lambda step: np.full(10, step))
    policy.reset(episode)
    return np.stack([policy.act(np.zeros(5)) for _ in range(count)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_policies_under_test.py").write_text(MODULE)
    (tmp_path / "broken_under_test.py").write_text("import no_such_module_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_policies_under_test", None)


@pytest.mark.parametrize(
    ("name", "cls"), [("reference", ReferencePolicy), ("plan-only", PlanOnlyPolicy), ("random", RandomPolicy)]
)
def test_named_policies_are_made_anew(name, cls):
    assert type(make_policy(name)) is cls
    assert make_policy(name) is not make_policy(name)


@pytest.mark.parametrize("attribute", ["Mine", "factory", "ready"])
def test_a_reference_leads_to_a_module_in_the_current_folder(folder, attribute):
    policy = make_policy(f"my_policies_under_test:{attribute}")
    assert policy.act(None) == "mine"
    assert sys.modules["my_policies_under_test"].__file__ == str(folder / "my_policies_under_test.py")


def test_a_class_a_factory_or_an_object_will_do():
    ready = PlanOnlyPolicy()
    assert make_policy(ready) is ready
    assert isinstance(make_policy(RandomPolicy), RandomPolicy)
    assert make_policy(lambda: ready) is ready


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (
            "refrence",
            "there is no policy 'refrence'; use reference, plan-only, plan-grasp, random, zoo:NAME, file:PATH or a "
            "reference like",
        ),
        ("", "there is no policy ''"),
        ("my_policies_under_test:", "there is no policy"),
        (":Mine", "there is no policy"),
        ("no_such_module_anywhere:Mine", "cannot load the policy .*no_such_module_anywhere"),
        ("broken_under_test:Mine", "cannot load the policy .*no_such_module_anywhere"),
        ("my_policies_under_test:Missing", "cannot load the policy .*Missing"),
        ("my_policies_under_test:number", r"is not a policy: it needs reset\(self, episode\) and act"),
        ("my_policies_under_test:NoReset", r"is not a policy: it has no reset; it needs"),
        (None, r"None is not a policy: it needs reset\(self, episode\) and act"),
        pytest.param(
            ".my_policies_under_test:Mine",
            "cannot load the policy",
        ),
        pytest.param(
            "my_policies_under_test:NeedsArgument",
            "NeedsArgument",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_bad_reference_is_told_in_one_sentence(reference, told):
    with pytest.raises(ValueError, match=told) as caught:
        make_policy(reference)
    assert "\n" not in str(caught.value)


def test_reference_policy_follows_the_script_from_its_start_in_every_episode():
    policy = ReferencePolicy()
    for _ in range(2):
        np.testing.assert_array_equal(actions(policy)[:, 0], [0, 1, 2])


def test_plan_only_policy_does_nothing():
    np.testing.assert_array_equal(actions(PlanOnlyPolicy()), np.zeros((3, SPEC.action_dim)))


def test_random_policy_is_uniform_and_repeats_with_the_episode_s_seed():
    policy = RandomPolicy()
    first, again, other = (actions(policy, seed, count=200) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (200, SPEC.action_dim)
    assert -1 <= first.min() < -0.95
    assert 0.95 < first.max() <= 1


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("plan-only", "plan-only"),
        ("my_module:Mine", "my_module:Mine"),
        (PlanOnlyPolicy, "scaffold_bench.policies.scripted:PlanOnlyPolicy"),
        (PlanOnlyPolicy(), "scaffold_bench.policies.scripted:PlanOnlyPolicy"),
    ],
)
def test_policies_have_names(policy, name):
    assert policy_name(policy) == name


def first_factory():
    return PlanOnlyPolicy()


def second_factory():
    return RandomPolicy()


def test_two_factories_have_two_names():
    assert policy_name(first_factory) != policy_name(second_factory)
