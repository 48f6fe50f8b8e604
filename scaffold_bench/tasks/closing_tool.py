"""What scissors and pliers share: two halves on a pin, closed by fingertips on both."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from scaffold_bench.plan import PLAN_WAYPOINTS, Waypoints
from scaffold_bench.spec import FloatArray, Measures, Memory, SceneState, StartState
from scaffold_bench.tasks.base import PALM_DOWN, BuiltTask, Scene, Task, path, place, pose, touching, wrist_at, yaw_of
from scaffold_bench.tasks.counter import COUNTER_HEIGHT

CLOSED_ANGLE = math.radians(5.0)  # paper, Appendix D
START_ANGLE = 0.7  # radians open (authors' code)


@dataclass(frozen=True)
class Squeeze:
    """How the hand closes a tool from above; found by script (grasping study), retuned on the real shapes.

    Attributes:
        heading: angle from the hand's +y axis to the blades, towards the fingers, radians.
        above, pressed: where the middle between the grips lies in the hand frame, metres, when the hand arrives and
            when the tool is shut.
        shift: (along the hand's y, along its z) move of the wrist while squeezing, metres.
        touch, shut: (fingers, thumb) commands when the grips are touched and when the tool is shut.
        steps: control steps of arrival, touch and the end of the squeeze.
    """

    heading: float
    above: tuple[float, float, float]
    pressed: tuple[float, float, float]
    shift: tuple[float, float]
    touch: tuple[float, float]
    shut: tuple[float, float]
    steps: tuple[int, int, int]


class CloseTool(Task):
    """Base of the two tool tasks: a subclass builds the tool and names its grips and the squeeze."""

    name: ClassVar[str]
    grip: ClassVar[tuple[float, float]]  # the keypoint on half A in its own frame; half B's is mirrored in y
    rest_height: ClassVar[float]
    squeeze: ClassVar[Squeeze]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        arrive, touched, end = cls.squeeze.steps
        commands = ((-1.0, -1.0), cls.squeeze.touch, cls.squeeze.shut)
        cls.finger_schedule = tuple(
            (step, (fingers, fingers, fingers, thumb))
            for step, (fingers, thumb) in zip((arrive, touched, end), commands, strict=True)
        )

    @abstractmethod
    def build_tool(self, scene: Scene) -> Any:
        """Build the tool: links ``<name>_a`` and ``<name>_b``, one joint."""

    def build(self, scene: Scene) -> BuiltTask:
        tool = self.build_tool(scene)
        halves = {f"{self.name}_{letter}": tool.links_map[f"{self.name}_{letter}"] for letter in "ab"}
        return BuiltTask(objects={self.name: tool}, bodies=halves, joints={"pin": (tool, 0)})

    def default_start(self) -> StartState:
        # the middle line between the halves is where the blades point; half A's own frame is turned back by half
        yaw = -self.squeeze.heading - START_ANGLE / 2
        place_ = (0.16, -0.62, COUNTER_HEIGHT + self.rest_height)
        return StartState(np.array(self.spec.wrist_start), {self.name: pose(place_, yaw)}, {"pin": START_ANGLE})

    def grips(self, tool: FloatArray, angle: float) -> FloatArray:
        """World positions (2, 3) of the grips for half A's pose (7,) at the start and an opening angle.

        The tool closes symmetrically about its pin: each half turns by half of what is missing to the start.
        """
        x, y = self.grip
        grips = []
        for side in (1.0, -1.0):
            turn = START_ANGLE / 2 - side * angle / 2
            c, s = math.cos(turn), math.sin(turn)
            grips.append(place(tool, (x * c - side * y * s, x * s + side * y * c, 0.0)))
        return np.stack(grips)

    def reference_plan(self, start: StartState) -> Waypoints:
        tool, hand = start.objects[self.name], self.squeeze
        arrive, _, end = (step * (PLAN_WAYPOINTS - 1) / self.spec.horizon for step in hand.steps)
        yaw = yaw_of(tool) + START_ANGLE / 2 + hand.heading
        euler = (PALM_DOWN[0], yaw, PALM_DOWN[2])
        angles = path((arrive + 1, np.array(START_ANGLE)), (end, np.array(0.0)))
        keypoints = np.stack([self.grips(tool, float(angle)) for angle in angles])
        middle = keypoints[0].mean(axis=0)
        above, pressed = wrist_at(middle, euler, hand.above), wrist_at(middle, euler, hand.pressed)
        c, s = math.cos(yaw), math.sin(yaw)
        along_y, along_z = hand.shift  # the hand's y points to world x, its z to world -y, both turned by yaw
        pressed[:2] += along_y * np.array([c, s]) + along_z * np.array([s, -c])
        wrist = path((0, start.wrist), (3, above), (arrive + 1, above), (end, pressed))
        return Waypoints(keypoints, wrist, (f"{self.name}_a", f"{self.name}_b"))

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        on_a, on_b = (touching(state, f"{self.name}_{letter}") for letter in "ab")
        counts = {"tips_on_a": on_a, "tips_on_b": on_b, "tips": on_a | on_b}
        return {
            "angle": state.joints["pin"],
            **{name: tips.sum(dim=1).to(state.wrist.dtype) for name, tips in counts.items()},
        }

    def success(self, measures: Measures) -> torch.Tensor:
        held = (measures["tips_on_a"] > 0) & (measures["tips_on_b"] > 0) & (measures["tips"] > 1)
        return (measures["angle"] < CLOSED_ANGLE) & held
