"""Physics of the benchmark's own objects: lean collision shapes around the generated visual meshes.

Every builder takes a ManiSkill scene and returns the built actor or articulation in the frame documented in
``dimensions.py``. Articulated objects name their links and joints after their parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sapien
from mani_skill.envs.scene import ManiSkillScene
from mani_skill.utils.structs import Actor, Articulation

from scaffold_bench.objects.dimensions import (
    APPLE,
    BOARD,
    BOTTLE,
    CABINET,
    FRIDGE,
    HAMMER,
    PLIERS,
    SCISSORS,
    SPONGE,
    Pliers,
    Scissors,
)

ASSETS = Path(__file__).parent / "assets"

MAX_LINEAR_VELOCITY = 10.0
"""m/s (ours): an object crushed between palm and counter is lost, but never leaves numerically sane ranges."""
MAX_DEPENETRATION_VELOCITY = 3.0
"""m/s (ours): keeps a deep penetration from turning into a shot."""
PIN_FRICTION = 0.1
"""N m, dry friction in the pin of scissors and pliers (ours, grasping study)."""
PIN_DAMPING = 5.0
"""N m s/rad behind the dry friction: large, so that the friction saturates at once."""
DRAWER_DAMPING = 20.0
"""N s/m (ours): a drawer on plain runners."""
DOOR_DAMPING = 4.0
"""N m s/rad (ours): a fridge door that does not swing on by itself."""
# An apple is not a sphere on a plane: its lobed base and soft skin stop it from rolling for ever.
APPLE_ANGULAR_DAMPING = 4.0

_ALONG_X = sapien.Pose()
_ALONG_Y = sapien.Pose(q=[math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
_ALONG_Z = sapien.Pose(q=[math.sqrt(0.5), 0, -math.sqrt(0.5), 0])


def _add_box(builder: Any, centre: tuple[float, float, float], size: tuple[float, float, float], mass: float) -> None:
    """Add a box by centre and full size, metres, of the given mass, kilograms."""
    builder.add_box_collision(sapien.Pose(list(centre)), [s / 2 for s in size], density=mass / math.prod(size))


def _add_bar(builder: Any, pose: sapien.Pose, radius: float, length: float, mass: float, capsule: bool = False) -> None:
    """Add a round bar whose axis is the pose's x axis; ``length`` is its full length without a capsule's caps."""
    if capsule:
        volume = math.pi * radius**2 * length + 4 / 3 * math.pi * radius**3
        builder.add_capsule_collision(pose, radius, length / 2, density=mass / volume)
    else:
        builder.add_cylinder_collision(pose, radius, length / 2, density=mass / (math.pi * radius**2 * length))


def _limit_velocities(*bodies: Any) -> None:
    for body in bodies:
        body.set_max_linear_velocity(MAX_LINEAR_VELOCITY)
        body.set_max_depenetration_velocity(MAX_DEPENETRATION_VELOCITY)


def _build_actor(scene: ManiSkillScene, name: str, fill: Callable[[Any], None]) -> Actor:
    builder = scene.create_actor_builder()
    fill(builder)
    if scene.can_render():
        builder.add_visual_from_file(str(ASSETS / f"{name}.glb"))
    builder.initial_pose = sapien.Pose([0, 0, 1])
    actor = builder.build_dynamic(name)
    _limit_velocities(*actor._bodies)
    return actor


def build_apple(scene: ManiSkillScene) -> Actor:
    volume = 4 / 3 * math.pi * APPLE.radius**3
    apple = _build_actor(
        scene, "apple", lambda builder: builder.add_sphere_collision(radius=APPLE.radius, density=APPLE.mass / volume)
    )
    for body in apple._bodies:
        body.set_angular_damping(APPLE_ANGULAR_DAMPING)
    return apple


def build_bottle(scene: ManiSkillScene) -> Actor:
    def fill(builder: Any) -> None:
        bottom, neck = -BOTTLE.height / 2, BOTTLE.height - BOTTLE.body_height
        # the full body carries nearly all of the mass; the shoulder is inside the neck's bar plus visual only
        body = sapien.Pose([0, 0, bottom + BOTTLE.body_height / 2]) * _ALONG_Z
        _add_bar(builder, body, BOTTLE.radius, BOTTLE.body_height, 0.95 * BOTTLE.mass)
        top = sapien.Pose([0, 0, bottom + BOTTLE.body_height + neck / 2]) * _ALONG_Z
        _add_bar(builder, top, BOTTLE.neck_radius, neck, 0.05 * BOTTLE.mass)

    return _build_actor(scene, "bottle", fill)


def build_board(scene: ManiSkillScene) -> Actor:
    size = (BOARD.width, BOARD.length, BOARD.thickness)
    return _build_actor(scene, "board", lambda builder: _add_box(builder, (0, 0, 0), size, BOARD.mass))


def build_hammer(scene: ManiSkillScene) -> Actor:
    def fill(builder: Any) -> None:
        _add_bar(builder, _ALONG_X, HAMMER.handle_diameter / 2, HAMMER.handle_length, HAMMER.handle_mass)
        head = (HAMMER.head_width, HAMMER.head_length, HAMMER.head_height)
        _add_box(builder, (HAMMER.head_x, 0, 0), head, HAMMER.head_mass)

    return _build_actor(scene, "hammer", fill)


def build_sponge(scene: ManiSkillScene) -> Actor:
    size = (SPONGE.length, SPONGE.width, SPONGE.height)
    return _build_actor(scene, "sponge", lambda builder: _add_box(builder, (0, 0, 0), size, SPONGE.mass))


def _scissors_half(builder: Any, side: int, tool: Scissors = SCISSORS) -> None:
    """One half of the scissors: a ring of capsules for the loop, an arm to the pin and a blade."""
    segments, radius = 8, tool.loop_outer_radius - tool.loop_tube_radius
    centre = np.array([tool.loop_x, side * tool.loop_y, 0.0])
    for angle in np.arange(segments) * 2 * math.pi / segments:
        place = centre + radius * np.array([math.cos(angle), math.sin(angle), 0])
        along = angle + math.pi / 2
        pose = sapien.Pose(place, [math.cos(along / 2), 0, 0, math.sin(along / 2)])
        _add_bar(
            builder, pose, tool.loop_tube_radius, 2 * radius * math.tan(math.pi / segments), 0.05 * tool.mass / 2, True
        )
    inner = tool.loop_x + tool.loop_outer_radius
    arm = math.atan2(-side * tool.loop_y / 2, -inner)
    pose = sapien.Pose([inner / 2, side * tool.loop_y / 4, 0], [math.cos(arm / 2), 0, 0, math.sin(arm / 2)])
    _add_bar(builder, pose, tool.loop_tube_radius * 0.8, abs(inner), 0.2 * tool.mass / 2, True)
    blade = (tool.blade_length, tool.blade_width, 2 * tool.blade_thickness)
    _add_box(builder, (tool.blade_length / 2, -side * tool.blade_width / 2, 0), blade, 0.4 * tool.mass / 2)


def _pliers_half(builder: Any, side: int, tool: Pliers = PLIERS) -> None:
    handle = (tool.handle_length, tool.handle_width, tool.handle_height)
    _add_box(builder, (tool.handle_x, side * tool.handle_y, 0), handle, 0.6 * tool.mass / 2)
    jaw = (tool.jaw_length, tool.jaw_width, tool.jaw_height)
    _add_box(builder, (tool.jaw_length / 2, -side * tool.jaw_width / 2, 0), jaw, 0.4 * tool.mass / 2)


def _build_tool(scene: ManiSkillScene, name: str, half: Callable[[Any, int], None], max_angle: float) -> Articulation:
    """Two halves on a pin: links ``<name>_a`` (free floating) and ``<name>_b``, joint ``pin``; 0 is closed."""
    builder = scene.create_articulation_builder()
    first = builder.create_link_builder()
    first.set_name(f"{name}_a")
    half(first, +1)
    second = builder.create_link_builder(first)
    second.set_name(f"{name}_b")
    second.set_joint_name("pin")
    half(second, -1)
    # SAPIEN's revolute joints turn about the joint frame's x axis; this pose turns it onto z.
    axis = sapien.Pose(q=[math.sqrt(0.5), 0, -math.sqrt(0.5), 0])
    second.set_joint_properties("revolute", [[0.0, max_angle]], axis, axis, 0.0, 0.0)
    if scene.can_render():
        for link, letter in ((first, "a"), (second, "b")):
            link.add_visual_from_file(str(ASSETS / f"{name}_{letter}.glb"))
    builder.initial_pose = sapien.Pose([0, 0, 1])
    tool = builder.build(name=name, fix_root_link=False)
    for articulation in tool._objs:
        (pin,) = articulation.active_joints
        # SAPIEN's joint friction scales with the load; a velocity drive with a force limit is dry friction in N m.
        pin.set_drive_properties(0.0, PIN_DAMPING, PIN_FRICTION)
        pin.set_drive_velocity_target(0.0)
        _limit_velocities(*articulation.links)
    return tool


def build_scissors(scene: ManiSkillScene) -> Articulation:
    return _build_tool(scene, "scissors", _scissors_half, SCISSORS.max_angle)


def build_pliers(scene: ManiSkillScene) -> Articulation:
    return _build_tool(scene, "pliers", _pliers_half, PLIERS.max_angle)


def drawer_origin(index: int) -> tuple[float, float, float]:
    """Origin of drawer ``index`` (0 is the top one) in the cabinet's frame, when shut."""
    height = (CABINET.height - CABINET.plinth_height - CABINET.wall) / CABINET.drawers
    return (0.0, 0.0, CABINET.height - CABINET.wall - (index + 0.5) * height)


