"""Builds a robot in a ManiSkill scene."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from mani_skill.agents.base_agent import BaseAgent
from mani_skill.agents.registration import REGISTERED_AGENTS

from scaffold_bench.robots.base import Robot


class HandAgent(BaseAgent):  # type: ignore[misc]  # mani_skill is untyped
    """ManiSkill agent of a :class:`Robot`. Its one controller takes absolute joint positions.

    A subclass names its robot, gives the URDF and the controller's gains, and is registered with ``register_agent``.

    Attributes:
        hand: the robot, with the joint limits of the simulation, on its device.
        tip_links: ManiSkill's links of the fingertips.
    """

    robot_type: ClassVar[type[Robot]]

    @classmethod
    def urdf(cls) -> str:
        """The robot's description."""
        raise NotImplementedError

    def _load_articulation(self, initial_pose: Any = None) -> None:
        with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as folder:
            self.urdf_path = str(Path(folder) / f"{self.uid}.urdf")
            Path(self.urdf_path).write_text(self.urdf(), encoding="utf-8")
            super()._load_articulation(initial_pose)

    def _after_loading_articulation(self) -> None:
        names = tuple(joint.name for joint in self.robot.active_joints)
        if names != self.robot_type.joints:
            raise RuntimeError(f"unexpected joint order of the hand: {names}; is this sapien version supported?")
        for link in self.robot.links:
            link.disable_gravity = True  # the hand floats (paper, Table 2; authors' code)

    def _after_init(self) -> None:
        self.tip_links = [self.robot.links_map[name] for name in self.robot_type.tip_links]
        limits = self.robot.get_qlimits()[0].to(torch.float32)
        self.hand = self.robot_type(limits[:, 0], limits[:, 1])


def agent_of(robot: type[Robot]) -> type[HandAgent]:
    """The agent that builds a robot."""
    import_module(robot.agent_module)
    agent: type[HandAgent] = REGISTERED_AGENTS[robot.uid].agent_cls
    return agent
