"""Draws a plan into pictures: planned paths as dots in the scene, tracked keypoints as rings on top of it."""

from __future__ import annotations

import colorsys

import numpy as np
import sapien
import sapien.render
import torch
from mani_skill.envs.scene import ManiSkillScene

DOTS_PER_KEYPOINT = 36
DOT_RADIUS, GOAL_RADIUS = 0.0045, 0.009  # metres
FAR_BELOW = -1000.0  # metres: beyond every camera's reach
RING_RADIUS, RING_WIDTH = 0.013, 0.35  # share of the picture's side; share of the radius


def keypoint_color(index: int, count: int) -> tuple[float, float, float]:
    """A distinct colour (r, g, b in 0 to 1) per keypoint."""
    return colorsys.hsv_to_rgb((0.02 + 0.55 * index / max(count, 2)) % 1.0, 0.9, 1.0)


class PlanOverlay:
    """Spheres that exist for the renderer only; the physics never sees them.

    Args:
        scene: the ManiSkill scene (its first sub-scene is drawn into).
        keypoints: number K.
    """

    def __init__(self, scene: ManiSkillScene, keypoints: int) -> None:
        self._scene = scene.sub_scenes[0]
        self._path, self._goal = [], []
        self._colors = [keypoint_color(k, keypoints) for k in range(keypoints)]
        for color in self._colors:
            self._path.append([self._sphere(DOT_RADIUS, color, 0.6) for _ in range(DOTS_PER_KEYPOINT)])
            self._goal.append(self._sphere(GOAL_RADIUS, color, 1.0))

    def _sphere(self, radius: float, color: tuple[float, float, float], glow: float) -> sapien.Entity:
        material = sapien.render.RenderMaterial(base_color=[*color, 1.0], roughness=1.0, specular=0.0)
        material.set_emission([glow * c for c in color] + [1.0])
        component = sapien.render.RenderBodyComponent()
        component.attach(sapien.render.RenderShapeSphere(radius, material))
        entity = sapien.Entity()
        entity.add_component(component)
        self._scene.add_entity(entity)
        return entity

    def show(self, planned: torch.Tensor, frame: int) -> None:
        """Place the spheres.

        Args:
            planned: (T + 1, K, 3) planned keypoints.
            frame: the current frame; the path drawn is the part still ahead.
        """
        plan = planned.cpu().numpy()
        last = len(plan) - 1
        now = min(frame, last)
        frames = np.linspace(now, last, DOTS_PER_KEYPOINT).round().astype(int)
        for k in range(plan.shape[1]):
            for dot, at in zip(self._path[k], frames, strict=True):
                dot.set_pose(sapien.Pose(plan[at, k]))
            self._goal[k].set_pose(sapien.Pose(plan[now, k]))

    def hide(self) -> None:
        """Put the spheres out of sight."""
        for sphere in (*(dot for path in self._path for dot in path), *self._goal):
            sphere.set_pose(sapien.Pose([0.0, 0.0, FAR_BELOW]))

    def mark(self, image: np.ndarray, tracked: torch.Tensor, projection: np.ndarray) -> np.ndarray:
        """Draw a ring around each tracked keypoint, which usually lies inside an object.

        Args:
            image: (H, W, 3) uint8.
            tracked: (K, 3) keypoint positions, metres.
            projection: (3, 4) camera matrix, world to homogeneous pixels.

        Returns:
            A marked copy.
        """
        marked: np.ndarray = image.copy()
        height, width, _ = image.shape
        rows, columns = np.mgrid[:height, :width]
        radius = RING_RADIUS * height
        for color, position in zip(self._colors, tracked.cpu().numpy(), strict=True):
            x, y, depth = projection @ np.append(position, 1.0)
            if depth <= 0:
                continue
            away = np.hypot(columns - x / depth, rows - y / depth) / radius
            marked[(away < 1 + RING_WIDTH) & (away >= 1 - RING_WIDTH)] = 255
            marked[away < 1 - RING_WIDTH / 2] = (np.array(color) * 255).astype(np.uint8)
        return marked
