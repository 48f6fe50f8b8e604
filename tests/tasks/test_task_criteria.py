"""Each task's criterion on hand-made scene states: what solves it, and what comes close but does not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch

from scaffold_bench.registration import get_task, task_ids
from scaffold_bench.tasks.counter import COUNTER_HEIGHT
from scaffold_bench.types import FINGERTIPS, Measures, Memory, SceneState

NO_TIPS = (0.0, 0.0, 0.0, 0.0)
ALL_TASKS = pytest.mark.parametrize("env_id", task_ids())


# ------------------------------------------------------------------------------------------------ helpers
def scene(
    bodies: Mapping[str, Sequence[float]],
    joints: Mapping[str, float] | None = None,
    tips: Mapping[str, Sequence[float]] | None = None,
) -> SceneState:
    """The state of one environment: positions (3,) or poses (7,), joint positions, newtons (4,) per touched body."""
    tips = tips or {}
    push = torch.tensor([0.6, 0.0, -0.8])
    return SceneState(
        wrist=torch.zeros(1, 6),
        bodies={name: torch.tensor([[*place, 1.0, 0.0, 0.0, 0.0][:7]]) for name, place in bodies.items()},
        joints={name: torch.tensor([value]) for name, value in (joints or {}).items()},
        tip_forces={name: torch.tensor(tips.get(name, NO_TIPS))[None, :, None] * push for name in bodies},
    )


def stacked(states: Sequence[SceneState]) -> SceneState:
    """Several environments' states as one batch."""

    def column(parts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    return SceneState(
        wrist=torch.cat([state.wrist for state in states]),
        bodies=column([state.bodies for state in states]),
        joints=column([state.joints for state in states]),
        tip_forces=column([state.tip_forces for state in states]),
    )


def watch(name: str, states: Sequence[SceneState]) -> tuple[Measures, torch.Tensor]:
    """Measures and success after an episode that showed these states, the first one at reset."""
    task = get_task(name)
    memory = task.initial_memory(states[0])
    for state in states[1:]:
        memory = task.remember(state, memory)
    measures = task.measures(states[-1], memory)
    return measures, task.success(measures)


def solved(name: str, *states: SceneState) -> bool:
    _, success = watch(name, states)
    assert success.dtype == torch.bool
    assert success.shape == (1,)
    return bool(success)


def dense(knots: Sequence[Sequence[float]], step: float) -> np.ndarray:
    """Points (S, D) along straight lines through the knots, at most ``step`` apart."""
    points = [np.asarray(knots[0], dtype=float)]
    for knot in knots[1:]:
        start, end = points[-1], np.asarray(knot, dtype=float)
        count = max(1, math.ceil(np.linalg.norm(end - start) / step))
        points += [start + (end - start) * (i + 1) / count for i in range(count)]
    return np.stack(points)


# ------------------------------------------------------------------------------------------------ apple
BOARD = np.array([0.08, -0.83, COUNTER_HEIGHT + 0.009])  # 22 x 30 x 1.8 cm
APPLE_RADIUS = 0.04
LYING = COUNTER_HEIGHT + APPLE_RADIUS - BOARD[2]  # height of an apple on the counter over the board's centre


def apple_and_board(apple_from_board: Sequence[float]) -> SceneState:
    return scene({"apple": BOARD + apple_from_board, "board": BOARD})


@pytest.mark.parametrize(
    ("apple_from_board", "expected"),
    [
        pytest.param((0.0, 0.0, 0.009 + APPLE_RADIUS), True, id="lying in the middle of the board"),
        pytest.param((0.07, 0.05, 0.009 + APPLE_RADIUS), True, id="lying elsewhere on the board"),
        pytest.param((0.0, 0.0, 0.07), True, id="at the goal point"),
        pytest.param((0.099, 0.0, 0.07), True, id="9.9 cm beside the goal point"),
        pytest.param((0.0, 0.0, 0.169), True, id="9.9 cm above the goal point"),
        pytest.param((0.101, 0.0, 0.07), False, id="10.1 cm beside the goal point"),
        pytest.param((0.0, 0.0, 0.171), False, id="10.1 cm above the goal point"),
        pytest.param((0.0, 0.0, -0.031), False, id="10.1 cm below the goal point"),
        pytest.param((0.06, 0.06, 0.13), False, id="less than 10 cm per axis, more in space"),
        pytest.param((0.11 + APPLE_RADIUS, 0.0, LYING), False, id="on the counter against the board's long side"),
        pytest.param((0.0, 0.15 + APPLE_RADIUS, LYING), False, id="on the counter against the board's short side"),
        pytest.param((0.02, 0.46, LYING), False, id="where it started"),
    ],
)
def test_apple_is_judged_by_its_distance_from_the_point_over_the_board(
    apple_from_board: Sequence[float], expected: bool
) -> None:
    assert solved("apple", apple_and_board(apple_from_board)) is expected


def test_apple_goal_moves_with_the_board() -> None:
    x, y, z = BOARD
    apple = (x, y, z + 0.05)
    assert solved("apple", scene({"apple": apple, "board": (x + 0.03, y - 0.03, z)}))
    assert not solved("apple", scene({"apple": apple, "board": (x, y + 0.3, z)}))


# ------------------------------------------------------------------------------------------------ bottle
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param((0.20, 0.72, COUNTER_HEIGHT + 0.11), True, id="standing across the sink"),
        pytest.param((0.20, 0.60, COUNTER_HEIGHT + 0.033), True, id="lying across the sink"),
        pytest.param((0.20, 0.72, COUNTER_HEIGHT + 0.26), True, id="carried over the far counter"),
        pytest.param((0.14, -0.12, COUNTER_HEIGHT + 0.11), False, id="where it started"),
        pytest.param((0.20, 0.30, COUNTER_HEIGHT + 0.26), False, id="carried over the sink"),
        pytest.param((0.20, 0.50, COUNTER_HEIGHT + 0.11), False, id="just before the far edge"),
        pytest.param((0.20, 0.38, 0.715), False, id="lying in the sink"),
        pytest.param((0.20, 0.60, COUNTER_HEIGHT - 0.01), False, id="past the edge but below the counter"),
        pytest.param((-0.30, 0.72, 0.11), False, id="on the floor in front of the far counter"),
        pytest.param((0.20, 0.72, 0.11), False, id="on the floor under the far counter"),
        pytest.param((-0.20, 0.72, COUNTER_HEIGHT + 0.11), False, id="in the air in front of the counter"),
        pytest.param((0.55, 0.72, COUNTER_HEIGHT + 0.11), False, id="in the air behind the counter"),
        pytest.param((0.20, 1.65, COUNTER_HEIGHT + 0.11), False, id="in the air past the counter's end"),
    ],
)
def test_bottle_must_be_past_the_sink_and_over_the_counter(place: Sequence[float], expected: bool) -> None:
    assert solved("bottle", scene({"bottle": place})) is expected


