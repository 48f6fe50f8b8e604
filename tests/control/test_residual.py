import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scaffold_bench.control import RESIDUAL_LIMITS, SMOOTHING, compose, smooth
from scaffold_bench.robots.base import FloatingHand
from scaffold_bench.robots.floating_allegro import FloatingAllegro

FINGER_OF_JOINT = torch.tensor([0, 1, 2, 3] * 4)
# No two joints share a limit, so that mixed-up joints show.
LIMITS = FloatingAllegro(
    lower=torch.cat([torch.tensor([-10.0, -9.0, -8.0, -12.5, -12.0, -11.0]), torch.linspace(-0.6, 0.3, 16)]),
    upper=torch.cat([torch.tensor([10.0, 11.0, 9.0, 12.5, 11.5, 13.0]), torch.linspace(0.9, 1.7, 16)]),
)
JOINTS = 22
# float32 keeps seven digits of a wrist range of 25
TOLERANCE = 1e-5


def joint_targets(plan: torch.Tensor, action: torch.Tensor, robot: FloatingHand) -> torch.Tensor:
    return robot.targets(*compose(plan, action))


def normalize(joints: torch.Tensor, robot: FloatingHand) -> torch.Tensor:
    return robot.normalize(joints)


def denormalize(target: torch.Tensor, robot: FloatingHand) -> torch.Tensor:
    return robot.denormalize(target)


PROPERTY = settings(deadline=None)
COUNTS = st.integers(1, 9)
UNIT = st.floats(-1, 1, width=32)


def tensors(count, size, elements=UNIT):
    return arrays(np.float32, (count, size), elements=elements).map(torch.from_numpy)


def batches(*columns):
    """Tensors (n, size) with a common n, one per (size, elements)."""
    return COUNTS.flatmap(lambda n: st.tuples(*(tensors(n, size, elements) for size, elements in columns)))


PLAN = (6, st.floats(-5, 5, width=32))
ANY_PLAN = (6, st.floats(-1000, 1000, width=32))
ANY_COMMAND = st.floats(-1000, 1000, width=32)


def plan_and_action(plan=PLAN, elements=UNIT):
    return st.sampled_from([7, 10]).flatmap(lambda size: batches(plan, (size, elements)))


def command_target(command, plan=(0.0,) * 6):
    return joint_targets(torch.tensor([plan]), torch.tensor([[0.0] * 6 + list(command)]), LIMITS)[0, 6:]


@PROPERTY
@given(plan_and_action())
def test_zero_action_follows_the_plan_with_an_open_hand(case):
    plan, action = case
    joints = denormalize(joint_targets(plan, torch.zeros_like(action), LIMITS), LIMITS)
    torch.testing.assert_close(joints[:, :6], plan, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(joints[:, 6:], LIMITS.lower[6:].expand(len(plan), -1), rtol=0, atol=0)


@PROPERTY
@given(plan_and_action())
def test_residual_moves_each_axis_by_its_own_share_of_its_limit(case):
    plan, action = case
    joints = denormalize(joint_targets(plan, action, LIMITS), LIMITS)
    expected = plan + action[:, :6] * torch.tensor([0.1, 0.1, 0.1, 1.0, 1.0, 1.0])
    torch.testing.assert_close(joints[:, :6], expected, rtol=0, atol=TOLERANCE)


def test_residual_limits_are_a_tenth_of_a_metre_and_one_radian():
    assert RESIDUAL_LIMITS == (0.1, 0.1, 0.1, 1.0, 1.0, 1.0)


@PROPERTY
@given(plan_and_action(ANY_PLAN, ANY_COMMAND))
def test_target_stays_in_normalised_range_whatever_comes_in(case):
    target = joint_targets(*case, LIMITS)
    assert target.shape == (len(case[0]), JOINTS)
    assert target.min() >= -1
    assert target.max() <= 1


@PROPERTY
@given(plan_and_action(elements=ANY_COMMAND))
def test_action_out_of_range_is_clipped(case):
    plan, action = case
    assert torch.equal(joint_targets(plan, action, LIMITS), joint_targets(plan, action.clamp(-1, 1), LIMITS))


def test_inputs_are_left_alone():
    plan, action = torch.full((1, 6), 0.5), torch.full((1, 7), 7.0)
    joint_targets(plan, action, LIMITS)
    assert torch.equal(plan, torch.full((1, 6), 0.5))
    assert torch.equal(action, torch.full((1, 7), 7.0))


@PROPERTY
@given(st.floats(-1, 0, width=32))
def test_command_up_to_zero_is_fully_open(command):
    assert torch.equal(command_target([command]), -torch.ones(16))


@pytest.mark.parametrize(("command", "target"), [(0.25, -0.5), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0)])
def test_command_closes_linearly_from_zero_to_one(command, target):
    assert torch.equal(command_target([command]), torch.full((16,), target))


