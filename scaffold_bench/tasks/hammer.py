"""Hammer three times (paper, Appendix D: Hammer).

A hammer lies on the kitchen counter; the hand picks it up and swings it at least three times. What differs from the
authors' code: swings are counted on the hammer's head rather than on the model's origin, from the first step on, and
success does not wait for the last step.
"""

from __future__ import annotations

import numpy as np
import torch

from scaffold_bench.objects.dimensions import HAMMER
from scaffold_bench.objects.shapes import build_hammer
from scaffold_bench.plan import Waypoints
from scaffold_bench.spec import Camera, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.base import PALM_DOWN, BuiltTask, Scene, Task, path, place, pose, wrist_at, yaw_of
from scaffold_bench.tasks.counter import COUNTER_HEIGHT

SWINGS_NEEDED = 3  # paper, Appendix D
SWING_HEIGHT = 0.05  # metres up and then down (paper, Appendix D)

HEAD = (HAMMER.head_x, 0.0, 0.0)  # keypoint, hammer frame
HANDLE = (0.0, 0.0, 0.0)  # keypoint, hammer frame
GRIP = (0.07, 0.0, 0.0)  # where the hand closes: near the centre of mass, clear of the head (measured)
GRASP_OFFSET = (0.035, 0.02, 0.06)  # the grip in the hand frame, metres (grasping study) ...
CLOSED_OFFSET = (0.035, 0.02, 0.0)  # ... and once the fingers have pulled the handle to the heel of the palm
SWING_UP, SWING_DOWN = 0.20, 0.05  # metres above rest (paper's oracle: up 20 cm, down to 5 cm)
LIFT_OFF, SWING_WAYPOINTS = 7, 4  # waypoint at which the hammer leaves the counter; waypoints per swing (ours)

SPEC = TaskSpec(
    id="Scaffold-Hammer-v0",
    name="hammer",
    instruction="Hammer three times",
    capability="unstructured motion",
    keypoints=("handle", "head"),
    success=f"at least {SWINGS_NEEDED} swings; a swing is the head rising {SWING_HEIGHT * 100:.0f} cm and falling back",
    tracking_threshold=0.08,
    finger_commands=1,
    wrist_start=(0.19, -0.50, 1.12, *PALM_DOWN),
    bodies=("hammer",),
    camera=Camera(eye=(-0.46, -0.16, 1.38), target=(0.17, -0.55, 0.97)),
    keypoint_hints=(
        "the middle of the hammer's handle, where a hand would hold it",
        "the middle of the hammer's metal head",
    ),
    motion_hint=(
        "Grasp the hammer at the handle near the head, lift it, and swing it up about 20 cm and down again at "
        "least three times; the two keypoints are parts of one rigid body and keep their distance."
    ),
    grasp_point=GRASP_OFFSET,
    notes=(
        "Swings are counted on the head and from the first step; the authors' code counts the model's origin, ignores "
        "the first 20 steps and judges the last step only.",
        "The hammer lies on its side; in the authors' code it is dropped standing on its head.",
    ),
)


class Hammer(Task):
    spec = SPEC
    finger_schedule = ((60, 0.0), (68, 0.9))

    def build(self, scene: Scene) -> BuiltTask:
        hammer = build_hammer(scene)
        return BuiltTask(objects={"hammer": hammer}, bodies={"hammer": hammer})

    def default_start(self) -> StartState:
        rest = COUNTER_HEIGHT + HAMMER.handle_diameter / 2
        return StartState(np.array(SPEC.wrist_start), {"hammer": pose((0.05, -0.60, rest))})

    def reference_plan(self, start: StartState) -> Waypoints:
        hammer = start.objects["hammer"]
        euler = (PALM_DOWN[0], yaw_of(hammer), PALM_DOWN[2])
        grip = place(hammer, GRIP)
        grasp, closed = wrist_at(grip, euler, GRASP_OFFSET), wrist_at(grip, euler, CLOSED_OFFSET)
        up = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        # approach, close, follow the handle into the palm, then three times up and down
        knots: list[tuple[float, float]] = [(LIFT_OFF, 0.0)]
        for swing in range(SWINGS_NEEDED):
            begin = LIFT_OFF + swing * SWING_WAYPOINTS
            knots += [(begin + SWING_WAYPOINTS / 2, SWING_UP), (begin + SWING_WAYPOINTS, SWING_DOWN)]
        height = path(*((at, np.array(h)) for at, h in knots))
        wrist = path((0, start.wrist), (3, grasp), (5, grasp), (LIFT_OFF, closed)) + height[:, None] * up
        points = np.stack([place(hammer, HANDLE), place(hammer, HEAD)])
        keypoints = points + height[:, None, None] * up[:3]
        return Waypoints(keypoints, wrist, ("hammer", "hammer"))

    def initial_memory(self, state: SceneState) -> Memory:
        height = self._head_height(state)
        return {
            "lowest": height,
            "highest": height,
            "rising": torch.ones_like(height),
            "swings": torch.zeros_like(height),
        }

    def remember(self, state: SceneState, memory: Memory) -> Memory:
        """Swing counter: wait for a rise of 5 cm over the lowest point, then for a fall of 5 cm from the highest."""
        height = self._head_height(state)
        rising = memory["rising"] > 0
        lowest = torch.where(rising, torch.minimum(memory["lowest"], height), memory["lowest"])
        highest = torch.where(rising, memory["highest"], torch.maximum(memory["highest"], height))
        risen = rising & (height - lowest >= SWING_HEIGHT)
        fallen = ~rising & (highest - height >= SWING_HEIGHT)
        return {
            "lowest": torch.where(fallen, height, lowest),
            "highest": torch.where(risen, height, highest),
            "rising": torch.where(risen, 0.0, torch.where(fallen, 1.0, memory["rising"])),
            "swings": memory["swings"] + fallen.to(height.dtype),
        }

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        return {"swings": memory["swings"], "head_height": self._head_height(state) - COUNTER_HEIGHT}

    def success(self, measures: Measures) -> torch.Tensor:
        return measures["swings"] >= SWINGS_NEEDED

    @staticmethod
    def _head_height(state: SceneState) -> torch.Tensor:
        """Height (n,) of the head's centre: the z component of its place on the handle's axis."""
        hammer = state.bodies["hammer"]
        w, x, y, z = hammer[:, 3:].unbind(-1)
        return hammer[:, 2] + HAMMER.head_x * 2.0 * (x * z - w * y)