# ------------------------------------------------------------------------------------------------ drawer and fridge
@pytest.mark.parametrize(
    ("centimetres", "expected"), [(0.0, False), (-1.0, False), (19.0, False), (20.0, True), (40.0, True)]
)
def test_drawer_is_open_at_20_cm(centimetres: float, expected: bool) -> None:
    drawer = {"drawer": (centimetres / 100, 0.0, 0.74)}
    assert solved("drawer", scene(drawer, {"slide": centimetres / 100})) is expected


@pytest.mark.parametrize(("degrees", "expected"), [(0.0, False), (-61.0, False), (59.0, False), (61.0, True)])
def test_fridge_is_open_at_60_degrees(degrees: float, expected: bool) -> None:
    assert solved("fridge", scene({"door": (0.0, -0.35, 0.0)}, {"hinge": math.radians(degrees)})) is expected


# ------------------------------------------------------------------------------------------------ hammer
HEAD_FROM_HANDLE = 0.14  # metres
HAMMER_REST = COUNTER_HEIGHT + 0.015


def hammer(height: float, head_above_handle: float = 0.0) -> SceneState:
    """A hammer whose handle's middle is ``height`` over its rest and whose head is that much higher still."""
    pitch = -math.asin(head_above_handle / HEAD_FROM_HANDLE)  # about +y a positive turn lowers the head
    return scene({"hammer": (0.1, -0.55, HAMMER_REST + height, math.cos(pitch / 2), 0.0, math.sin(pitch / 2), 0.0)})


def swings_of(states: Sequence[SceneState]) -> float:
    measures, success = watch("hammer", states)
    swings = float(measures["swings"])
    assert bool(success) is (swings >= 3)
    return swings


