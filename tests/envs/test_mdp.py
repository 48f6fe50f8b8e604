import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from scaffold_bench.control.geometry import rotate
from scaffold_bench.envs import mdp
from scaffold_bench.robots.floating_allegro import FloatingAllegro

BODIES, KEYPOINTS = 4, 3
COORDINATES = st.floats(-5, 5)
PROPERTY = settings(deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def layout_of(keypoints, frames):
    return mdp.observation_layout(mdp.Sizes.of(FloatingAllegro, keypoints, frames))


def rewards(errors=(0.0,), tip_force=(0.0,) * 4, target=(0.0,) * 22):
    terms = mdp.reward_terms(*(torch.tensor([row], dtype=torch.float64) for row in (errors, tip_force, target)))
    return {name: term.item() for name, term in terms.items()}


def random_poses(rng, *shape, dtype=torch.float64):
    quaternions = rng.normal(size=(*shape, 4))
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return torch.tensor(np.concatenate([rng.uniform(-3, 3, (*shape, 3)), quaternions], axis=-1), dtype=dtype)


# --- reward


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((0.0, 0.0), 1.0),
        ((0.05, 0.15), math.exp(-2)),  # mean 0.10 m; 20 * 0.10 = 2
        ((0.05,), math.exp(-1)),
        ((0.0, 0.0, 0.3), math.exp(-2)),  # mean over three, not the maximum
    ],
)
def test_tracking_reward_decays_with_the_mean_error(errors, expected):
    assert rewards(errors=errors)["tracking"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tip_force", "total"),
    [
        ((0.5, 1.0, 3.0, 0.0), 2.5),  # 0.5 + 1 + min(3, 1) + 0
        ((10.0, 0.0, 0.0, 0.0), 1.0),
        ((0.2, 0.3, 0.0, 0.0), 0.5),
        ((9.0, 9.0, 9.0, 9.0), 4.0),
    ],
)
def test_contact_reward_sums_the_tips_capped_at_one_newton_each(tip_force, total):
    assert rewards(tip_force=tip_force)["contact"] == pytest.approx(math.exp(-1 / (total + 1e-6)), rel=1e-12)


def test_contact_reward_is_zero_and_finite_without_contact():
    assert rewards()["contact"] == 0.0


def test_action_term_is_the_squared_norm_of_the_target():
    # 4 * 0.5^2 + (-1)^2 = 2
    assert rewards(target=[0.5] * 4 + [-1.0] + [0.0] * 17)["action"] == pytest.approx(2.0)


def test_total_reward_by_hand():
    terms = mdp.reward_terms(
        torch.tensor([[0.05, 0.15]]), torch.tensor([[0.5, 1.0, 3.0, 0.0]]), torch.tensor([[0.5] * 4 + [0.0] * 18])
    )
    # exp(-20 * 0.10) + exp(-1 / 2.500001) - 0.001 * (4 * 0.25) = 0.135335 + 0.670320 - 0.001
    assert mdp.total_reward(terms).item() == pytest.approx(0.804655, abs=1e-6)


@pytest.mark.parametrize(("term", "weight"), [("tracking", 1.0), ("contact", 1.0), ("action", -0.001)])
def test_total_reward_weighs_each_term(term, weight):
    terms = {name: torch.zeros(1, dtype=torch.float64) for name in ("tracking", "contact", "action")}
    terms[term] += 8.0
    assert mdp.total_reward(terms).item() == pytest.approx(8.0 * weight)


def test_tracking_errors_are_distances():
    keypoints = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]])
    planned = torch.tensor([[[1.0, 5.0, 7.0], [2.0, 3.0, 6.0]]])
    assert torch.equal(mdp.tracking_errors(keypoints, planned), torch.tensor([[5.0, 7.0]]))


# --- contact forces


def tip_forces(**by_tip_and_body):
    forces = torch.zeros(1, 4, BODIES, 3)
    for place, force in by_tip_and_body.items():
        forces[0, int(place[1]), int(place[3])] = torch.tensor(force)
    return forces


