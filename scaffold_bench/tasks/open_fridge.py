"""Open the fridge (paper, Appendix D: Open Fridge).

A fridge stands on the floor. The hand closes around the vertical handle of its door and pulls it open along the arc
about the hinge. What differs from the authors' code: the fridge is placed at random like every other object.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from scaffold_bench.objects.dimensions import FRIDGE
from scaffold_bench.objects.shapes import build_fridge
from scaffold_bench.plan import PLAN_WAYPOINTS, Waypoints
from scaffold_bench.spec import Camera, Measures, Memory, SceneState, StartState, TaskSpec
from scaffold_bench.tasks.base import BuiltTask, Scene, Task, path, place, pose, wrist_at, yaw_of

ANGLE_NEEDED = math.radians(60.0)  # paper, Appendix D

HANDLE_X = FRIDGE.door_thickness + FRIDGE.handle_standoff  # metres in front of the hinge axis
GRASP_OFFSET = (0.045, 0.0, 0.06)  # the handle in the hand frame, metres (grasping study)
SWEEP = math.radians(90.0)  # arc about the hinge (paper's oracle)

SPEC = TaskSpec(
    id="Scaffold-OpenFridge-v0",
    name="fridge",
    instruction="Open the fridge",
    capability="articulated",
    keypoints=("handle",),
    success="fridge door opened by at least 60 degrees",
    tracking_threshold=0.20,
    finger_commands=1,
    wrist_start=(0.45, 0.29, FRIDGE.handle_z, -math.pi / 2, 0.0, math.pi),
    bodies=("door",),
    joints=("hinge",),
    camera=Camera(eye=(1.95, 1.15, 1.65), target=(0.12, 0.0, 0.93)),
    keypoint_hints=("the middle of the long vertical handle of the upper door",),
    motion_hint=(
        "Grasp the handle and pull the door open: the handle moves on a horizontal quarter circle about the "
        "vertical hinge on the other edge of the door, towards the viewer."
    ),
    grasp_point=GRASP_OFFSET,
    notes=(
        "The fridge's place varies; in the authors' code it never does.",
        "The planned wrist nears gimbal lock (middle Euler angle 90 degrees) at the end of the arc, after success.",
    ),
)


class OpenFridge(Task):
    spec = SPEC
    scene = "floor"
    finger_schedule = ((60, 0.0), (68, 0.9))

    def build(self, scene: Scene) -> BuiltTask:
        fridge = build_fridge(scene)
        return BuiltTask(
            objects={"fridge": fridge}, bodies={"door": fridge.links_map["door"]}, joints={"hinge": (fridge, 0)}
        )

    def default_start(self) -> StartState:
        return StartState(np.array(SPEC.wrist_start), {"fridge": pose((0.0, 0.0, 0.0))}, {"hinge": 0.0})

    def reference_plan(self, start: StartState) -> Waypoints:
        fridge = start.objects["fridge"]
        angles = path((6, np.array(0.0)), (PLAN_WAYPOINTS - 1, np.array(SWEEP)))
        handles, grasps = [], []
        for angle in angles:
            c, s = math.cos(angle), math.sin(angle)
            x, y = HANDLE_X * c + FRIDGE.handle_y * s, FRIDGE.handle_y * c - HANDLE_X * s
            handle = place(fridge, (x, FRIDGE.hinge_y + y, FRIDGE.handle_z))
            euler = (-math.pi / 2, angle - yaw_of(fridge), math.pi)  # +b turns about -z, as the door does
            handles.append(handle)
            grasps.append(wrist_at(handle, euler, GRASP_OFFSET))
        approach = path((0, np.ones(1)), (3, np.zeros(1)))
        wrist = np.stack(grasps) + approach * (start.wrist - grasps[0])
        return Waypoints(np.stack(handles)[:, None], wrist, ("door",))

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        return {"angle": state.joints["hinge"]}

    def success(self, measures: Measures) -> torch.Tensor:
        return measures["angle"] >= ANGLE_NEEDED
