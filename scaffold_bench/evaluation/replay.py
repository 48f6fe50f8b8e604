"""Records an episode for the leaderboard's replay page: poses of the hand and the objects, planned and tracked
keypoints."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scaffold_bench.evaluation.rollout import run_episode
from scaffold_bench.files import write_atomically
from scaffold_bench.policies.base import Policy
from scaffold_bench.spec import CONTROL_DT, FloatArray
from scaffold_bench.submissions.trace import UNIT, Body, Frame, Trace, trace_json

if TYPE_CHECKING:  # brings the simulator
    from scaffold_bench.envs.env import ScaffoldEnv

STRIDE = 3
"""Control steps between frames: 20 frames per second, about 200 kB an episode."""
ROUND_SIDES = 10
"""Sides of a drawn cylinder."""

Mesh = tuple[FloatArray, list[list[int]]]
"""Vertices (V, 3), metres, and the faces' indices."""


def _integers(values: npt.ArrayLike) -> Any:
    """Nested lists of whole units; lengths in metres."""
    return np.rint(np.asarray(values, dtype=np.float64) / UNIT).astype(int).tolist()


def _box(half: FloatArray) -> Mesh:
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3))) * half
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return corners, faces


def _turned(profile: Sequence[tuple[float, float]]) -> Mesh:
    """What a profile of (x, radius) sweeps around the x axis, x increasing."""
    angles = 2 * np.pi * np.arange(ROUND_SIDES) / ROUND_SIDES
    rings = [np.stack([np.full(ROUND_SIDES, x), r * np.cos(angles), r * np.sin(angles)], axis=1) for x, r in profile]
    here = np.arange(len(profile) * ROUND_SIDES).reshape(len(profile), ROUND_SIDES)
    beside = np.roll(here, -1, axis=1)
    faces = np.stack([here[:-1], beside[:-1], beside[1:], here[1:]], axis=-1).reshape(-1, 4).tolist()
    for rim in (here[0, ::-1].tolist(), here[-1].tolist()):
        faces += [[rim[0], *edge] for edge in itertools.pairwise(rim[1:])]
    return np.concatenate(rings), faces


def _mesh(shape: Any) -> Mesh | None:
    """A collision shape as faces in its own frame; None for what has no end."""
    kind = type(shape).__name__.removeprefix("PhysxCollisionShape")
    if kind == "Box":
        return _box(np.asarray(shape.half_size, dtype=np.float64))
    if kind == "Sphere":
        return _turned([(shape.radius * np.cos(a), shape.radius * np.sin(a) + 1e-4) for a in np.linspace(np.pi, 0, 7)])
    if kind == "Cylinder":
        return _turned([(-shape.half_length, shape.radius), (shape.half_length, shape.radius)])
    if kind == "Capsule":
        length, radius = shape.half_length, shape.radius
        profile = [(-length - radius, radius / 3), (-length - radius / 3, radius), (length + radius / 3, radius)]
        return _turned([*profile, (length + radius, radius / 3)])
    if kind in ("ConvexMesh", "TriangleMesh"):
        return np.asarray(shape.vertices, dtype=np.float64) * np.asarray(shape.scale), shape.triangles.tolist()
    return None


def _body(name: str, kind: Any, shapes: Sequence[Any]) -> Body | None:
    """A body from its collision shapes; None for one that has none to draw."""
    vertices: list[list[int]] = []
    faces: list[list[int]] = []
    for shape in shapes:
        if (mesh := _mesh(shape)) is not None:
            local = shape.local_pose.to_transformation_matrix()
            faces += [[corner + len(vertices) for corner in face] for face in mesh[1]]
            vertices += _integers(mesh[0] @ local[:3, :3].T + local[:3, 3])
    return Body(name=name, kind=kind, vertices=vertices, faces=faces) if faces else None


def _bodies(env: ScaffoldEnv) -> Iterator[tuple[Body, Any]]:
    """What there is to draw, each body with the simulator's component that moves it."""
    hand = {link.name for link in env.agent.robot.links}
    for entity in env.scene.sub_scenes[0].entities:
        for component in entity.components:
            name = entity.name.removeprefix("scene-0_")
            kind = "hand" if name in hand else "scene" if "Static" in type(component).__name__ else "object"
            body = _body(name, kind, getattr(component, "collision_shapes", ()))
            if body is not None:
                yield body, component


def _frame(env: ScaffoldEnv, step: int, components: Iterable[Any], solved: bool) -> Frame:
    planned = env.scaffold.keypoints[min(step, len(env.scaffold.keypoints) - 1)]
    return Frame(
        wrist=_integers(env.agent.robot.links_map[env.task.robot.wrist_link].pose.raw_pose[0].cpu().numpy()),
        tips=_integers([link.pose.p[0].cpu().numpy() for link in env.agent.tip_links]),
        keypoints=_integers(env.keypoints[0].cpu().numpy()),
        planned=_integers(planned),
        poses=[_integers([*part.entity_pose.p, *part.entity_pose.q]) for part in components],
        solved=solved,
    )


def record_trace(env: ScaffoldEnv, policy: Policy, name: str, state: int, trial: int, method: str = "") -> Trace:
    """Run an episode and record it, a frame every :data:`STRIDE` steps.

    Args:
        env: a ``ScaffoldEnv`` with a frozen split and no tracking termination.
        policy: what acts. name: how it is called.
        state, trial: which episode.
        method: folder of the submission that it belongs to.
    """
    drawn: list[tuple[Body, Any]] = []
    frames: list[Frame] = []
    solved: list[bool] = []

    def note(env: ScaffoldEnv) -> None:
        step = len(solved)
        if step == 0:
            drawn.extend(_bodies(env))
        solved.append(step > 0 and bool(env.get_info()["success"][0]))
        if step % STRIDE == 0:
            frames.append(_frame(env, step, [component for _, component in drawn], any(solved)))

    record = run_episode(env, policy, state, trial, on_step=note)
    spec = env.task.spec
    return Trace(
        format=1,
        method=method,
        policy=name,
        task=spec.name,
        env_id=spec.id,
        instruction=spec.instruction,
        state=state,
        trial=trial,
        success=record.success_once,
        threshold=_integers(spec.tracking_threshold),
        seconds=CONTROL_DT * STRIDE,
        eye=_integers(spec.camera.eye),
        target=_integers(spec.camera.target),
        keypoint_names=list(spec.keypoints),
        bodies=[body for body, _ in drawn],
        frames=frames,
    )


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace as compact JSON."""
    write_atomically(path, trace_json(trace) + "\n")
