"""What following the plan asks for before anything is learned: the base action a trained policy adds to.

It reads nothing but the observation and is the same for every task. Two habits (both ours, both optional) save a
learner most of its exploration: look some frames ahead, since smoothing and the wrist's drives lag by about twelve
steps, and close the fingers once the hand has arrived and the plan is about to move what it has keypoints on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from scaffold_bench.control import RESIDUAL_LIMITS
from scaffold_bench.envs.mdp import DEFAULT_FRAME_OFFSETS
from scaffold_bench.spec import WRIST_DIM

GRASP_DISTANCE = 0.03
"""The grasp is complete when the last observed frame of the plan has a keypoint this far from its start, metres."""
STANDSTILL = 0.1
"""A planned path that is shorter counts as this long when arrival is judged, metres."""
LAG_WEIGHT = 2.0
"""How much more a hand's distance from its plan speaks against arrival than the way that its plan has yet to go."""
ARRIVAL_SLOPE = 3.0
"""How steeply fingers close as the hand arrives: from no way done to a third of it."""


@dataclass(frozen=True)
class PlanFollowing:
    """The base action, a function of the observation.

    Attributes:
        lead: the wrist goes to the plan this many steps ahead rather than to the next frame: 0 (no lead) or one of
            the observation's frame offsets.
        grasp: finger command, 0 (open) to 1, once the hand has arrived and the plan moves a keypoint within the
            observed frames (40 steps).
    """

    lead: int = 0
    grasp: float = 0.0

    def __post_init__(self) -> None:
        if self.lead and self.lead not in DEFAULT_FRAME_OFFSETS:
            raise ValueError(f"lead must be 0 or one of the frame offsets {DEFAULT_FRAME_OFFSETS}, got {self.lead}")
        if not 0.0 <= self.grasp <= 1.0:
            raise ValueError(f"grasp must be a finger command between 0 and 1, got {self.grasp}")

    def __call__(self, observation: torch.Tensor, layout: Mapping[str, slice], actions: int) -> torch.Tensor:
        """Base actions (n, A) at observations (n, D) as they come.

        Args:
            layout: names of the observation's slices. actions: number A of them.
        """
        count, frames = len(observation), len(DEFAULT_FRAME_OFFSETS)
        base = observation.new_zeros(count, actions)
        if self.lead:
            wrist = observation[:, layout["planned_wrist"]].reshape(count, frames, WRIST_DIM)
            ahead = wrist[:, DEFAULT_FRAME_OFFSETS.index(self.lead)] - wrist[:, 0]
            base[:, :WRIST_DIM] = (ahead / ahead.new_tensor(RESIDUAL_LIMITS)).clamp(-1.0, 1.0)
        if self.grasp:
            first = observation[:, layout["initial_keypoints"]].reshape(count, -1, 3)
            planned = observation[:, layout["planned_keypoints"]].reshape(count, frames, -1, 3)
            moved = (planned[:, -1] - first).norm(dim=2).amax(1)
            path = observation[:, layout["planned_wrist"]].reshape(count, frames, WRIST_DIM)[..., :3]
            closing = (moved / GRASP_DISTANCE).clamp(max=1.0) * arrival(path, observation[:, layout["wrist"]], planned)
            base[:, WRIST_DIM:] = self.grasp * closing[:, None]
        return base


def arrival(path: torch.Tensor, wrist: torch.Tensor, planned: torch.Tensor) -> torch.Tensor:
    """Whether the hand is where it takes hold: 0 on its way there, 1 at a standstill and while it carries something.

    On its way the planned hand moves relative to the keypoints; later it stays with them, with one of them or, if the
    plan is noisy, with their mean. The share of its path on which it does not, and its lag behind the plan, tell.

    Args:
        path: (n, F, 3) where the hand will be. wrist: (n, 6) wrist joints now. planned: (n, F, K, 3) keypoints.
    """
    points = torch.cat([planned, planned.mean(2, keepdim=True)], dim=2)
    relative = path[:, :, None] - points
    approach = (relative[:, -1] - relative[:, 0]).norm(dim=2).amin(1)
    lag = (wrist[:, :3] - path[:, 0]).norm(dim=1)
    length = (path[:, 1:] - path[:, :-1]).norm(dim=2).sum(1)
    done = 1.0 - (approach + LAG_WEIGHT * lag) / length.clamp(min=STANDSTILL)
    arrived: torch.Tensor = (ARRIVAL_SLOPE * done).clamp(0.0, 1.0)
    return arrived
