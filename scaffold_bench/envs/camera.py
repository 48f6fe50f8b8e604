"""The calibrated RGB-D camera that planners look through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mani_skill.envs.scene import ManiSkillScene
from mani_skill.sensors.camera import Camera as ManiSkillCamera
from mani_skill.sensors.camera import CameraConfig
from mani_skill.utils import sapien_utils

from scaffold_bench.plan import CameraView
from scaffold_bench.spec import Camera

NEAR, FAR = 0.01, 100.0  # metres


class PlannerCamera:
    """A camera that stands where the task's pictures are taken from.

    Args:
        scene: the ManiSkill scene (its first sub-scene is seen). where: the viewpoint. size: the side, pixels.
    """

    def __init__(self, scene: ManiSkillScene, where: Camera, size: int) -> None:
        pose = sapien_utils.look_at(list(where.eye), list(where.target))
        config = CameraConfig("planner", pose, size, size, where.fov, NEAR, FAR, shader_pack="default")
        self._scene, self._camera = scene, ManiSkillCamera(config, scene)

    def look(self, bodies: Sequence[Any]) -> CameraView:
        """Take a picture; ``bodies`` are the tracked actors and links in the order of the task's names."""
        self._scene.update_render(update_sensors=False, update_human_render_cameras=True)
        self._camera.capture()
        pictures = self._camera.get_obs(rgb=True, depth=True, segmentation=True, position=False)
        rgb, depth, seen = (pictures[name][0].cpu().numpy() for name in ("rgb", "depth", "segmentation"))
        body = np.full(seen.shape[:2], -1, dtype=np.int16)
        for index, one in enumerate(bodies):
            body[np.isin(seen[..., 0], [int(number) for number in one.per_scene_id])] = index
        parameters = self._camera.get_params()
        world_to_camera = np.eye(4)
        world_to_camera[:3] = parameters["extrinsic_cv"][0].cpu().numpy()
        return CameraView(
            rgb=np.ascontiguousarray(rgb[..., :3]),
            depth=depth[..., 0].astype(np.float32) / 1000.0,  # the renderer's are whole millimetres
            body=body,
            intrinsics=parameters["intrinsic_cv"][0].cpu().numpy().astype(np.float64),
            camera_to_world=np.linalg.inv(world_to_camera),
        )
