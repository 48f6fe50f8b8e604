"""Move the apple to the cutting board (paper, Appendix D: Move Apple).

An apple and a cutting board lie on the kitchen counter. The hand picks the apple up from above, carries it over and
puts it on the board.
"""

from __future__ import annotations

import numpy as np
import torch

from scaffold_bench.objects.dimensions import APPLE, BOARD
from scaffold_bench.objects.shapes import build_apple, build_board
from scaffold_bench.plan import Waypoints
from scaffold_bench.spec import Camera, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.base import PALM_DOWN, BuiltTask, Scene, Task, distance, path, pose, wrist_at
from scaffold_bench.tasks.counter import COUNTER_HEIGHT

GOAL_ABOVE_BOARD = 0.07  # metres above the board's centre (authors' code; the paper says "on top of")
GOAL_RADIUS = 0.10  # metres (authors' code)

GRASP_OFFSET = (0.065, 0.03, 0.03)  # the apple's centre in the hand frame, metres (grasping study)
LIFT, CARRY, RELEASE = 0.10, 0.15, 0.05  # metres (paper's oracle)

SPEC = TaskSpec(
    id="Scaffold-MoveApple-v0",
    name="apple",
    instruction="Move the apple to the cutting board",
    capability="semantic",
    keypoints=("apple", "cutting board"),
    success=f"apple within {GOAL_RADIUS * 100:.0f} cm of the point {GOAL_ABOVE_BOARD * 100:.0f} cm above the board",
    tracking_threshold=0.10,
    finger_commands=1,
    wrist_start=(0.19, -0.27, 1.12, *PALM_DOWN),
    bodies=("apple", "board"),
    camera=Camera(eye=(-0.68, -0.46, 1.50), target=(0.17, -0.59, 0.94)),
    keypoint_hints=(
        "the centre of the apple",
        "the middle of the cutting board's upper face",
    ),
    motion_hint=(
        "Grasp the apple from above, lift it, carry it over the cutting board and lower it until it rests there; "
        "the cutting board stays where it is."
    ),
    grasp_point=GRASP_OFFSET,
)


class MoveApple(Task):
    spec = SPEC
    finger_schedule = ((58, 0.0), (66, 0.7))

    def build(self, scene: Scene) -> BuiltTask:
        built = {"apple": build_apple(scene), "board": build_board(scene)}
        return BuiltTask(objects=built, bodies=built)

    def default_start(self) -> StartState:
        objects = {
            "apple": pose((0.10, -0.37, COUNTER_HEIGHT + APPLE.radius)),
            "board": pose((0.08, -0.83, COUNTER_HEIGHT + BOARD.thickness / 2)),
        }
        return StartState(np.array(SPEC.wrist_start), objects)

    def reference_plan(self, start: StartState) -> Waypoints:
        apple, board = start.objects["apple"][:3], start.objects["board"][:3]
        up = np.array([0.0, 0.0, 1.0])
        above = board + CARRY * up
        route = path(
            (6, apple), (8, apple + LIFT * up), (16, above), (18, board + (RELEASE + BOARD.thickness / 2) * up)
        )
        offset = wrist_at(np.zeros(3), PALM_DOWN, GRASP_OFFSET)
        approach = path((0, start.wrist), (3, offset + np.array([*apple, 0, 0, 0])))
        wrist = approach + np.pad(route - apple, ((0, 0), (0, 3)))
        keypoints = np.stack([route, np.broadcast_to(board, route.shape)], axis=1)
        return Waypoints(keypoints, wrist, ("apple", "board"))

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        apple, board = state.bodies["apple"][:, :3], state.bodies["board"][:, :3]
        goal = board + board.new_tensor([0.0, 0.0, GOAL_ABOVE_BOARD])
        return {"goal_distance": distance(apple, goal), "apple_height": apple[:, 2] - COUNTER_HEIGHT}

    def success(self, measures: Measures) -> torch.Tensor:
        return measures["goal_distance"] < GOAL_RADIUS