def test_force_on_a_body_without_keypoints_does_not_count():
    forces = tip_forces(t0b0=[0.0, 0.0, 2.0], t1b2=[0.0, 9.0, 0.0])
    measured = mdp.contact_forces(forces, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    assert torch.equal(measured, torch.tensor([[2.0, 0.0, 0.0, 0.0]]))


def test_a_body_with_two_keypoints_counts_once():
    forces = tip_forces(t3b1=[0.0, 0.0, 0.4])
    touchable = torch.zeros(1, BODIES)
    touchable[0, [1, 1]] = 1.0
    measured = mdp.contact_forces(forces, touchable)
    torch.testing.assert_close(measured, torch.tensor([[0.0, 0.0, 0.0, 0.4]]))


def test_forces_of_one_tip_on_two_bodies_add_as_vectors():
    forces = tip_forces(t1b0=[3.0, 0.0, 0.0], t1b2=[0.0, 4.0, 0.0], t2b0=[1.0, 0.0, 0.0], t2b2=[-1.0, 0.0, 0.0])
    measured = mdp.contact_forces(forces, torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    assert torch.equal(measured, torch.tensor([[0.0, 5.0, 0.0, 0.0]]))


# --- observation


@pytest.mark.parametrize("keypoints", [1, 2, 3])
def test_observation_has_130_plus_21_numbers_per_keypoint(keypoints):
    layout = layout_of(keypoints, len(mdp.DEFAULT_FRAME_OFFSETS))
    assert {name: piece.stop - piece.start for name, piece in layout.items()} == {
        "joint_position": 22,
        "joint_velocity": 22,
        "smoothed_target": 22,
        "fingertip_poses": 28,
        "initial_keypoints": 3 * keypoints,
        "keypoints": 3 * keypoints,
        "planned_keypoints": 15 * keypoints,
        "wrist": 6,
        "planned_wrist": 30,
    }
    indices = [i for piece in layout.values() for i in range(piece.start, piece.stop)]
    assert indices == list(range(130 + 21 * keypoints))


def test_observation_order_is_that_of_the_paper():
    assert list(layout_of(1, 5)) == [
        "joint_position",
        "joint_velocity",
        "smoothed_target",
        "fingertip_poses",
        "initial_keypoints",
        "keypoints",
        "planned_keypoints",
        "wrist",
        "planned_wrist",
    ]


@pytest.mark.parametrize("keypoints", [1, 2, 3])
def test_the_authors_frames_give_their_size_plus_our_wrist_row(keypoints):
    assert mdp.AUTHORS_FRAME_OFFSETS == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 30, 40, 50)
    layout = layout_of(keypoints, len(mdp.AUTHORS_FRAME_OFFSETS))
    assert layout["planned_wrist"].stop - 6 == 178 + 48 * keypoints


def test_every_number_has_its_piece_s_bound():
    layout = layout_of(2, 5)
    bounds = mdp.observation_bounds(layout)
    assert bounds.shape == (172,)
    for piece in mdp.PIECES:
        assert set(bounds[layout[piece.name]].tolist()) == {piece.bound}
    assert bounds[layout["joint_velocity"]][0] == 200
    assert bounds[layout["smoothed_target"]][0] == 1


def observed(count=1, **given):
    """Everything that is observed: zeros, but for what is given; one keypoint, one frame."""
    sizes = mdp.Sizes.of(FloatingAllegro, 1, 1)
    zeros = {piece.name: torch.zeros(count, piece.count(sizes)) for piece in mdp.PIECES}
    return mdp.Observed(**{**zeros, **given})


def test_pieces_are_flattened_in_order():
    layout, sizes = layout_of(1, 1), mdp.Sizes.of(FloatingAllegro, 1, 1)
    total = sum(piece.count(sizes) for piece in mdp.PIECES)
    tips, wrist = torch.arange(56.0).reshape(2, 4, 7), torch.arange(12.0).reshape(2, 6)
    flat = mdp.observe(observed(2, fingertip_poses=tips, wrist=wrist), torch.full((total,), 100.0))
    assert torch.equal(flat[:, layout["fingertip_poses"]], torch.arange(56.0).reshape(2, 28))
    assert torch.equal(flat[:, layout["wrist"]], wrist)
    assert float(flat.sum()) == float(tips.sum() + wrist.sum())


@pytest.mark.parametrize(
    ("value", "seen"), [(1.5, 1.5), (7.0, 2.0), (-7.0, -2.0), (math.inf, 2.0), (-math.inf, -2.0), (math.nan, 0.0)]
)
def test_observation_is_clipped_and_finite(value, seen):
    layout, wrist = layout_of(1, 1), torch.tensor([[value, 7.0, 0.0, 0.0, 0.0, 0.0]])
    bounds = torch.full((layout["planned_wrist"].stop,), 5.0)
    bounds[layout["wrist"].start] = 2.0
    flat = mdp.observe(observed(wrist=wrist), bounds)
    assert torch.equal(flat[:, layout["wrist"]], torch.tensor([[seen, 5.0, 0.0, 0.0, 0.0, 0.0]]))


def test_the_environment_s_docstring_has_a_row_for_every_piece():
    from scaffold_bench.envs.env import ScaffoldEnv

    for piece in mdp.PIECES:
        assert f"| {piece.name} | " in ScaffoldEnv.__doc__
    assert "{" not in ScaffoldEnv.__doc__


# --- keypoints on bodies


@PROPERTY
@given(SEEDS)
def test_rotation_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    quaternions, vectors = random_poses(rng, 5)[:, 3:], rng.normal(size=(5, 3))
    expected = Rotation.from_quat(quaternions.numpy()[:, [1, 2, 3, 0]]).apply(vectors)
    np.testing.assert_allclose(rotate(quaternions, torch.tensor(vectors)), expected, atol=1e-12)


@PROPERTY
@given(SEEDS, arrays(np.float64, (2, KEYPOINTS, 3), elements=COORDINATES))
def test_attaching_and_tracking_are_inverse(seed, positions):
    rng = np.random.default_rng(seed)
    poses, positions = random_poses(rng, 2, BODIES), torch.tensor(positions)
    attached_to = torch.tensor(rng.integers(BODIES, size=(2, KEYPOINTS)))
    offsets = mdp.attach_keypoints(poses, attached_to, positions)
    torch.testing.assert_close(mdp.track_keypoints(poses, attached_to, offsets), positions, rtol=0, atol=1e-12)
    back = mdp.attach_keypoints(poses, attached_to, mdp.track_keypoints(poses, attached_to, positions))
    torch.testing.assert_close(back, positions, rtol=0, atol=1e-12)


def test_a_keypoint_rides_on_its_own_body():
    half = math.sqrt(0.5)
    turned_left = [1.0, 2.0, 3.0, half, 0.0, 0.0, half]
    world = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    offsets = torch.tensor([[[0.1, 0.0, 0.5], [0.1, 0.0, 0.5]]])
    tracked = mdp.track_keypoints(torch.tensor([[turned_left, world]]), torch.tensor([[0, 1]]), offsets)
    torch.testing.assert_close(tracked, torch.tensor([[[1.0, 2.1, 3.5], [0.1, 0.0, 0.5]]]))


# --- batches


@PROPERTY
@given(SEEDS, st.integers(1, 17))
def test_a_batch_equals_a_loop_bit_for_bit(seed, count):
    rng = np.random.default_rng(seed)

    def draw(*shape, scale=1.0):
        return torch.tensor(rng.normal(scale=scale, size=(count, *shape)), dtype=torch.float32)

    poses = random_poses(rng, count, BODIES, dtype=torch.float32)
    attached_to = torch.tensor(rng.integers(BODIES, size=(count, KEYPOINTS)))
    touchable = torch.tensor(rng.integers(2, size=(count, BODIES)), dtype=torch.float32)
    points, planned = draw(KEYPOINTS, 3), draw(KEYPOINTS, 3)
    inputs = (poses, attached_to, touchable, points, planned, draw(4, BODIES, 3), draw(22), draw(22, scale=30.0))

    layout_size = layout_of(1, 1)["planned_wrist"].stop

    def everything(poses, attached_to, touchable, points, planned, forces, target, joints):
        errors = mdp.tracking_errors(points, planned)
        tips = mdp.contact_forces(forces, touchable)
        terms = mdp.reward_terms(errors, tips, target)
        return {
            "track": mdp.track_keypoints(poses, attached_to, points),
            "attach": mdp.attach_keypoints(poses, attached_to, points),
            "errors": errors,
            "tips": tips,
            **terms,
            "total": mdp.total_reward(terms),
            "observation": mdp.observe(observed(len(joints), joint_position=joints), torch.full((layout_size,), 20.0)),
        }

    batch = everything(*inputs)
    for i in range(count):
        alone = everything(*(tensor[i : i + 1] for tensor in inputs))
        assert [name for name in batch if not torch.equal(batch[name][i : i + 1], alone[name])] == []