def build_cabinet(scene: ManiSkillScene) -> Articulation:
    """Links ``body`` and ``drawer_0`` (top) ...; joints ``slide_0`` ...: metres pulled out."""
    c = CABINET
    builder = scene.create_articulation_builder()
    body = builder.create_link_builder()
    body.set_name("cabinet_body")
    inner = c.height - c.plinth_height
    for side in (-1, 1):
        _add_box(body, (-c.depth / 2, side * (c.width - c.wall) / 2, c.height / 2), (c.depth, c.wall, c.height), 8.0)
    _add_box(body, (-c.depth / 2, 0, c.height - c.wall / 2), (c.depth, c.width, c.wall), 8.0)
    _add_box(body, (-c.depth + c.wall / 2, 0, c.plinth_height + inner / 2), (c.wall, c.width, inner), 8.0)
    if scene.can_render():
        body.add_visual_from_file(str(ASSETS / "cabinet_body.glb"))
    height = (c.height - c.plinth_height - c.wall) / c.drawers - c.front_gap
    width = c.width - 2 * c.wall - c.front_gap
    for index in range(c.drawers):
        drawer = builder.create_link_builder(body)
        drawer.set_name(f"drawer_{index}")
        drawer.set_joint_name(f"slide_{index}")
        origin = sapien.Pose(list(drawer_origin(index)))
        drawer.set_joint_properties("prismatic", [[0.0, c.travel]], origin, sapien.Pose(), 0.0, DRAWER_DAMPING)
        _add_box(drawer, (-c.front_thickness / 2, 0, 0), (c.front_thickness, width, height), 0.5 * c.drawer_mass)
        # A tray below the front's upper edge: keeps a hand from reaching through an open drawer.
        _add_box(
            drawer,
            (-c.front_thickness - c.drawer_depth / 2, 0, -0.25 * height),
            (c.drawer_depth, width - 0.04, 0.4 * height),
            0.4 * c.drawer_mass,
        )
        bar = sapien.Pose([c.handle_standoff, 0, 0]) * _ALONG_Y
        _add_bar(drawer, bar, c.handle_radius, c.handle_length, 0.08 * c.drawer_mass, True)
        for side in (-1, 1):
            post = (c.handle_standoff, 0.01, 0.01)
            _add_box(drawer, (c.handle_standoff / 2, side * c.handle_length / 2, 0), post, 0.01 * c.drawer_mass)
        if scene.can_render():
            drawer.add_visual_from_file(str(ASSETS / "cabinet_drawer.glb"))
    builder.initial_pose = sapien.Pose()
    return builder.build(name="cabinet", fix_root_link=True)