@pytest.mark.parametrize(
    ("centimetres", "swings"),
    [
        pytest.param([0, *(5.5, 0) * 3], 3, id="three swings of 5.5 cm"),
        pytest.param([0, *(20, 5) * 3], 3, id="three swings that do not come down to the counter"),
        pytest.param([0, 20, 10, 20, 5, 30, 20], 3, id="three swings at different heights"),
        pytest.param([0, *(5.5, 0) * 5], 5, id="five swings"),
        pytest.param([0, *(4, 0) * 3], 0, id="three swings of 4 cm"),
        pytest.param([0, *(4, 0) * 20], 0, id="many swings of 4 cm"),
        pytest.param([0, *(5.5, 0) * 2], 2, id="two swings"),
        pytest.param([0, *(5.5, 0) * 2, 5.5], 2, id="two swings and a third rise"),
        pytest.param([0, *(5.5, 0) * 2, 5.5, 1.5], 2, id="two swings and a third that falls only 4 cm"),
        pytest.param([0, 60], 0, id="up without down"),
        pytest.param([0, 10, 6, 16, 12, 22, 18, 28], 0, id="up in steps that each fall 4 cm"),
        pytest.param([40, 25, 10], 0, id="down without up"),
        pytest.param([30, 20, 30, 20, 30, 20], 2, id="a fall before the first rise"),
        pytest.param([0, 18, 14, 18, 14, 18, 0], 1, id="trembling at the top of one swing"),
        pytest.param([0, 0], 0, id="lying still"),
    ],
)
@pytest.mark.parametrize("step", [0.002, 1.0], ids=["slow", "fast"])
def test_hammer_counts_rises_of_5_cm_followed_by_falls_of_5_cm(
    centimetres: list[float], swings: int, step: float
) -> None:
    heights = dense([(c / 100,) for c in centimetres], step)[:, 0]
    assert swings_of([hammer(height) for height in heights]) == swings


def test_hammer_lying_still_for_an_episode_is_not_swung() -> None:
    tremble = 0.001 * np.cos(np.arange(301))
    assert swings_of([hammer(height) for height in tremble]) == 0


def test_hammer_swings_are_those_of_the_head() -> None:
    tips = dense([(0.0,), *[(0.055,), (0.0,)] * 3], 0.005)[:, 0]
    assert swings_of([hammer(0.0, head_above_handle=rise) for rise in tips]) == 3
    # the handle goes up and down about a head that stays where it is
    assert swings_of([hammer(rise, head_above_handle=-rise) for rise in tips]) == 0


# ------------------------------------------------------------------------------------------------ sponge
SPONGE_REST = np.array([0.18, -0.60, COUNTER_HEIGHT + 0.015])
FLIGHT = [(0, 0, 0), (0, 0, 0.03), (0, -0.5, 0.03), (0, -0.5, 0)]


def sponge_path(knots: Sequence[Sequence[float]], step: float = 0.005) -> list[SceneState]:
    """A sponge moving through knots given from its resting place."""
    return [scene({"sponge": SPONGE_REST + offset}) for offset in dense(knots, step)]


@pytest.mark.parametrize(
    ("knots", "travel"),
    [
        pytest.param([(0, 0, 0), (0, -0.31, 0)], 0.31, id="31 cm straight"),
        pytest.param([(0, 0, 0), (0, -0.29, 0)], 0.29, id="29 cm straight"),
        pytest.param([(0, 0, 0), *[(0.08, 0, 0), (0, 0, 0)] * 2], 0.32, id="8 cm to and fro"),
        pytest.param([(0, 0, 0.005), (0, -0.31, 0.005)], 0.31, id="31 cm, tilted half a centimetre up"),
        pytest.param(FLIGHT, 0.0, id="carried 3 cm over the counter"),
        pytest.param([*FLIGHT, (0, -0.21, 0)], 0.29, id="29 cm after a flight"),
        pytest.param([(0, 0.2, 0), *FLIGHT, (0, -0.39, 0)], 0.31, id="31 cm in two strokes around a flight"),
        pytest.param([(0, 0, 0), *[(0, 0, 0.2), (0, 0, 0)] * 3], 0.0, id="up and down"),
        pytest.param([(-0.40, 0, 0), (-0.40, -0.5, 0)], 0.0, id="beyond the counter's front edge"),
        pytest.param([(0.35, 0, 0), (0.35, -0.5, 0)], 0.0, id="beyond the counter's back edge"),
        pytest.param([(0, -1.0, 0), (0, -1.5, 0)], 0.0, id="beyond the counter's end"),
        pytest.param([(-0.18, 0, 0), (-0.60, 0, 0)], 0.135, id="pushed over the counter's front edge"),
        pytest.param([(0, 0, -COUNTER_HEIGHT), (0, -0.5, -COUNTER_HEIGHT)], 0.0, id="on the floor"),
    ],
)
def test_sponge_travel_counts_while_it_lies_on_the_counter(knots: list[Sequence[float]], travel: float) -> None:
    measures, success = watch("sponge", sponge_path(knots))
    assert float(measures["travel"]) == pytest.approx(travel, abs=0.012)
    assert bool(success) is (travel >= 0.30)


