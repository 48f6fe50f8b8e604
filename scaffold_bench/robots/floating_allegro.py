"""The floating right Allegro hand: 22 degrees of freedom, no arm.

Kinematics, inertias, collision boxes and meshes are those that ship inside the mani_skill wheel; six dummy joints
(three prismatic, then three revolute) are put in front of the hand's base, as in the authors' code. So the six
wrist joints are (x, y, z, a, b, c) of ``base_link`` with the rotation Rx(a) Ry(b) Rz(c). Hand frame: +x is the palm
normal, +y the side of index finger and thumb, +z points along the open fingers.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

import torch
from mani_skill import PACKAGE_ASSET_DIR
from mani_skill.agents.base_agent import BaseAgent
from mani_skill.agents.controllers import PDJointPosControllerConfig
from mani_skill.agents.registration import register_agent

from scaffold_bench.control import JointLimits
from scaffold_bench.spec import FINGERTIPS, WRIST_DIM

WRIST_STIFFNESS, WRIST_DAMPING, WRIST_FORCE = 2000.0, 100.0, 1000.0  # paper, Table 2
FINGER_STIFFNESS, FINGER_DAMPING, FINGER_FORCE = 10.0, 0.3, 10.0  # paper, Table 2
TIP_STATIC_FRICTION, TIP_DYNAMIC_FRICTION, TIP_PATCH_RADIUS = 2.0, 1.0, 0.1  # paper, Table 2; authors' code
WRIST_TRANSLATION_LIMIT = 10.0  # metres (authors' code)
WRIST_ROTATION_LIMIT = 12.566370614359172  # radians, two turns (authors' code)
DUMMY_MASS, DUMMY_INERTIA = 0.01, 1e-4  # kg, kg m^2 (authors' code)

WRIST_JOINTS = tuple(f"wrist_{kind}_{axis}" for kind in ("translation", "rotation") for axis in "xyz")
TIP_LINKS = ("link_3.0_tip", "link_7.0_tip", "link_11.0_tip", "link_15.0_tip")
"""Fingertip links in the order of :data:`FINGERTIPS`."""
_JOINTS_PER_FINGER = 4
# The Allegro URDF numbers joints finger by finger; SAPIEN orders them by depth in the kinematic tree:
# 0, 4, 8, 12, then 1, 5, 9, 13, ... So finger f owns columns f, f + 4, f + 8, f + 12 of the finger joints.
FINGER_OF_JOINT = tuple(range(len(FINGERTIPS))) * _JOINTS_PER_FINGER
FINGER_JOINTS = tuple(
    f"joint_{_JOINTS_PER_FINGER * finger + depth}.0"
    for depth in range(_JOINTS_PER_FINGER)
    for finger in range(len(FINGERTIPS))
)


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
        child = "base_link" if name == WRIST_JOINTS[-1] else f"{name}_link"
        if child != "base_link":
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
class FloatingAllegro(BaseAgent):  # type: ignore[misc]  # mani_skill is untyped
    """ManiSkill agent for the floating hand. Its one controller takes absolute joint positions (22,)."""

    uid = "scaffold_floating_allegro_right"
    urdf_config: ClassVar[dict[str, Any]] = dict(
        _materials=dict(
            tip=dict(static_friction=TIP_STATIC_FRICTION, dynamic_friction=TIP_DYNAMIC_FRICTION, restitution=0.0)
        ),
        link={
            name: dict(material="tip", patch_radius=TIP_PATCH_RADIUS, min_patch_radius=TIP_PATCH_RADIUS)
            for name in TIP_LINKS
        },
    )

    def _load_articulation(self, initial_pose: Any = None) -> None:
        with tempfile.TemporaryDirectory(prefix="scaffold-bench-") as folder:
            self.urdf_path = str(Path(folder) / "floating_allegro_right.urdf")
            Path(self.urdf_path).write_text(hand_urdf(), encoding="utf-8")
            super()._load_articulation(initial_pose)

    def _after_loading_articulation(self) -> None:
        names = tuple(joint.name for joint in self.robot.active_joints)
        if names != WRIST_JOINTS + FINGER_JOINTS:
            raise RuntimeError(f"unexpected joint order of the hand: {names}; is this sapien version supported?")
        for link in self.robot.links:
            link.disable_gravity = True  # the hand floats (paper, Table 2; authors' code)

    def _after_init(self) -> None:
        self.tip_links = [self.robot.links_map[name] for name in TIP_LINKS]

    @property
    def _controller_configs(self) -> dict[str, Any]:
        wrist, fingers = len(WRIST_JOINTS), len(FINGER_JOINTS)
        return dict(
            joint_position=PDJointPosControllerConfig(
                [*WRIST_JOINTS, *FINGER_JOINTS],
                lower=None,
                upper=None,
                stiffness=[WRIST_STIFFNESS] * wrist + [FINGER_STIFFNESS] * fingers,
                damping=[WRIST_DAMPING] * wrist + [FINGER_DAMPING] * fingers,
                force_limit=[WRIST_FORCE] * wrist + [FINGER_FORCE] * fingers,
                normalize_action=False,
            )
        )

    def joint_limits(self) -> JointLimits:
        """Limits of the 22 joints, on the simulation's device."""
        limits = self.robot.get_qlimits()[0].to(torch.float32)
        return JointLimits(limits[:, 0], limits[:, 1], torch.tensor(FINGER_OF_JOINT, device=limits.device))

    def open_joints(self, wrist: torch.Tensor) -> torch.Tensor:
        """Joint positions (n, 22) for wrists (n, 6) with open fingers, which is their lower limit."""
        fingers = self.joint_limits().lower[WRIST_DIM:]
        return torch.cat([wrist, fingers.expand(len(wrist), -1)], dim=1)
