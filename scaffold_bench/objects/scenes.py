"""The two places tasks happen in: ManiSkill's kitchen counter with sink, and a floor.

Walls and floor boards exist for the renderer only, so physics is the same with and without pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import sapien
import sapien.render
from mani_skill.envs.scene import ManiSkillScene
from mani_skill.utils.building.ground import build_ground
from mani_skill.utils.scene_builder.kitchen_counter import KitchenCounterSceneBuilder

WALL_BEHIND_COUNTER_X = 0.53  # metres; the counter ends at 0.506
WALL_BEHIND_FURNITURE_X = -0.75  # metres; behind the farthest corner of a turned fridge
_PLASTER, _TILES, _BOARDS = (0.83, 0.80, 0.75), (0.72, 0.77, 0.76), (0.46, 0.33, 0.23)


PLACE_CONTACT_OFFSET = 0.02
"""Metres, for what does not move (ours): the counter is a shell of triangles, which thin objects that fall on it would
pass within one step of a narrower margin."""


class _Owner:
    """What a ManiSkill scene builder expects of an environment: its scene."""

    def __init__(self, scene: ManiSkillScene) -> None:
        self.scene = scene


def build_counter(scene: ManiSkillScene) -> None:
    """The kitchen counter that ships in the mani_skill wheel; its top lies at z = 0.845 m."""
    KitchenCounterSceneBuilder(_Owner(scene)).build()
    _add_backdrop(scene, (WALL_BEHIND_COUNTER_X + 0.05, 0, 1.5), (0.1, 8, 3), _PLASTER)
    _add_backdrop(scene, (WALL_BEHIND_COUNTER_X - 0.005, 0.03, 1.12), (0.01, 3.12, 0.55), _TILES)
    _add_backdrop(scene, (-1.5, 0, -0.009), (4.2, 8, 0.02), _BOARDS)


def build_floor(scene: ManiSkillScene) -> None:
    """An empty floor at z = 0."""
    build_ground(scene, floor_width=20, altitude=0)
    _add_backdrop(scene, (WALL_BEHIND_FURNITURE_X - 0.05, 0, 1.5), (0.1, 8, 3), _PLASTER)
    _add_backdrop(scene, (WALL_BEHIND_FURNITURE_X + 2.5, 0, -0.009), (5, 8, 0.02), _BOARDS)


def _add_backdrop(
    scene: ManiSkillScene, centre: Sequence[float], size: Sequence[float], color: tuple[float, float, float]
) -> None:
    """Add a box that only the renderer knows, by centre and full size."""
    if not scene.can_render():
        return
    material = sapien.render.RenderMaterial(base_color=[*color, 1.0], roughness=0.85, specular=0.1)
    component = sapien.render.RenderBodyComponent()
    component.attach(sapien.render.RenderShapeBox([extent / 2 for extent in size], material))
    for sub_scene in scene.sub_scenes:
        entity = sapien.Entity()
        entity.add_component(component)
        entity.set_pose(sapien.Pose(list(centre)))
        sub_scene.add_entity(entity)


def light_scene(scene: ManiSkillScene, kind: str) -> None:
    """Soft daylight from above and from the camera's side of the scene."""
    towards = 1.0 if kind == "counter" else -1.0  # cameras look along +x at the counter, along -x at furniture
    scene.set_ambient_light([0.42, 0.42, 0.43])
    scene.add_directional_light(
        [0.55 * towards, -0.35, -1.0], [1.9, 1.8, 1.65], shadow=True, shadow_scale=3, shadow_map_size=4096
    )
    scene.add_directional_light([0.5 * towards, 0.7, -0.5], [0.65, 0.68, 0.75])
    scene.add_directional_light([towards, -0.1, -0.35], [0.55, 0.55, 0.55])  # the hand is black
