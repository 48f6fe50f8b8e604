"""The floating right Allegro hand: 22 degrees of freedom, no arm. :mod:`.floating_allegro_agent` builds it.

Hand frame: +x is the palm normal, +y the side of index finger and thumb, +z points along the open fingers.
"""

from __future__ import annotations

from scaffold_bench.robots.base import FloatingHand
from scaffold_bench.spec import FINGERTIPS

WRIST_JOINTS = tuple(f"wrist_{kind}_{axis}" for kind in ("translation", "rotation") for axis in "xyz")
_JOINTS_PER_FINGER = 4
# The Allegro URDF numbers joints finger by finger; SAPIEN orders them by depth in the kinematic tree:
# 0, 4, 8, 12, then 1, 5, 9, 13, ... So finger f owns columns f, f + 4, f + 8, f + 12 of the finger joints.
FINGER_JOINTS = tuple(
    f"joint_{_JOINTS_PER_FINGER * finger + depth}.0"
    for depth in range(_JOINTS_PER_FINGER)
    for finger in range(len(FINGERTIPS))
)


class FloatingAllegro(FloatingHand):
    """Six wrist joints, then sixteen finger joints."""

    uid = "scaffold_floating_allegro_right"
    agent_module = "scaffold_bench.robots.floating_allegro_agent"
    joints = (*WRIST_JOINTS, *FINGER_JOINTS)
    fingers = FINGERTIPS
    wrist_link = "base_link"
    tip_links = ("link_3.0_tip", "link_7.0_tip", "link_11.0_tip", "link_15.0_tip")
    finger_of_joint = tuple(range(len(FINGERTIPS))) * _JOINTS_PER_FINGER
