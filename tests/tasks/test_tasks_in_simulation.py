"""Every registered task in the simulator: solvable by its script, not by accident, and from sound start states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scaffold_bench.registration import start_states, task_ids
from scaffold_bench.spec import CONTACT_FORCE
from scaffold_bench.types import EPISODE_STEPS, Scaffold, StartState

APPLE, BOTTLE, HAMMER = "Scaffold-MoveApple-v0", "Scaffold-MoveBottle-v0", "Scaffold-Hammer-v0"
SPONGE, SCISSORS, PLIERS = "Scaffold-WipeSponge-v0", "Scaffold-CloseScissors-v0", "Scaffold-ClosePliers-v0"
ALL_TASKS = pytest.mark.parametrize("env_id", task_ids())


@dataclasses.dataclass(frozen=True)
class Episode:
    """What an episode showed after each of its T steps."""

    success_once: bool
    keypoints: np.ndarray  # (T + 1, K, 3), the first ones at reset
    tip_forces: np.ndarray  # (T, 4)
    measures: dict[str, np.ndarray]  # (T,)


def play(env: Any, policy: Callable[[int], Any], options: dict[str, Any], steps: int = EPISODE_STEPS) -> Episode:
    """Run one episode without tracking termination."""
    env.reset(seed=0, options=options)
    keypoints, infos = [env.unwrapped.keypoints[0].numpy().copy()], []
    for step in range(steps):
        _, _, terminated, truncated, info = env.step(policy(step))
        infos.append(info)
        keypoints.append(env.unwrapped.keypoints[0].numpy().copy())
        assert not terminated
        assert truncated is (step == EPISODE_STEPS - 1)
    names = [key.removeprefix("measure/") for key in infos[0] if key.startswith("measure/")]
    return Episode(
        infos[-1]["success_once"],
        np.stack(keypoints),
        np.stack([info["tip_forces"] for info in infos]),
        {name: np.array([info[f"measure/{name}"] for info in infos]) for name in names},
    )


@pytest.fixture(scope="module")
def make(kept_envs: Callable[..., Any]) -> Callable[[str], Any]:
    """Environments on the evaluation states, one per task for the whole file."""
    return lambda env_id: kept_envs(env_id, split="eval", tracking_threshold=None)


@pytest.fixture(scope="module")
def reference(make: Callable[[str], Any]) -> Callable[[str, int], Episode]:
    """The scripted policy's episode on an evaluation state, played once."""
    played: dict[tuple[str, int], Episode] = {}

    def reference(env_id: str, state: int = 0) -> Episode:
        if (env_id, state) not in played:
            env = make(env_id)
            inner = env.unwrapped
            played[env_id, state] = play(
                env, lambda step: inner.task.reference_action(step, inner.scaffold), {"state": state}
            )
        return played[env_id, state]

    return reference


def still(env: Any) -> np.ndarray:
    """The action that follows the plan with an open hand."""
    return np.zeros(env.action_space.shape, np.float32)


def holding(plan: Scaffold, wrist: np.ndarray) -> Scaffold:
    """A plan that keeps the wrist and every keypoint where they are."""
    frames = EPISODE_STEPS + 1
    keypoints = np.repeat(plan.keypoints[:1], frames, axis=0)
    return dataclasses.replace(plan, wrist=np.repeat(wrist[None], frames, axis=0), keypoints=keypoints, waypoints=None)


def left_alone(env: Any, start: StartState, steps: int = 60) -> Episode:
    """What objects do while the hand hovers 80 cm above its start."""
    env.reset(seed=0, options={"start": start})
    away = start.wrist + np.array([0.0, 0.0, 0.8, 0.0, 0.0, 0.0])
    options = {"start": dataclasses.replace(start, wrist=away), "scaffold": holding(env.unwrapped.scaffold, away)}
    return play(env, lambda _: still(env), options, steps)


# ------------------------------------------------------------------------------------------------ who solves a task
@ALL_TASKS
@pytest.mark.parametrize("state", [0, 1])
def test_reference_policy_solves_the_task(reference: Callable[[str, int], Episode], env_id: str, state: int) -> None:
    assert reference(env_id, state).success_once


