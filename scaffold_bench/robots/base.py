"""What the benchmark asks of a robot: its joints, where its wrist is, and the joint targets that a wrist and a finger
command lead to. No simulator is imported here; :mod:`.agent` builds a robot in one.

Environments, tasks and plans ask here how many joints and fingers there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from scaffold_bench.spec import WRIST_DIM


class Robot(ABC):
    """A hand, and whatever moves it.

    Class attributes:
        uid: the name under which ManiSkill knows the agent that builds it.
        agent_module: the module that registers the agent; imported when the robot is built.
        joints: names of the D joints, in the simulator's order.
        fingers: a name for each finger. Everything with one entry per finger or fingertip is in this order.
        wrist_link: name of the link that the wrist moves. tip_links: name of every fingertip's link.

    Args:
        lower, upper: (D,) joint limits, metres and radians; the robot's tensors live on their device.
    """

    uid: ClassVar[str]
    agent_module: ClassVar[str]
    joints: ClassVar[tuple[str, ...]]
    fingers: ClassVar[tuple[str, ...]]
    wrist_link: ClassVar[str]
    tip_links: ClassVar[tuple[str, ...]]

    def __init__(self, lower: torch.Tensor, upper: torch.Tensor) -> None:
        if not lower.shape == upper.shape == (len(self.joints),):
            raise ValueError(f"{self.uid} has {len(self.joints)} joints, got limits of {tuple(lower.shape)}")
        self.lower, self.upper = lower, upper

    @abstractmethod
    def wrist(self, joints: torch.Tensor) -> torch.Tensor:
        """The wrist (n, 6) for joint positions (n, D): metres and the angles of Rx Ry Rz."""

    @abstractmethod
    def rest_pose(self, wrist: torch.Tensor) -> torch.Tensor:
        """Joint positions (n, D) at the start of an episode: wrists (n, 6) as given, fingers open."""

    @abstractmethod
    def targets(self, wrist: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        """Normalised joint targets (n, D) within [-1, 1].

        Args:
            wrist: (n, 6) where the wrist should go.
            commands: (n, 1) one finger command for all fingers, or (n, fingers) one each: 0 and below is fully open, 1
                fully closed, target = open + 2 command (paper, B.2).
        """

    def normalize(self, joints: torch.Tensor) -> torch.Tensor:
        """Joint positions (n, D) in normalised joint range, [-1, 1] between the limits."""
        return 2.0 * (joints - self.lower) / (self.upper - self.lower) - 1.0

    def denormalize(self, target: torch.Tensor) -> torch.Tensor:
        """Inverse of :meth:`normalize`."""
        return self.lower + 0.5 * (target + 1.0) * (self.upper - self.lower)


class FloatingHand(Robot):
    """A hand on six joints of its own, which come first and are the wrist. A finger is open at its lower limits.

    Class attributes:
        finger_of_joint: index of the finger that each joint after the wrist's belongs to.
    """

    finger_of_joint: ClassVar[tuple[int, ...]]

    def __init__(self, lower: torch.Tensor, upper: torch.Tensor) -> None:
        super().__init__(lower, upper)
        self._finger_of_joint = torch.tensor(self.finger_of_joint, device=lower.device)

    def wrist(self, joints: torch.Tensor) -> torch.Tensor:
        return joints[:, :WRIST_DIM]

    def rest_pose(self, wrist: torch.Tensor) -> torch.Tensor:
        return torch.cat([wrist, self.lower[WRIST_DIM:].expand(len(wrist), -1)], dim=1)

    def targets(self, wrist: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        lower, upper = self.lower[:WRIST_DIM], self.upper[:WRIST_DIM]
        of_wrist = 2.0 * (wrist - lower) / (upper - lower) - 1.0
        each = commands.expand(-1, len(self.fingers)) if commands.shape[1] == 1 else commands
        of_fingers = (-1.0 + 2.0 * each)[:, self._finger_of_joint]
        return torch.cat([of_wrist, of_fingers], dim=1).clamp(-1.0, 1.0)
