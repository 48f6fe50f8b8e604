"""Draws a plan into the scene: planned paths as dots, the current goal as a ring of colour, the tracked keypoint."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import sapien
import sapien.render
import torch

DOTS_PER_KEYPOINT = 24
DOT_RADIUS, GOAL_RADIUS, KEYPOINT_RADIUS = 0.0045, 0.008, 0.010  # metres


def keypoint_color(index: int, count: int) -> tuple[float, float, float]:
    """A distinct colour (r, g, b in 0 to 1) per keypoint."""
    return colorsys.hsv_to_rgb((0.02 + 0.55 * index / max(count, 2)) % 1.0, 0.9, 1.0)


class PlanOverlay:
    """Spheres that exist for the renderer only; the physics never sees them.

    Args:
        scene: the ManiSkill scene (its first sub-scene is drawn into).
        keypoints: number K.
    """

    def __init__(self, scene: Any, keypoints: int) -> None:
        self._scene = scene.sub_scenes[0]
        self._path, self._goal, self._tracked = [], [], []
        for k in range(keypoints):
            color = keypoint_color(k, keypoints)
            self._path.append([self._sphere(DOT_RADIUS, color, 0.6) for _ in range(DOTS_PER_KEYPOINT)])
            self._goal.append(self._sphere(GOAL_RADIUS, color, 1.0))
            self._tracked.append(self._sphere(KEYPOINT_RADIUS, (1.0, 1.0, 1.0), 0.8))

    def _sphere(self, radius: float, color: tuple[float, float, float], glow: float) -> sapien.Entity:
        material = sapien.render.RenderMaterial(base_color=[*color, 1.0], roughness=1.0, specular=0.0)
        material.set_emission([glow * c for c in color] + [1.0])
        component = sapien.render.RenderBodyComponent()
        component.attach(sapien.render.RenderShapeSphere(radius, material))
        entity = sapien.Entity()
        entity.add_component(component)
        self._scene.add_entity(entity)
        return entity

    def show(self, planned: torch.Tensor, tracked: torch.Tensor, frame: int) -> None:
        """Place the spheres.

        Args:
            planned: (T + 1, K, 3) planned keypoints. tracked: (K, 3) current keypoints.
            frame: the current frame; the path drawn is the part still ahead.
        """
        plan = planned.cpu().numpy()
        last = len(plan) - 1
        frames = np.linspace(min(frame, last), last, DOTS_PER_KEYPOINT).round().astype(int)
        for k, position in enumerate(tracked.cpu().numpy()):
            for dot, at in zip(self._path[k], frames, strict=True):
                dot.set_pose(sapien.Pose(plan[at, k]))
            self._goal[k].set_pose(sapien.Pose(plan[min(frame, last), k]))
            self._tracked[k].set_pose(sapien.Pose(position))