@ALL_TASKS
def test_following_the_plan_with_an_open_hand_does_not(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    assert not play(env, lambda _: still(env), {"state": 0}).success_once


@ALL_TASKS
def test_random_actions_do_not(make: Callable[[str], Any], env_id: str) -> None:
    env = make(env_id)
    env.action_space.seed(0)
    assert not play(env, lambda _: env.action_space.sample(), {"state": 0}).success_once


# ------------------------------------------------------------------------------------------------ how it is solved
@pytest.mark.parametrize("env_id", [APPLE, BOTTLE, HAMMER, SPONGE])
def test_object_is_carried_in_a_grasp(reference: Callable[..., Episode], env_id: str) -> None:
    tips = (reference(env_id).tip_forces[150:250] > CONTACT_FORCE).sum(axis=1)
    assert np.median(tips) >= 2


@pytest.mark.parametrize("env_id", [APPLE, BOTTLE, HAMMER])
def test_object_leaves_the_counter(reference: Callable[..., Episode], env_id: str) -> None:
    height = reference(env_id).keypoints[:, 0, 2]
    assert height.max() - height[0] > 0.08


def test_sponge_does_not_leave_the_counter(reference: Callable[..., Episode]) -> None:
    height = reference(SPONGE).keypoints[:, 0, 2]
    assert height.max() - height[0] < 0.012


@pytest.mark.parametrize("env_id", [SCISSORS, PLIERS])
def test_tool_ends_closed_between_fingertips(reference: Callable[..., Episode], env_id: str) -> None:
    measures = reference(env_id).measures
    assert measures["angle"][-1] < np.radians(5)
    assert measures["angle"][0] == pytest.approx(0.7, abs=0.01)
    assert measures["tips_on_a"][-1] >= 1
    assert measures["tips_on_b"][-1] >= 1


@pytest.mark.parametrize(
    ("env_id", "measure", "opened"),
    [("Scaffold-OpenDrawer-v0", "opening", 0.2), ("Scaffold-OpenFridge-v0", "angle", 1.05)],
)
def test_furniture_is_opened_by_the_hand(
    reference: Callable[..., Episode], env_id: str, measure: str, opened: float
) -> None:
    values = reference(env_id).measures[measure]
    assert np.abs(values[:50]).max() < 0.001
    assert values.max() >= opened


@ALL_TASKS
def test_keypoints_stay_where_they_are_until_the_hand_arrives(reference: Callable[..., Episode], env_id: str) -> None:
    keypoints = reference(env_id).keypoints
    assert np.linalg.norm(keypoints[:50] - keypoints[0], axis=-1).max() < 0.002


# ------------------------------------------------------------------------------------------------ start states
def hand_penetration(env: Any) -> float:
    """How deep the hand is inside anything, metres; negative when it touches nothing."""
    hand = {component for link in env.unwrapped.agent.robot.links for component in link._objs}
    gaps = [
        point.separation
        for contact in env.unwrapped.scene.px.get_contacts()
        if (contact.bodies[0] in hand) != (contact.bodies[1] in hand)
        for point in contact.points
    ]
    return -min(gaps, default=1.0)


@ALL_TASKS
@pytest.mark.parametrize("split", ["train", "eval"])
def test_every_start_state_is_at_rest_and_free_of_the_hand(make: Callable[[str], Any], env_id: str, split: str) -> None:
    env = make(env_id)
    for index, start in enumerate(start_states(env.unwrapped.task, split)):
        env.reset(seed=0, options={"start": start})
        before = env.unwrapped.keypoints.clone()
        for _ in range(2):
            _, _, _, _, info = env.step(still(env))
            assert not info["tip_forces"].any(), index
            assert not info["success"], index
            assert hand_penetration(env) < 0.001, index
        # an object in the air would have fallen by 7 mm
        moved = torch.linalg.vector_norm(env.unwrapped.keypoints - before, dim=-1)
        assert float(moved.max()) < 0.002, index


def test_a_hand_that_starts_inside_an_object_would_be_seen(make: Callable[[str], Any]) -> None:
    env = make(APPLE)
    start = start_states(env.unwrapped.task, "eval")[0]
    inside = dataclasses.replace(start, wrist=np.array([*start.objects["apple"][:3], *start.wrist[3:]]))
    env.reset(seed=0, options={"start": inside})
    env.step(still(env))
    assert hand_penetration(env) > 0.005


@ALL_TASKS
@pytest.mark.parametrize("split", ["train", "eval"])
def test_untouched_objects_stay_where_a_start_state_puts_them(
    make: Callable[[str], Any], env_id: str, split: str
) -> None:
    env = make(env_id)
    episode = left_alone(env, start_states(env.unwrapped.task, split)[0])
    assert np.linalg.norm(episode.keypoints - episode.keypoints[0], axis=-1).max() < 0.005
    assert not episode.tip_forces.any()
    assert not episode.success_once


# ------------------------------------------------------------------------------------------------ the counter
def bottle_set_down(make: Callable[[str], Any], x: float, y: float) -> Episode:
    env = make(BOTTLE)
    start = env.unwrapped.task.default_start()
    bottle = np.array([x, y, *start.objects["bottle"][2:]])
    return left_alone(env, dataclasses.replace(start, objects={"bottle": bottle}))


@pytest.mark.parametrize(
    ("x", "y", "stays"),
    [
        pytest.param(0.20, 0.72, True, id="target point"),
        pytest.param(0.20, 0.58, True, id="just across the sink"),
        pytest.param(0.20, 0.40, False, id="in the sink"),
        pytest.param(-0.20, 0.72, False, id="in front of the counter"),
        pytest.param(0.55, 0.72, False, id="behind the counter"),
        pytest.param(0.20, 1.65, False, id="past the counter's end"),
    ],
)
def test_bottle_stands_where_the_criterion_says_it_can(
    make: Callable[[str], Any], x: float, y: float, stays: bool
) -> None:
    episode = bottle_set_down(make, x, y)
    assert (episode.measures["height"][-1] > 0.10) is np.bool_(stays)
    assert episode.success_once is stays


def test_bottle_that_falls_into_the_sink_at_its_far_edge_was_never_across(make: Callable[[str], Any]) -> None:
    episode = bottle_set_down(make, 0.20, 0.53)
    assert episode.measures["height"][-1] < 0.0
    assert not episode.success_once
