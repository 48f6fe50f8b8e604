"""The plan-conditioned MDP as pure functions on tensors with the number of environments ``n`` in front.

Sums over keypoints, fingertips and coordinates are made in a fixed order rather than left to a reduction kernel, so
that an environment's numbers do not depend on how many run beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from scaffold_bench.spec import FINGERTIPS, WRIST_DIM

HAND_DOF = 22
DEFAULT_FRAME_OFFSETS = (1, 5, 10, 20, 40)
"""Future frames of the plan in the observation (count: paper, Table 4; choice: ours). Offset 1 is the frame the next
step is rewarded against; the wrist lags its target by about 12 steps (measured)."""
AUTHORS_FRAME_OFFSETS = (*range(10), 20, 30, 40, 50)
"""The 14 frames of the authors' code."""

TRACKING_SCALE = 20.0  # 1/m (paper, eq. 3; authors' code)
CONTACT_FORCE_CAP = 1.0  # N per fingertip (authors' code)
CONTACT_EPSILON = 1e-6  # N (authors' code)
ACTION_COST = 0.001  # (authors' code)
LOST = 1000.0  # metres (ours): the tracking error of a keypoint whose body the physics lost
REWARD_WEIGHTS = {"tracking": 1.0, "contact": 1.0, "action": -ACTION_COST}

OBSERVATION_BOUNDS = {
    "joint_position": 20.0,
    "joint_velocity": 200.0,
    "smoothed_target": 1.0,
    "fingertip_poses": 20.0,
    "initial_keypoints": 20.0,
    "keypoints": 20.0,
    "planned_keypoints": 20.0,
    "wrist": 20.0,
    "planned_wrist": 20.0,
}
"""Observations are clipped to plus or minus these (rad or m, rad/s or m/s): only a lost object or an exploded joint
reaches them."""


def observation_layout(num_keypoints: int, frames: int) -> dict[str, slice]:
    """Name the pieces of the observation (paper, Table 4), 130 + 21 K numbers with five frames.

    Args:
        num_keypoints: K.
        frames: number F of future plan frames.

    Returns:
        Slices by name, in order. ``planned_keypoints`` is F x K x 3 and ``planned_wrist`` is F x 6, flattened.
    """
    sizes = {
        "joint_position": HAND_DOF,
        "joint_velocity": HAND_DOF,
        "smoothed_target": HAND_DOF,
        "fingertip_poses": 7 * len(FINGERTIPS),
        "initial_keypoints": 3 * num_keypoints,
        "keypoints": 3 * num_keypoints,
        "planned_keypoints": 3 * num_keypoints * frames,
        "wrist": WRIST_DIM,
        "planned_wrist": WRIST_DIM * frames,
    }
    layout, start = {}, 0
    for name, size in sizes.items():
        layout[name] = slice(start, start + size)
        start += size
    return layout


def observation_bounds(layout: Mapping[str, slice]) -> np.ndarray:
    """Return the upper bound (D,) of every observed number; the lower bound is its negative."""
    bounds = np.empty(max(piece.stop for piece in layout.values()), dtype=np.float32)
    for name, piece in layout.items():
        bounds[piece] = OBSERVATION_BOUNDS[name]
    return bounds


def observe(pieces: Sequence[torch.Tensor], bounds: torch.Tensor) -> torch.Tensor:
    """Concatenate the observation's pieces, each (n, ...), in layout order, and clip to ``bounds`` (D,)."""
    flat = torch.cat([piece.reshape(len(piece), -1) for piece in pieces], dim=1)
    return torch.nan_to_num(torch.minimum(torch.maximum(flat, -bounds), bounds))


