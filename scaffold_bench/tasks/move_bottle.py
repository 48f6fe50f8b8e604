"""Move the bottle to the other side of the sink (paper, Appendix D: Move Bottle).

A bottle stands on the kitchen counter beside the sink; the hand grasps it from the side, carries it across and lowers
it. What differs from the authors' code: there the bottle may fly or fall anywhere past a line; here it must be over
the counter and not below it.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from scaffold_bench.objects.dimensions import BOTTLE
from scaffold_bench.objects.shapes import build_bottle
from scaffold_bench.plan import Waypoints
from scaffold_bench.spec import WORLD, Camera, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.base import BuiltTask, Scene, Task, path, pose, wrist_at
from scaffold_bench.tasks.counter import COUNTER_HEIGHT, SINK_Y, over_counter

FAR_SINK_EDGE_Y = SINK_Y[1]  # metres; a bottle put down nearer than this slides into the sink
TARGET = (0.20, 0.72, COUNTER_HEIGHT)  # the target point, on the counter across the sink (ours)

SIDE_GRASP = (math.pi / 2, 0.0, 0.0)  # palm towards +x, fingers towards -y, thumb side up
GRIP_HEIGHT = -0.03  # metres from the bottle's centre: below the shoulder, so that all fingers close on the body
GRASP_OFFSET = (0.05, 0.005, 0.03)  # the grip in the hand frame, metres (measured on this bottle)
LIFT, CARRY, RELEASE = 0.10, 0.15, 0.05  # metres (paper's oracle)

SPEC = TaskSpec(
    id="Scaffold-MoveBottle-v0",
    name="bottle",
    instruction="Move the bottle to the other side of the sink",
    capability="semantic",
    keypoints=("bottle", "target point"),
    success="bottle's centre past the far edge of the sink, over the counter and not below it",
    tracking_threshold=0.10,
    finger_commands=1,
    wrist_start=(-0.16, -0.05, 1.02, *SIDE_GRASP),
    bodies=("bottle",),
    camera=Camera(eye=(-1.20, 0.55, 1.62), target=(0.16, 0.20, 0.96)),
    keypoint_hints=(
        "the middle of the bottle",
        "a free place on the counter on the other side of the sink, where the bottle shall stand",
    ),
    motion_hint=(
        "Grasp the bottle from the side, lift it, carry it upright over the sink and stand it on the counter at "
        "the target point, which is fixed."
    ),
    grasp_point=GRASP_OFFSET,
    notes=("The bottle must be over the counter; in the authors' code any place past a line counts, the floor too.",),
)


class MoveBottle(Task):
    spec = SPEC
    finger_schedule = ((58, 0.0), (66, 0.7))

    def build(self, scene: Scene) -> BuiltTask:
        bottle = build_bottle(scene)
        return BuiltTask(objects={"bottle": bottle}, bodies={"bottle": bottle})

    def default_start(self) -> StartState:
        standing = pose((0.14, -0.12, COUNTER_HEIGHT + BOTTLE.height / 2))
        return StartState(np.array(SPEC.wrist_start), {"bottle": standing})

    def reference_plan(self, start: StartState) -> Waypoints:
        bottle, target = start.objects["bottle"][:3], np.array(TARGET)
        up = np.array([0.0, 0.0, 1.0])
        standing = target + BOTTLE.height / 2 * up
        route = path((6, bottle), (8, bottle + LIFT * up), (16, standing + CARRY * up), (18, standing + RELEASE * up))
        grasp = wrist_at(bottle + GRIP_HEIGHT * up, SIDE_GRASP, GRASP_OFFSET)
        approach = path((0, start.wrist), (3, grasp))
        wrist = approach + np.pad(route - bottle, ((0, 0), (0, 3)))
        keypoints = np.stack([route, np.broadcast_to(target, route.shape)], axis=1)
        return Waypoints(keypoints, wrist, ("bottle", WORLD))

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        position = state.bodies["bottle"][:, :3]
        return {
            "past_sink": position[:, 1] - FAR_SINK_EDGE_Y,
            "over_counter": over_counter(position).to(position.dtype),
            "height": position[:, 2] - COUNTER_HEIGHT,
        }

    def success(self, measures: Measures) -> torch.Tensor:
        return (measures["past_sink"] > 0) & (measures["over_counter"] > 0) & (measures["height"] >= 0)
