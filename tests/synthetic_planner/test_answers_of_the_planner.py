"""The planner behind the stand-in answers what it is asked, with the errors it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictured_scenes import MODEL, Scene, camera_of, picture, png
from PIL import Image

from scaffold_bench.registration import make_env, start_states
from scaffold_bench.scaffolds import scaffold_from_waypoints
from scaffold_bench.scaffolds.vlm import prompting
from scaffold_bench.scaffolds.vlm.answers import read_keypoints
from scaffold_bench.scaffolds.vlm.model import Budget, GeminiModel
from scaffold_bench.scaffolds.vlm.provider import VlmProvider, example_of
from scaffold_bench.synthetic_planner import pictures
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.pictures import StateIndex
from scaffold_bench.synthetic_planner.planner import Asked, SimulatedPlanner
from scaffold_bench.synthetic_planner.server import FakeGemini, client
from scaffold_bench.types import FloatArray

pytest.importorskip("google.genai")


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"quota": 1.1}, "quota must be from 0 to 1"),
        ({"slow": -0.1}, "slow must be from 0 to 1"),
        ({"wrong_keypoint": float("nan")}, "wrong_keypoint"),
        ({"axis_flip_of": {"fridge": 2.0}}, r"axis_flip_of\['fridge'\]"),
        ({"pixel_noise": -1.0}, "pixel_noise must be not negative"),
        ({"slow_seconds": float("inf")}, "slow_seconds must be not negative and finite"),
    ],
)
def test_rates_out_of_range_are_refused(rates: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ErrorRates(**rates)


def test_examples_lower_the_rate_of_mirrored_motions() -> None:
    rates = ErrorRates()
    assert (rates.flip_of("fridge", shown=False), rates.flip_of("fridge", shown=True)) == (0.8, 0.3)
    assert (rates.flip_of("hammer", shown=False), rates.flip_of("hammer", shown=True)) == (0.05, 0.02)


@pytest.mark.parametrize("name", ["hammer", "fridge", "bottle", "pliers"])
def test_keypoints_are_where_the_reference_has_them(name: str) -> None:
    scene = Scene(name)
    text = scene.planner(ErrorRates.none())(prompting.keypoint_prompt(scene.request), scene.image, MODEL)
    found = read_keypoints(text, scene.names)
    wanted = prompting.project(scene.camera, scene.truth.keypoints[0])
    np.testing.assert_allclose([found[one] for one in scene.names], wanted, atol=6e-4)
    assert (wanted > 0).all()
    assert (wanted < 1).all()


def test_keypoints_scatter_and_one_may_be_anywhere() -> None:
    scene = Scene("hammer")
    prompt, wanted = prompting.keypoint_prompt(scene.request), prompting.project(scene.camera, scene.truth.keypoints[0])

    def off(rates: ErrorRates) -> FloatArray:
        planner = scene.planner(rates)
        found = [read_keypoints(planner(prompt, scene.image, MODEL), scene.names) for _ in range(100)]
        return np.array([[one[name] for name in scene.names] for one in found]) - wanted

    assert 0.003 < off(ErrorRates.none(pixel_noise=4.0)).std() < 0.005
    far = np.abs(off(ErrorRates.none(wrong_keypoint=0.5))).max(axis=-1) > 0.01
    assert 0.3 < far.any(axis=1).mean() < 0.7
    assert not far.all(axis=1).any()


@pytest.mark.parametrize("name", ["hammer", "fridge", "bottle", "pliers"])
def test_without_errors_the_plan_is_the_reference(name: str) -> None:
    scene = Scene(name)
    places, hands = scene.ask(scene.planner(ErrorRates.none()))
    np.testing.assert_allclose(places, scene.truth.keypoints, atol=2e-3)
    np.testing.assert_allclose(hands, scene.true_hands(), atol=2e-3)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_any_number_of_waypoints_can_be_had(count: int) -> None:
    scene = Scene("drawer")
    places, hands = scene.ask(scene.planner(ErrorRates()), count=count)
    assert places.shape == (count, 1, 3)
    assert hands.shape == (count, 3)


def test_an_error_of_the_first_question_carries_through() -> None:
    scene = Scene("hammer")
    error = np.array([[0.03, -0.02, 0.01], [0.01, 0.02, 0.0]])
    places, hands = scene.ask(scene.planner(ErrorRates.none()), error)
    np.testing.assert_allclose(places, scene.truth.keypoints + error, atol=2e-3)
    np.testing.assert_allclose(hands[0], scene.true_hands()[0], atol=2e-3)
    np.testing.assert_allclose(hands[3:], scene.true_hands()[3:] + error[0], atol=2e-3)  # from the arrival on


def test_a_wrong_route_is_smooth_starts_right_and_leaves_alone_what_is_fixed() -> None:
    scene = Scene("bottle")
    places, hands = scene.ask(scene.planner(ErrorRates.none(waypoint_noise=0.01)))
    off, hand_off = places - scene.truth.keypoints, hands - scene.true_hands()
    assert np.abs(off[:7]).max() < 2e-3  # nothing moves before the hand holds it
    assert 0.003 < np.abs(off[7:, 0]).max() < 0.05
    assert np.abs(np.diff(off[:, 0], axis=0)).max() < 0.015
    assert np.abs(off[:, 1]).max() < 2e-3  # the target point
    assert np.abs(hand_off[0]).max() < 2e-3
    assert 0.003 < np.abs(hand_off).max() < 0.08


@pytest.mark.parametrize("name", ["fridge", "drawer", "bottle"])
def test_a_mirrored_motion_goes_the_other_way_along_one_axis(name: str) -> None:
    scene = Scene(name)
    planner = scene.planner(ErrorRates.none(axis_flip=1.0))
    truth, true_hands = scene.truth.keypoints - scene.truth.keypoints[0], scene.true_hands()
    seen = set()
    for _ in range(8):
        places, hands = scene.ask(planner)
        moves = places - scene.truth.keypoints[0]
        axis = int(np.abs(moves - truth).max(axis=(0, 1)).argmax())
        seen.add(axis)
        mirrored = truth.copy()
        mirrored[..., axis] *= -1
        np.testing.assert_allclose(moves, mirrored, atol=2e-3)
        np.testing.assert_allclose(hands[:7], true_hands[:7], atol=2e-3)  # the approach is right
        expected = true_hands[7:, axis] - true_hands[6, axis]
        np.testing.assert_allclose(hands[7:, axis] - hands[6, axis], -expected, atol=4e-3)
    assert seen == {0, 1}


def test_examples_help() -> None:
    scene = Scene("fridge")
    planner = scene.planner(ErrorRates.none(axis_flip=1.0, axis_flip_shown=0.0))
    for shown, wrong in ((0, True), (1, False), (3, False)):
        places, _ = scene.ask(planner, shown=shown)
        assert bool(np.abs(places - scene.truth.keypoints).max() > 0.1) is wrong


def test_an_example_s_numbers_are_not_taken_for_the_present() -> None:
    scene = Scene("hammer")
    oracle = scene.task.reference_waypoints(scene.start)
    example = example_of(scaffold_from_waypoints("hammer", oracle(20), {}), scene.request, 7)
    asked = Asked.read(scene.trajectory_prompt(scene.truth.keypoints[0] * 1.1, 12, (example,) * 2))
    assert (asked.count, asked.arrive, asked.move, asked.examples) == (12, 2, 3, 2)
    assert np.linalg.norm(asked.places["head"]) == pytest.approx(1.1 * np.linalg.norm(example.places[1]), abs=2e-3)


def test_a_question_has_its_answer_and_another_when_it_is_asked_again() -> None:
    scene = Scene("hammer")
    prompt, other = prompting.keypoint_prompt(scene.request), scene.trajectory_prompt(scene.truth.keypoints[0])
    one, two = scene.planner(ErrorRates()), scene.planner(ErrorRates())
    first = one(prompt, scene.image, MODEL)
    assert one(prompt, scene.image, MODEL) != first
    two(other, scene.image, MODEL)  # what was asked in between does not matter
    assert two(prompt, scene.image, MODEL) == first
    assert scene.planner(ErrorRates(), seed=1)(prompt, scene.image, MODEL) != first


def test_the_state_is_read_from_the_picture_and_is_the_default_one_if_there_is_none() -> None:
    scene = Scene("hammer")
    noise = np.random.default_rng(0).normal(0, 5, (160, 160, 3))
    noisy = Image.fromarray((np.asarray(picture(2), float) + noise).clip(0, 255).astype(np.uint8))
    for number, image in ((0, picture(0)), (2, picture(2)), (2, noisy), (1, picture(1).convert("RGBA"))):
        assert scene.index.nearest(png(image)) is scene.index.starts[number]
    for nothing in (None, b"", b"no picture", scene.image[:200], png(picture(9))):
        assert scene.index.nearest(nothing) is None
    text = scene.planner(ErrorRates.none())(prompting.keypoint_prompt(scene.request), png(picture(9)), MODEL)
    default = scene.task.reference_plan(scene.task.default_start()).keypoints[0]
    found = read_keypoints(text, scene.names)
    np.testing.assert_allclose(
        [found[name] for name in scene.names], prompting.project(scene.camera, default), atol=6e-4
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "What is this?",
        lambda prompt: prompt.replace("Hammer three times", "Dance"),
        lambda prompt: prompt.replace("Now these places", "Once these places"),
        lambda prompt: prompt.replace("- head:", "- beak:"),
        lambda prompt: prompt.replace("- hand: [", "- hand: [x"),
        lambda prompt: prompt.replace("wait until waypoint 6", "wait until waypoint 99"),
    ],
)
def test_questions_it_does_not_know_are_refused(change: Callable[[str], str]) -> None:
    scene = Scene("hammer")
    with pytest.raises(ValueError, match=r"prompt|planner|plan"):
        scene.planner(ErrorRates())(change(scene.trajectory_prompt(scene.truth.keypoints[0])), scene.image, MODEL)


def test_only_frozen_states_can_be_in_the_index() -> None:
    with pytest.raises(ValueError, match=r"no frozen states of \['fresh'\]"):
        SimulatedPlanner(states={"fresh": [0]})


@pytest.mark.rendering
@pytest.mark.parametrize("name", ["hammer", "drawer"])
def test_the_whole_way_from_picture_to_plan(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, states = 3, {"train": [0], "eval": [2, 3]}
    planner = SimulatedPlanner(ErrorRates.none(), states=states, cache=tmp_path)
    planner.prepare([name])
    with FakeGemini(planner) as fake:
        provider = VlmProvider(GeminiModel(client=client(fake.url)), budget=Budget(attempts=1))
        env = make_env(name, scaffolds=provider, split="eval")
        env.reset(options={"state": state})
        plan, view, task, start = env.scaffold, env.look(), env.task, env.start_state
        env.close()
    assert plan.valid, plan.reason
    assert fake.requests == {"keypoints": 1, "trajectory": 1}
    assert plan.provenance["answered_by"] == "simulated-vlm"
    oracle = task.reference_plan(start)
    for frame in (0, -1):
        assert np.linalg.norm(plan.keypoints[frame] - oracle.keypoints[frame], axis=-1).max() < 0.03
    assert plan.attachments == oracle.attachments

    # the kept index is used, knows the same state, and the camera it knows is the environment's
    def no_index(*_: Any) -> StateIndex:
        raise AssertionError("the index was made again")

    monkeypatch.setattr(pictures, "build_index", no_index)
    starts = [start_states(task, split)[number] for split, numbers in states.items() for number in numbers]
    index = pictures.kept_index(tmp_path, name, starts)
    buffer = png(Image.fromarray(view.rgb))
    assert index.nearest(buffer) is index.starts[2]
    np.testing.assert_allclose(index.camera.camera_to_world, view.camera_to_world, atol=1e-5)
    np.testing.assert_allclose(index.camera.intrinsics * [[800], [800], [1]], view.intrinsics, atol=1e-2)
    np.testing.assert_allclose(camera_of(task)[1], view.camera_to_world, atol=1e-5)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged one is made again
    with pytest.raises(AssertionError, match="made again"):
        pictures.kept_index(tmp_path, name, starts)
