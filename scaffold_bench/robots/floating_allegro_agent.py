"""The floating Allegro hand in ManiSkill.

Kinematics, inertias, collision boxes and meshes are those that ship inside the mani_skill wheel; six dummy joints
(three prismatic, then three revolute) are put in front of the hand's base, as in the authors' code. So the six
wrist joints are (x, y, z, a, b, c) of ``base_link`` with the rotation Rx(a) Ry(b) Rz(c).
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

from mani_skill import PACKAGE_ASSET_DIR
from mani_skill.agents.controllers import PDJointPosControllerConfig
from mani_skill.agents.registration import register_agent

from scaffold_bench.robots.agent import HandAgent
from scaffold_bench.robots.floating_allegro import FINGER_JOINTS, WRIST_JOINTS, FloatingAllegro

WRIST_STIFFNESS, WRIST_DAMPING, WRIST_FORCE = 2000.0, 100.0, 1000.0  # paper, Table 2
FINGER_STIFFNESS, FINGER_DAMPING, FINGER_FORCE = 10.0, 0.3, 10.0  # paper, Table 2
TIP_STATIC_FRICTION, TIP_DYNAMIC_FRICTION, TIP_PATCH_RADIUS = 2.0, 1.0, 0.1  # paper, Table 2; authors' code
WRIST_TRANSLATION_LIMIT = 10.0  # metres (authors' code)
WRIST_ROTATION_LIMIT = 12.566370614359172  # radians, two turns (authors' code)
DUMMY_MASS, DUMMY_INERTIA = 0.01, 1e-4  # kg, kg m^2 (authors' code)


def hand_urdf() -> str:
    """Return the URDF of the floating hand: mani_skill's right Allegro behind six dummy joints."""
    folder = Path(PACKAGE_ASSET_DIR) / "robots" / "allegro"
    root = ElementTree.parse(folder / "allegro_hand_right_glb.urdf").getroot()
    for mesh in root.iter("mesh"):
        mesh.set("filename", str(folder / mesh.attrib["filename"]))

    parent = "wrist_root"
    ElementTree.SubElement(root, "link", name=parent)
    for name, axis in zip(WRIST_JOINTS, ("1 0 0", "0 1 0", "0 0 1") * 2, strict=True):
        translation = "translation" in name
        child = FloatingAllegro.wrist_link if name == WRIST_JOINTS[-1] else f"{name}_link"
        if child != FloatingAllegro.wrist_link:
            inertial = ElementTree.SubElement(ElementTree.SubElement(root, "link", name=child), "inertial")
            ElementTree.SubElement(inertial, "mass", value=str(DUMMY_MASS))
            diagonal = {"ixx": str(DUMMY_INERTIA), "iyy": str(DUMMY_INERTIA), "izz": str(DUMMY_INERTIA)}
            ElementTree.SubElement(inertial, "inertia", {**diagonal, "ixy": "0", "ixz": "0", "iyz": "0"})
        joint = ElementTree.SubElement(root, "joint", name=name, type="prismatic" if translation else "revolute")
        limit = WRIST_TRANSLATION_LIMIT if translation else WRIST_ROTATION_LIMIT
        ElementTree.SubElement(joint, "parent", link=parent)
        ElementTree.SubElement(joint, "child", link=child)
        ElementTree.SubElement(joint, "axis", xyz=axis)
        bounds = {"lower": str(-limit), "upper": str(limit), "effort": str(WRIST_FORCE), "velocity": "3.14"}
        ElementTree.SubElement(joint, "limit", bounds)
        parent = child
    return ElementTree.tostring(root, encoding="unicode")


@register_agent()
class FloatingAllegroAgent(HandAgent):
    """Builds :class:`FloatingAllegro`."""

    uid = FloatingAllegro.uid
    robot_type = FloatingAllegro
    urdf_config: ClassVar[dict[str, Any]] = dict(
        _materials=dict(
            tip=dict(static_friction=TIP_STATIC_FRICTION, dynamic_friction=TIP_DYNAMIC_FRICTION, restitution=0.0)
        ),
        link={
            name: dict(material="tip", patch_radius=TIP_PATCH_RADIUS, min_patch_radius=TIP_PATCH_RADIUS)
            for name in FloatingAllegro.tip_links
        },
    )

    @classmethod
    def urdf(cls) -> str:
        return hand_urdf()

    @property
    def _controller_configs(self) -> dict[str, Any]:
        wrist, fingers = len(WRIST_JOINTS), len(FINGER_JOINTS)
        return dict(
            joint_position=PDJointPosControllerConfig(
                list(FloatingAllegro.joints),
                lower=None,
                upper=None,
                stiffness=[WRIST_STIFFNESS] * wrist + [FINGER_STIFFNESS] * fingers,
                damping=[WRIST_DAMPING] * wrist + [FINGER_DAMPING] * fingers,
                force_limit=[WRIST_FORCE] * wrist + [FINGER_FORCE] * fingers,
                normalize_action=False,
            )
        )