def test_sponge_held_over_the_sink_has_not_wiped_the_counter() -> None:
    across = [(0.12, y, COUNTER_HEIGHT + 0.015) for y in np.arange(0.13, 0.51, 0.005)]
    assert not solved("sponge", *(scene({"sponge": place}) for place in across))


@pytest.mark.parametrize("height", [0.03, 0.3])
def test_sponge_teleported_in_the_air_has_not_wiped(height: float) -> None:
    hops = [(0, 0, 0), (0, -0.5, height), (0, 0, 0), (0, -0.5, height), (0, -0.5, 0)]
    assert not solved("sponge", *sponge_path(hops, step=10.0))


def test_sponge_trembling_for_an_episode_has_not_wiped() -> None:
    tremble = [(0.001 * (-1) ** step, 0.0, 0.0005 * (-1) ** step) for step in range(301)]
    assert not solved("sponge", *sponge_path(tremble, step=10.0))


# ------------------------------------------------------------------------------------------------ scissors, pliers
FIRM = 1.0  # newtons


def tool(name: str, degrees: float, on_a: Sequence[float] = NO_TIPS, on_b: Sequence[float] = NO_TIPS) -> SceneState:
    halves = (f"{name}_a", f"{name}_b")
    place = (0.16, -0.62, COUNTER_HEIGHT + 0.006)
    return scene(
        dict.fromkeys(halves, place), {"pin": math.radians(degrees)}, dict(zip(halves, (on_a, on_b), strict=True))
    )


@pytest.mark.parametrize("name", ["scissors", "pliers"])
@pytest.mark.parametrize(
    ("degrees", "on_a", "on_b", "expected"),
    [
        pytest.param(4.0, (0, 0, 0, FIRM), (FIRM, 0, 0, 0), True, id="squeezed by thumb and index"),
        pytest.param(-0.1, (FIRM, 0, 0, 0), (0, 0, 0, FIRM), True, id="squeezed beyond shut the other way round"),
        pytest.param(4.0, (0, 0, 0, 0.06), (0.06, 0, 0, 0), True, id="squeezed softly"),
        pytest.param(6.0, (0, 0, 0, FIRM), (FIRM, 0, 0, 0), False, id="6 degrees open"),
        pytest.param(5.7, (0, 0, 0, FIRM), (FIRM, 0, 0, 0), False, id="0.1 rad open"),
        pytest.param(40.0, (0, 0, 0, FIRM), (FIRM, 0, 0, 0), False, id="held open"),
        pytest.param(4.0, (FIRM, FIRM, 0, FIRM), NO_TIPS, False, id="tips on one half"),
        pytest.param(4.0, NO_TIPS, (FIRM, FIRM, FIRM, FIRM), False, id="tips on the other half"),
        pytest.param(4.0, NO_TIPS, NO_TIPS, False, id="untouched"),
        pytest.param(4.0, (0, 0, 0, 0.04), (0.04, 0, 0, 0), False, id="grazed"),
        pytest.param(
            4.0, (0, 0, 0, FIRM), (0.04, 0.04, 0.04, 0), False, id="squeezed on one half, grazed on the other"
        ),
    ],
)
def test_tool_must_be_closed_with_a_tip_on_each_half(
    name: str, degrees: float, on_a: Sequence[float], on_b: Sequence[float], expected: bool
) -> None:
    assert solved(name, tool(name, degrees, on_a, on_b)) is expected


def test_tool_measures_count_the_tips_on_each_half() -> None:
    measures, _ = watch("pliers", [tool("pliers", 4.0, (FIRM, 0.04, FIRM, 0), (0, 0, 0, FIRM))])
    assert (float(measures["tips_on_a"]), float(measures["tips_on_b"])) == (2, 1)