def ordered_sum(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum over an axis by halving it, always in the same order."""
    carried: torch.Tensor | None = None
    while (width := values.shape[dim]) > 1:
        half = width // 2
        if width % 2:
            last = values.narrow(dim, width - 1, 1)
            carried = last if carried is None else carried + last
        values = values.narrow(dim, 0, half) + values.narrow(dim, half, half)
    return (values if carried is None else values + carried).squeeze(dim)


def norm(vectors: torch.Tensor) -> torch.Tensor:
    """Euclidean norm over the last axis (..., 3) -> (...)."""
    x, y, z = vectors.unbind(-1)
    return torch.sqrt(x * x + y * y + z * z)


def rotate(quaternion: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Rotate vectors (..., 3) by unit quaternions (..., 4), w first."""
    w, axis = quaternion[..., :1], quaternion[..., 1:]
    twice: torch.Tensor = 2.0 * torch.linalg.cross(axis, vector)
    turned: torch.Tensor = vector + w * twice + torch.linalg.cross(axis, twice)
    return turned


def track_keypoints(body_poses: torch.Tensor, attached_to: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """World positions of keypoints that ride on bodies.

    Args:
        body_poses: (n, B, 7) poses of the tracked bodies; the last one is the world (identity).
        attached_to: (n, K) index of each keypoint's body.
        offsets: (n, K, 3) keypoint positions in their body's frame.

    Returns:
        (n, K, 3) positions, metres.
    """
    poses = torch.gather(body_poses, 1, attached_to[..., None].expand(-1, -1, 7))
    return poses[..., :3] + rotate(poses[..., 3:], offsets)


def attach_keypoints(body_poses: torch.Tensor, attached_to: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`track_keypoints`: offsets (n, K, 3) of world positions (n, K, 3) in their body's frame."""
    poses = torch.gather(body_poses, 1, attached_to[..., None].expand(-1, -1, 7))
    conjugate = poses[..., 3:] * poses.new_tensor([1.0, -1.0, -1.0, -1.0])
    return rotate(conjugate, positions - poses[..., :3])


def tracking_errors(keypoints: torch.Tensor, planned: torch.Tensor) -> torch.Tensor:
    """Distance (n, K) of each keypoint (n, K, 3) from its plan, metres; a keypoint lost to infinity is LOST away."""
    return torch.nan_to_num(norm(keypoints - planned), nan=LOST, posinf=LOST).clamp(max=LOST)


def contact_forces(tip_forces: torch.Tensor, touchable: torch.Tensor) -> torch.Tensor:
    """Force magnitude (n, 4) of each fingertip on the bodies the keypoints sit on, newtons.

    Args:
        tip_forces: (n, 4, B, 3) force of each fingertip on each tracked body.
        touchable: (n, B) 1 where a keypoint sits on the body, else 0. A body counts once (the authors' code counts
            it once per keypoint).
    """
    weighted = tip_forces * touchable[:, None, :, None]
    return torch.nan_to_num(norm(ordered_sum(weighted, 2)))


def reward_terms(errors: torch.Tensor, tip_force: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """The unweighted reward terms (n,); see :data:`REWARD_WEIGHTS` (paper, eq. 3; authors' code).

    Args:
        errors: (n, K) tracking errors, metres.
        tip_force: (n, 4) fingertip forces on the keypoints' bodies, newtons.
        target: (n, 22) smoothed normalised joint target u.

    Returns:
        ``tracking`` exp(-20 mean error), ``contact`` exp(-1 / (c + 1e-6)) with c the sum of the tips' forces capped
        at 1 N each, and ``action`` the squared norm of u.
    """
    mean_error = ordered_sum(errors, 1) / errors.shape[1]
    contact = ordered_sum(tip_force.clamp(max=CONTACT_FORCE_CAP), 1)
    return {
        "tracking": torch.exp(-TRACKING_SCALE * mean_error),
        "contact": torch.exp(-1.0 / (contact + CONTACT_EPSILON)),
        "action": ordered_sum(target * target, 1),
    }


def total_reward(terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Weighted sum (n,) of the reward terms."""
    total = torch.zeros_like(terms["tracking"])
    for name, weight in REWARD_WEIGHTS.items():
        total = total + weight * terms[name]
    return total


def annealed_threshold(initial: float, progress: float) -> float:
    """Termination threshold, annealed linearly from epsilon_0 to epsilon_0 / 2 over training (paper, 3.3).

    Args:
        initial: epsilon_0, metres.
        progress: share of training done, in [0, 1] (clipped).
    """
    return initial * (1.0 - 0.5 * min(max(progress, 0.0), 1.0))
