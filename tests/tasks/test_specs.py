"""The eight tasks' fixed facts against the paper's table, their constants' sources and their files' shape."""

from __future__ import annotations

import ast
import math
import re
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import scaffold_bench.tasks
from scaffold_bench.registration import get_task, start_states, task_ids, task_spec
from scaffold_bench.spec import EPISODE_STEPS

# id, short name, instruction, capability, K, epsilon_0 in cm, finger commands (paper, Appendix D and Table 5)
PAPER = [
    ("Scaffold-MoveApple-v0", "apple", "Move the apple to the cutting board", "semantic", 2, 10, 1),
    ("Scaffold-MoveBottle-v0", "bottle", "Move the bottle to the other side of the sink", "semantic", 2, 10, 1),
    ("Scaffold-OpenDrawer-v0", "drawer", "Open the top drawer", "articulated", 1, 15, 1),
    ("Scaffold-OpenFridge-v0", "fridge", "Open the fridge", "articulated", 1, 20, 1),
    ("Scaffold-Hammer-v0", "hammer", "Hammer three times", "unstructured motion", 2, 8, 1),
    ("Scaffold-WipeSponge-v0", "sponge", "Wipe the counter with the sponge", "unstructured motion", 1, 8, 1),
    ("Scaffold-CloseScissors-v0", "scissors", "Close the scissors", "precise", 2, 3, 4),
    ("Scaffold-ClosePliers-v0", "pliers", "Close the pliers", "precise", 2, 5, 4),
]
CONSTANTS = [
    ("tasks.move_apple", "GOAL_ABOVE_BOARD", 0.07),
    ("tasks.move_apple", "GOAL_RADIUS", 0.10),
    ("tasks.open_drawer", "OPENING_NEEDED", 0.20),
    ("tasks.open_fridge", "ANGLE_NEEDED", math.radians(60)),
    ("tasks.hammer", "SWINGS_NEEDED", 3),
    ("tasks.hammer", "SWING_HEIGHT", 0.05),
    ("tasks.wipe_sponge", "TRAVEL_NEEDED", 0.30),
    ("tasks.closing_tool", "CLOSED_ANGLE", math.radians(5)),
    ("tasks.closing_tool", "START_ANGLE", 0.7),
    ("tasks.base", "OBJECT_XY_NOISE", 0.1),
    ("tasks.base", "OBJECT_YAW_NOISE", 0.2),
    ("tasks.base", "HAND_XYZ_NOISE", 0.1),
    ("tasks.base", "HAND_TURN_NOISE", math.pi / 8),
    ("tasks.base", "JITTER_OBJECT_XY", 0.002),
    ("spec", "EPISODE_STEPS", 300),
    ("spec", "CONTROL_DT", 1 / 60),
    ("plan", "PLAN_WAYPOINTS", 20),
]
TASK_FILES = sorted(Path(scaffold_bench.tasks.__file__).parent.glob("*.py"))
ALL_TASKS = pytest.mark.parametrize("env_id", task_ids())


def test_the_eight_tasks_are_registered_in_the_papers_order() -> None:
    assert task_ids() == tuple(row[0] for row in PAPER)


@pytest.mark.parametrize("row", PAPER, ids=lambda row: row[1])
def test_spec_matches_the_paper(row: tuple[str, str, str, str, int, float, int]) -> None:
    spec = task_spec(row[0])
    facts = (spec.id, spec.name, spec.instruction, spec.capability, len(spec.keypoints))
    assert (*facts, spec.tracking_threshold * 100, spec.finger_commands) == row
    assert spec.action_dim == 6 + row[-1]
    assert gym.spec(spec.id).max_episode_steps == spec.horizon == EPISODE_STEPS
    assert task_spec(row[1]) is spec


@pytest.mark.parametrize(("module", "name", "value"), CONSTANTS, ids=[name for _, name, _ in CONSTANTS])
def test_constant_has_the_published_value_and_cites_its_source(module: str, name: str, value: float) -> None:
    loaded = import_module(f"scaffold_bench.{module}")
    assert getattr(loaded, name) == pytest.approx(value)
    lines = Path(loaded.__file__).read_text(encoding="utf-8").splitlines()
    (at,) = (i for i, line in enumerate(lines) if re.match(rf"{name}\b[^=]*=", line))
    assert re.search(r"paper|authors' code|ours", " ".join(lines[at : at + 2]))


@ALL_TASKS
def test_keypoints_and_plan_refer_to_what_the_task_has(env_id: str) -> None:
    task = get_task(env_id)
    spec, plan = task.spec, task.reference_plan(task.default_start())
    assert len(set(spec.keypoints)) == len(spec.keypoints)
    assert plan.keypoints.shape == (20, len(spec.keypoints), 3)
    assert plan.wrist.shape == (20, 6)
    assert set(plan.attachments) <= {*spec.bodies, "world"}
    assert set(task.default_start().joints) == set(spec.joints)
    np.testing.assert_allclose(plan.wrist[0], spec.wrist_start)


@ALL_TASKS
def test_wrist_starts_away_from_gimbal_lock(env_id: str) -> None:
    task = get_task(env_id)
    middle = task.spec.wrist_start[4]
    assert all(abs(math.cos(middle + noise)) > 0.5 for noise in np.linspace(-math.pi / 8, math.pi / 8, 21))
    wrists = [start.wrist for split in ("train", "eval") for start in start_states(task, split)]
    assert min(abs(math.cos(wrist[4])) for wrist in wrists) > 0.5


@ALL_TASKS
@pytest.mark.parametrize("split", ["train", "eval"])
def test_start_states_fill_the_authors_noise_and_stay_within(env_id: str, split: str) -> None:
    task = get_task(env_id)
    default, states = task.default_start(), list(start_states(task, split))
    assert len(states) == 100
    hand = np.stack([state.wrist - default.wrist for state in states]) / ([0.1] * 3 + [math.pi / 8] * 3)
    assert (np.abs(hand) <= 1).all()
    assert (np.ptp(hand, axis=0) > 1.6).all()
    for name, pose in default.objects.items():
        shift = np.stack([state.objects[name][:3] - pose[:3] for state in states])
        assert (shift[:, :2] >= 0).all()
        assert (shift[:, :2] <= 0.1).all()
        assert (np.ptp(shift[:, :2], axis=0) > 0.08).all()
        np.testing.assert_array_equal(shift[:, 2], 0.0)
        alike = np.clip([abs(pose[3:] @ state.objects[name][3:]) for state in states], 0, 1)
        turn = 2 * np.arccos(alike)
        assert 0.15 < turn.max() <= 0.2 + 1e-6
    assert all(state.joints == default.joints for state in states)


@ALL_TASKS
def test_training_and_evaluation_states_share_nothing(env_id: str) -> None:
    task = get_task(env_id)
    train, evaluation = ({state.wrist.tobytes() for state in start_states(task, split)} for split in ("train", "eval"))
    assert len(train) == len(evaluation) == 100
    assert not train & evaluation


@pytest.mark.parametrize("file", TASK_FILES, ids=lambda file: file.stem)
def test_task_file_is_short_and_says_what_it_is(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 250
    assert len(ast.get_docstring(ast.parse(source)) or "") > 40


@ALL_TASKS
def test_task_file_names_where_the_task_comes_from(env_id: str) -> None:
    assert "paper, Appendix D" in (import_module(type(get_task(env_id)).__module__).__doc__ or "")
