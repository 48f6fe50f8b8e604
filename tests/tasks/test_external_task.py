"""A ninth task from outside the package: one class and one call make it a full member."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import sapien
import torch
from gymnasium.utils.env_checker import check_env

from scaffold_bench import registration
from scaffold_bench.registration import get_task, register_task, task_ids, task_names
from scaffold_bench.tasks.base import COUNTER_HEIGHT, PALM_DOWN, BuiltTask, Task, path, pose, wrist_at
from scaffold_bench.types import Camera, Measures, Memory, SceneState, StartState, TaskSpec, Waypoints

HALF = 0.03  # metres
LIFTED = 0.05  # metres
EVAL_0 = (0.22991117778, -0.55043765920)  # place of the box in the first evaluation state, metres


class LiftBox(Task):
    spec = TaskSpec(
        id="Outside-LiftBox-v0",
        name="box",
        instruction="Lift the box",
        capability="semantic",
        keypoints=("box",),
        success="box lifted by 5 cm",
        tracking_threshold=0.10,
        finger_commands=1,
        wrist_start=(0.19, -0.47, 1.12, *PALM_DOWN),
        bodies=("box",),
        camera=Camera(eye=(-0.6, -0.1, 1.4), target=(0.2, -0.6, 0.9)),
    )
    finger_schedule = ((58, 0.0), (66, 0.7))

    def build(self, scene: Any) -> BuiltTask:
        builder = scene.create_actor_builder()
        builder.add_box_collision(half_size=[HALF] * 3, density=500)
        builder.initial_pose = sapien.Pose([0, 0, 1])
        box = builder.build_dynamic("box")
        return BuiltTask(objects={"box": box}, bodies={"box": box})

    def default_start(self) -> StartState:
        return StartState(np.array(self.spec.wrist_start), {"box": pose((0.15, -0.60, COUNTER_HEIGHT + HALF))})

    def reference_plan(self, start: StartState) -> Waypoints:
        box = start.objects["box"][:3]
        route = path((6, box), (10, np.add(box, (0.0, 0.0, 0.15))))
        grasp = wrist_at(box, PALM_DOWN, (0.065, 0.03, 0.03))
        wrist = path((0, start.wrist), (3, grasp)) + np.pad(route - box, ((0, 0), (0, 3)))
        return Waypoints(route[:, None], wrist, ("box",))

    def measures(self, state: SceneState, memory: Memory) -> Measures:  # noqa: ARG002
        return {"lift": state.bodies["box"][:, 2] - COUNTER_HEIGHT - HALF}

    def success(self, measures: Measures) -> torch.Tensor:
        return measures["lift"] > LIFTED


def variant(**changes: Any) -> type[Task]:
    """The same task with some facts changed."""
    return type("Variant", (LiftBox,), {"spec": replace(LiftBox.spec, **changes)})


@pytest.fixture(autouse=True)
def ninth_task() -> Iterator[str]:
    """The registered task's id; whatever a test registers is forgotten again."""
    before = set(task_ids())
    register_task(LiftBox)
    yield LiftBox.spec.id
    for env_id in set(task_ids()) - before:
        gym.registry.pop(env_id)
        registration._tasks.pop(env_id)


@pytest.fixture
def env(ninth_task: str) -> Iterator[Any]:
    made = gym.make(ninth_task, split="eval", tracking_threshold=None)
    yield made
    made.close()


def test_it_stands_beside_the_eight(ninth_task: str) -> None:
    assert len(task_ids()) == 9
    assert task_ids()[-1] == ninth_task
    assert task_names()[-1] == "box"
    assert isinstance(get_task("box"), LiftBox)
    assert isinstance(get_task(ninth_task), LiftBox)


def test_it_passes_gymnasiums_checks_without_a_warning(env: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("state", [0, 1])
def test_its_reference_policy_solves_it_and_its_plan_alone_does_not(env: Any, state: int) -> None:
    inner = env.unwrapped
    for scripted in (True, False):
        _, info = env.reset(seed=0, options={"state": state})
        truncated, step = False, 0
        while not truncated:
            action = inner.task.reference_action(step, inner.scaffold) if scripted else np.zeros(7, np.float32)
            _, _, terminated, truncated, info = env.step(action)
            assert not terminated
            step += 1
        assert step == 300
        assert info["success_once"] is scripted


def test_its_splits_come_from_fixed_seeds(ninth_task: str) -> None:
    def states(split: str) -> Any:
        made = gym.make(ninth_task, split=split)
        result = made.unwrapped.start_state_set
        made.close()
        return result

    train, evaluation = states("train"), states("eval")
    assert len(train) == len(evaluation) == 100
    assert train.sha256 == states("train").sha256
    assert train.sha256 != evaluation.sha256
    assert not {s.wrist.tobytes() for s in train} & {s.wrist.tobytes() for s in evaluation}
    # frozen for good: a change here changes what published numbers of outside tasks mean
    np.testing.assert_allclose(evaluation[0].objects["box"][:2], EVAL_0, atol=1e-9)
    with pytest.raises(ValueError, match="no frozen start states"):
        states("fresh")
    with pytest.raises(ValueError, match="train, eval, fresh"):
        states("test")


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        pytest.param({"name": "another box"}, "bump the version or choose another id", id="own id"),
        pytest.param({"id": "Scaffold-Hammer-v0", "name": "mallet"}, "bump the version", id="built-in id"),
        pytest.param({"id": "CartPole-v1"}, "choose another id", id="gymnasium's id"),
        pytest.param({"id": "Outside-LiftBox-v1"}, "choose another spec.name", id="own short name"),
        pytest.param({"id": "Outside-Hammer-v0", "name": "hammer"}, "choose another spec.name", id="built-in name"),
    ],
)
def test_a_taken_id_or_name_is_refused_and_changes_nothing(changes: dict[str, str], remedy: str) -> None:
    ids, known = task_ids(), set(gym.registry)
    with pytest.raises(ValueError, match=f"already registered.*{remedy}"):
        register_task(variant(**changes))
    assert task_ids() == ids
    assert set(gym.registry) == known


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("hamer", "hammer"), ("Scaffold-Hamer-v0", "Scaffold-Hammer-v0"), ("scisors", "scissors"), ("boxx", "box")],
)
def test_an_unknown_task_name_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"no task '{name}'; did you mean '{nearest}'"):
        get_task(name)


def test_a_name_like_no_other_lists_the_tasks() -> None:
    with pytest.raises(ValueError, match=r"The tasks are apple, .*pliers, box") as caught:
        get_task("zzz")
    assert "did you mean" not in str(caught.value)


def test_gym_make_suggests_the_nearest_id() -> None:
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Scaffold-Hammer`"):
        gym.make("Scaffold-Hamer-v0")


def test_bodies_that_were_not_built_are_named() -> None:
    register_task(variant(id="Outside-LostLid-v0", name="lid", bodies=("box", "lid")))
    with pytest.raises(ValueError, match=r"Outside-LostLid-v0: .*\['lid'\]"):
        gym.make("Outside-LostLid-v0")
