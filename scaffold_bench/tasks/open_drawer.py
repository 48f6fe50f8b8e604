"""Open the top drawer (paper, Appendix D: Open Drawer).

A chest of three drawers stands on the floor. The hand hooks its fingers over the top drawer's handle from above and
pulls.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from scaffold_bench.objects.dimensions import CABINET
from scaffold_bench.objects.shapes import build_cabinet, drawer_origin
from scaffold_bench.plan import Waypoints
from scaffold_bench.spec import Camera, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.base import BuiltTask, Scene, Task, path, place, pose, wrist_at, yaw_of

OPENING_NEEDED = 0.20  # metres (paper, Appendix D)

TOP_DRAWER = drawer_origin(0)
HANDLE = (CABINET.handle_standoff, 0.0, TOP_DRAWER[2])  # cabinet frame, drawer shut
GRASP_OFFSET = (0.045, 0.0, 0.06)  # the handle in the hand frame, metres (grasping study)
PULL = 0.30  # metres (paper's oracle)

SPEC = TaskSpec(
    id="Scaffold-OpenDrawer-v0",
    name="drawer",
    instruction="Open the top drawer",
    capability="articulated",
    keypoints=("handle",),
    success=f"top drawer pulled out by at least {OPENING_NEEDED * 100:.0f} cm",
    tracking_threshold=0.15,
    finger_commands=1,
    wrist_start=(0.42, 0.05, TOP_DRAWER[2] - 0.06, 0.0, 0.0, math.pi),
    bodies=("drawer",),
    joints=("slide",),
    camera=Camera(eye=(1.25, -0.95, 1.35), target=(0.10, 0.05, 0.60)),
    keypoint_hints=("the middle of the top drawer's handle",),
    motion_hint="Grasp the handle and pull it straight out, perpendicular to the drawer's front, by about 30 cm.",
    grasp_point=GRASP_OFFSET,
)


class OpenDrawer(Task):
    spec = SPEC
    scene = "floor"
    finger_schedule = ((60, 0.0), (68, 0.9))

    def build(self, scene: Scene) -> BuiltTask:
        cabinet = build_cabinet(scene)
        slide = [joint.name for joint in cabinet.active_joints].index("slide_0")
        return BuiltTask(
            objects={"cabinet": cabinet},
            bodies={"drawer": cabinet.links_map["drawer_0"]},
            joints={"slide": (cabinet, slide)},
        )

    def default_start(self) -> StartState:
        return StartState(np.array(SPEC.wrist_start), {"cabinet": pose((0.0, 0.0, 0.0))}, {"slide": 0.0})

    def reference_plan(self, start: StartState) -> Waypoints:
        cabinet = start.objects["cabinet"]
        shut, pulled = place(cabinet, HANDLE), place(cabinet, (HANDLE[0] + PULL, *HANDLE[1:]))
        grasp = wrist_at(shut, (0.0, 0.0, math.pi + yaw_of(cabinet)), GRASP_OFFSET)
        route = path((6, shut), (18, pulled))
        wrist = path((0, start.wrist), (3, grasp)) + np.pad(route - shut, ((0, 0), (0, 3)))
        return Waypoints(route[:, None], wrist, ("drawer",))

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        return {"opening": state.joints["slide"]}

    def success(self, measures: Measures) -> torch.Tensor:
        return measures["opening"] >= OPENING_NEEDED