def build_fridge(scene: ManiSkillScene) -> Articulation:
    """Links ``fridge_body`` and ``door``; joint ``hinge``: radians open."""
    f = FRIDGE
    builder = scene.create_articulation_builder()
    body = builder.create_link_builder()
    body.set_name("fridge_body")
    for side in (-1, 1):
        _add_box(body, (-f.depth / 2, side * (f.width - f.wall) / 2, f.height / 2), (f.depth, f.wall, f.height), 15.0)
    _add_box(body, (-f.depth + f.wall / 2, 0, f.height / 2), (f.wall, f.width, f.height), 10.0)
    _add_box(body, (-f.depth / 2, 0, f.height - f.wall / 2), (f.depth, f.width, f.wall), 5.0)
    _add_box(body, (-f.depth / 2, 0, f.door_bottom / 2), (f.depth, f.width, f.door_bottom), 15.0)
    freezer = f.freezer_top - f.freezer_bottom
    front = (f.door_thickness / 2, 0, f.freezer_bottom + freezer / 2)
    _add_box(body, front, (f.door_thickness, f.width, freezer), 5.0)
    reach = f.door_thickness + f.handle_standoff
    _add_bar(body, sapien.Pose([reach, 0, f.freezer_handle_z]) * _ALONG_Y, f.handle_radius, f.handle_length, 0.3, True)
    for end in (-1, 1):
        centre = (reach - f.handle_standoff / 2, end * f.handle_length / 2, f.freezer_handle_z)
        _add_box(body, centre, (f.handle_standoff, 0.014, 0.014), 0.1)
    door = builder.create_link_builder(body)
    door.set_name("door")
    door.set_joint_name("hinge")
    # The joint frame's x axis points down: the door then opens towards +x for positive angles.
    down = sapien.Pose(q=[math.sqrt(0.5), 0, math.sqrt(0.5), 0])
    hinge = sapien.Pose([0.0, f.hinge_y, 0.0])
    door.set_joint_properties("revolute", [[0.0, f.max_angle]], hinge * down, down, 0.0, DOOR_DAMPING)
    height = f.height - f.door_bottom
    _add_box(
        door,
        (f.door_thickness / 2, f.width / 2, f.door_bottom + height / 2),
        (f.door_thickness, f.width, height),
        0.95 * f.door_mass,
    )
    bar = sapien.Pose([reach, f.handle_y, f.handle_z]) * _ALONG_Z
    _add_bar(door, bar, f.handle_radius, f.handle_length, 0.03 * f.door_mass, True)
    for end in (-1, 1):
        centre = (reach - f.handle_standoff / 2, f.handle_y, f.handle_z + end * f.handle_length / 2)
        _add_box(door, centre, (f.handle_standoff, 0.014, 0.014), 0.01 * f.door_mass)
    if scene.can_render():
        body.add_visual_from_file(str(ASSETS / "fridge_body.glb"))
        door.add_visual_from_file(str(ASSETS / "fridge_door.glb"))
    builder.initial_pose = sapien.Pose()
    return builder.build(name="fridge", fix_root_link=True)