@PROPERTY
@given(UNIT, UNIT)
def test_closing_is_monotone(first, second):
    low, high = sorted((first, second))
    assert torch.all(command_target([low]) <= command_target([high]))


@pytest.mark.parametrize("finger", range(4))
def test_a_finger_command_moves_that_finger_only(finger):
    command = [0.0] * 4
    command[finger] = 1.0
    expected = torch.where(finger == FINGER_OF_JOINT, 1.0, -1.0)
    assert torch.equal(command_target(command), expected)


def test_joints_find_their_finger_in_any_joint_order():
    order = torch.tensor([3, 0, 0, 1, 2, 2, 1, 3, 0, 1, 2, 3, 3, 2, 1, 0])

    class Shuffled(FloatingAllegro):
        finger_of_joint = tuple(order.tolist())

    limits = Shuffled(LIMITS.lower, LIMITS.upper)
    action = torch.tensor([[0.0] * 6 + [0.0, 0.25, 0.5, 1.0]])
    closing = torch.tensor([-1.0, -0.5, 0.0, 1.0])
    assert torch.equal(joint_targets(torch.zeros(1, 6), action, limits)[0, 6:], closing[order])


@PROPERTY
@given(UNIT, plan_and_action())
def test_one_command_equals_four_equal_ones(command, case):
    plan, residual = case[0], case[1][:, :6]
    one = torch.cat([residual, torch.full((len(plan), 1), command)], dim=1)
    four = torch.cat([residual, torch.full((len(plan), 4), command)], dim=1)
    assert torch.equal(joint_targets(plan, one, LIMITS), joint_targets(plan, four, LIMITS))


@PROPERTY
@given(plan_and_action())
def test_a_batch_equals_a_loop_bit_for_bit(case):
    plan, action = case
    target = joint_targets(plan, action, LIMITS)
    rows = [slice(i, i + 1) for i in range(len(plan))]
    assert torch.equal(target, torch.cat([joint_targets(plan[i], action[i], LIMITS) for i in rows]))
    previous = target.flip(0)
    assert torch.equal(smooth(previous, target), torch.cat([smooth(previous[i], target[i]) for i in rows]))
    assert torch.equal(denormalize(target, LIMITS), torch.cat([denormalize(target[i], LIMITS) for i in rows]))
    joints = denormalize(target, LIMITS)
    assert torch.equal(normalize(joints, LIMITS), torch.cat([normalize(joints[i], LIMITS) for i in rows]))


def test_one_smoothing_step_keeps_nine_tenths_of_the_previous_target():
    assert SMOOTHING == 0.9
    torch.testing.assert_close(
        smooth(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])), torch.tensor([[0.9, 0.1]])
    )


@PROPERTY
@given(batches((JOINTS, UNIT), (JOINTS, UNIT)), st.integers(0, 40))
def test_smoothing_approaches_a_held_target_geometrically(case, steps):
    start, target = case
    value = start
    for _ in range(steps):
        value = smooth(value, target)
    torch.testing.assert_close(value - target, 0.9**steps * (start - target), rtol=0, atol=2e-6)


@PROPERTY
@given(batches((JOINTS, UNIT)))
def test_normalise_inverts_denormalise(case):
    (target,) = case
    torch.testing.assert_close(normalize(denormalize(target, LIMITS), LIMITS), target, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("share", "normalised"), [(0.0, -1.0), (0.25, -0.5), (0.5, 0.0), (1.0, 1.0)])
def test_normalised_range_runs_from_lower_to_upper_limit(share, normalised):
    joints = (LIMITS.lower + share * (LIMITS.upper - LIMITS.lower))[None]
    torch.testing.assert_close(normalize(joints, LIMITS), torch.full((1, JOINTS), normalised))
    torch.testing.assert_close(denormalize(torch.full((1, JOINTS), normalised), LIMITS), joints, rtol=0, atol=TOLERANCE)


def test_a_robot_refuses_limits_of_another():
    with pytest.raises(ValueError, match="has 22 joints, got limits of"):
        FloatingAllegro(LIMITS.lower[:-1], LIMITS.upper[:-1])


def test_at_rest_the_wrist_is_where_it_is_put_and_the_fingers_are_open():
    wrist = torch.arange(12.0).reshape(2, 6)
    joints = LIMITS.rest_pose(wrist)
    assert torch.equal(LIMITS.wrist(joints), wrist)
    assert torch.equal(joints[:, 6:], LIMITS.lower[6:].expand(2, -1))
