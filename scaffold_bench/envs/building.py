"""Puts the place and the task's objects into a scene."""

from __future__ import annotations

from typing import Any

from scaffold_bench.objects.scenes import PLACE_CONTACT_OFFSET, build_counter, build_floor


def build_task(task: Any, scene: Any) -> Any:
    """Build the place and the task's objects in a ManiSkill scene; return what the task built.

    Raises:
        ValueError: the task built other bodies or joints than its spec names.
    """
    {"counter": build_counter, "floor": build_floor}[task.scene](scene)
    made = task.build(scene)
    for actor in scene.actors.values():
        if actor.px_body_type == "static":
            for component in actor._bodies:
                for shape in component.collision_shapes:
                    shape.set_contact_offset(PLACE_CONTACT_OFFSET)
    for field, parts in (("bodies", made.bodies), ("joints", made.joints)):
        if disputed := set(getattr(task.spec, field)) ^ set(parts):
            raise ValueError(f"{task.spec.id}: build() and spec.{field} disagree about {sorted(disputed)}")
    return made
