"""Sizes and masses of the benchmark's own objects: the one place they are written down.

``scripts/make_assets.py`` draws the visual meshes from these numbers and ``objects.py`` builds the collision
shapes from them, so a picture and its physics cannot drift apart. Metres, kilograms, radians. Sizes are those
of ordinary household goods (ours; the paper uses RoboCasa and ReplicaCAD objects that need downloads).

Frame conventions (x, y, z of the object's own frame; z is up when the object rests on a surface):

========== ============================================================================================
apple      origin in the centre, stem towards +z
bottle     origin at half height, axis along z, base at -z
board      origin in the centre, long side along y
hammer     origin in the middle of the handle, handle along x, head at +x, striking faces at +y and -y
sponge     origin in the centre, long side along x, scouring pad on top (+z)
scissors   origin on the pin, blades towards +x, loops at -x; half A has its loop at +y, half B at -y
pliers     origin on the pin, jaws towards +x, handles at -x; half A has its handle at +y, half B at -y
cabinet    origin on the floor under the middle of the front face, front face in the plane x = 0, facing +x
fridge     origin on the floor under the middle of the body's front, which lies in the plane x = 0, facing +x
========== ============================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Apple:
    radius: float = 0.040
    mass: float = 0.150


@dataclass(frozen=True)
class Bottle:
    """A half-litre bottle: a cylinder, a conical shoulder and a capped neck."""

    radius: float = 0.033
    height: float = 0.220
    body_height: float = 0.150
    shoulder_height: float = 0.035
    neck_radius: float = 0.0135
    mass: float = 0.500


@dataclass(frozen=True)
class Board:
    """A wooden cutting board."""

    width: float = 0.22  # along x
    length: float = 0.30  # along y
    thickness: float = 0.018
    mass: float = 0.800


@dataclass(frozen=True)
class Hammer:
    """A claw-less joiner's hammer lying on its side: oval wooden handle, steel head."""

    handle_length: float = 0.26
    handle_diameter: float = 0.030
    handle_mass: float = 0.15
    head_length: float = 0.100  # along y, face to face
    head_width: float = 0.030  # along x
    head_height: float = 0.030  # along z
    head_x: float = 0.140  # centre of the head on the handle axis
    head_mass: float = 0.35


@dataclass(frozen=True)
class Sponge:
    length: float = 0.11  # along x
    width: float = 0.07  # along y
    height: float = 0.03  # along z
    pad_height: float = 0.007  # the dark scouring pad, part of the height
    mass: float = 0.030


@dataclass(frozen=True)
class Scissors:
    """Household scissors. ``loop_x``/``loop_y`` locate a loop's centre in its half's frame when closed."""

    loop_x: float = -0.082
    loop_y: float = 0.022  # +y for half A, -y for half B
    loop_outer_radius: float = 0.021
    loop_tube_radius: float = 0.006  # loops are round bars, so 1.2 cm thick
    blade_length: float = 0.090
    blade_width: float = 0.014
    blade_thickness: float = 0.003  # per half; half A lies below, half B above the plane z = 0
    pin_radius: float = 0.005
    mass: float = 0.081  # both halves
    max_angle: float = 0.90


@dataclass(frozen=True)
class Pliers:
    """Combination pliers. The handles run towards -x, slightly apart when closed."""

    handle_length: float = 0.11
    handle_width: float = 0.012  # along y
    handle_height: float = 0.014  # along z
    handle_x: float = -0.070  # centre of a handle in its half's frame
    handle_y: float = 0.016  # +y for half A, -y for half B
    jaw_length: float = 0.045
    jaw_width: float = 0.011  # per half
    jaw_height: float = 0.010
    pin_radius: float = 0.009
    mass: float = 0.173  # both halves
    max_angle: float = 0.90


@dataclass(frozen=True)
class Cabinet:
    """A chest of three drawers. Drawer frames: origin in the middle of the drawer front's outer face."""

    width: float = 0.80  # along y
    depth: float = 0.50  # along -x
    height: float = 0.90
    wall: float = 0.02
    drawers: int = 3
    plinth_height: float = 0.06
    front_gap: float = 0.006  # between neighbouring drawer fronts
    front_thickness: float = 0.02  # fronts occupy -front_thickness .. 0 in x
    drawer_depth: float = 0.44
    drawer_wall: float = 0.012
    handle_length: float = 0.160  # bar along y
    handle_radius: float = 0.008
    handle_standoff: float = 0.050  # bar axis in front of the drawer front
    travel: float = 0.40
    drawer_mass: float = 2.5


@dataclass(frozen=True)
class Fridge:
    """A fridge over a freezer drawer. Door frame: origin on the hinge axis at floor height; door towards +y."""

    width: float = 0.70  # along y
    depth: float = 0.62  # along -x, without the door
    height: float = 1.75
    wall: float = 0.04
    door_thickness: float = 0.060
    door_bottom: float = 0.62
    freezer_bottom: float = 0.09  # a front as thick as the door fills the space below it, with the door's bar across
    freezer_top: float = 0.612
    freezer_handle_z: float = 0.527
    hinge_y: float = -0.35
    handle_y: float = 0.65  # from the hinge axis (grasping study: hinge radius 0.65 m)
    handle_radius: float = 0.011
    handle_length: float = 0.420  # bar along z
    handle_standoff: float = 0.060  # bar axis in front of the door's outer face
    handle_z: float = 1.15  # middle of the bar above the floor
    door_mass: float = 12.0
    max_angle: float = 2.0


APPLE = Apple()
BOTTLE = Bottle()
BOARD = Board()
HAMMER = Hammer()
SPONGE = Sponge()
SCISSORS = Scissors()
PLIERS = Pliers()
CABINET = Cabinet()
FRIDGE = Fridge()