# ------------------------------------------------------------------------------------------------ all eight
SQUEEZE = ((0.0, 0.0, 0.0, FIRM), (FIRM, 0.0, 0.0, 0.0))
SOLVED = {
    "apple": [apple_and_board((0.0, 0.0, 0.07))],
    "bottle": [scene({"bottle": (0.20, 0.72, COUNTER_HEIGHT + 0.11)})],
    "drawer": [scene({"drawer": (0.3, 0.0, 0.74)}, {"slide": 0.3})],
    "fridge": [scene({"door": (0.0, -0.35, 0.0)}, {"hinge": 1.5})],
    "hammer": [hammer(height) for height in (0.0, *(0.2, 0.05) * 3)],
    "sponge": sponge_path([(0, 0, 0), (0, -0.4, 0)]),
    "scissors": [tool("scissors", 1.0, *SQUEEZE)],
    "pliers": [tool("pliers", 1.0, *SQUEEZE)],
}
UNDONE = {
    "apple": apple_and_board((0.16, 0.0, LYING)),
    "bottle": scene({"bottle": (-0.30, 0.72, 0.033)}),
    "drawer": scene({"drawer": (0.1, 0.0, 0.74)}, {"slide": 0.1}),
    "fridge": scene({"door": (0.0, -0.35, 0.0)}, {"hinge": 0.5}),
    "scissors": tool("scissors", 1.0),
    "pliers": tool("pliers", 1.0),
    "hammer": scene({"hammer": (-0.4, -0.55, 0.015)}),
    "sponge": scene({"sponge": (-0.4, -0.60, 0.015)}),
}
COUNTED = ("hammer", "sponge")  # what has been done there cannot be undone


@pytest.mark.parametrize("name", SOLVED)
def test_success_ends_when_it_is_undone_unless_it_was_counted(name: str) -> None:
    assert solved(name, *SOLVED[name])
    assert solved(name, *SOLVED[name], UNDONE[name]) is (name in COUNTED)


@pytest.mark.parametrize("name", SOLVED)
def test_lost_objects_never_solve_a_task(name: str) -> None:
    def lost(values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: torch.full_like(value, math.nan) for key, value in values.items()}

    states = [dataclasses.replace(s, bodies=lost(s.bodies), joints=lost(s.joints)) for s in SOLVED[name]]
    assert not solved(name, *states)


def random_walk(name: str, seed: int, steps: int = 60) -> list[SceneState]:
    """Objects that wander around their start, joints around their threshold, tips that push at random."""
    task, rng = get_task(name), np.random.default_rng(seed)
    start = np.array([0.18, -0.6, COUNTER_HEIGHT + 0.015, 1.0, 0.0, 0.0, 0.0])
    poses = {body: start + np.cumsum(rng.normal(0, 0.01, (steps, 7)), 0) for body in task.spec.bodies}
    joints = {joint: rng.uniform(0, 1.2, steps) for joint in task.spec.joints}
    tips = {body: rng.uniform(0, 0.1, (steps, len(FINGERTIPS))) for body in task.spec.bodies}
    return [
        scene(
            {body: values[step].tolist() for body, values in poses.items()},
            {joint: float(values[step]) for joint, values in joints.items()},
            {body: values[step].tolist() for body, values in tips.items()},
        )
        for step in range(steps)
    ]


@ALL_TASKS
def test_environments_side_by_side_are_judged_as_if_alone(env_id: str) -> None:
    walks = [random_walk(env_id, seed) for seed in range(7)]
    together, success = watch(env_id, [stacked(states) for states in zip(*walks, strict=True)])
    assert any(len(value.unique()) > 1 for value in together.values())
    for row, walk in enumerate(walks):
        alone, alone_success = watch(env_id, walk)
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            assert torch.equal(together[key][row : row + 1], value), key
        assert torch.equal(success[row : row + 1], alone_success)


@ALL_TASKS
def test_remembering_leaves_state_and_memory_as_they_were(env_id: str) -> None:
    def contents(state: SceneState, memory: Memory) -> list[torch.Tensor]:
        columns = (state.bodies, state.joints, state.tip_forces, memory)
        return [state.wrist.clone(), *(value.clone() for column in columns for value in column.values())]

    task = get_task(env_id)
    walk = random_walk(env_id, seed=0)
    memory = task.initial_memory(walk[0])
    for state in walk[1:]:
        before = contents(state, memory)
        following = task.remember(state, memory)
        task.success(task.measures(state, following))
        assert all(torch.equal(a, b) for a, b in zip(before, contents(state, memory), strict=True))
        memory = following
