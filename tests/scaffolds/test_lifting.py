"""Pixels to points: the arithmetic on a made-up camera, and every task's camera against the meshes it looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh

from scaffold_bench.plan_sets.make import requests
from scaffold_bench.registration import get_task, make_env, task_names
from scaffold_bench.scaffolds.lifting import LiftingError, lift, project, unproject
from scaffold_bench.types import CameraView


def camera(size: int = 80) -> CameraView:
    """A camera 2 m above a table at height 0, looking down; +u is +x, +v is -y. A block of 10 cm covers 20 x 20 px."""
    depth = np.full((size, size), 2.0, np.float32)
    body = np.full((size, size), -1, np.int16)
    depth[20:40, 30:50], body[20:40, 30:50] = 1.9, 0
    depth[0, 0] = 0.0
    intrinsics = np.array([[100.0, 0, size / 2], [0, 100.0, size / 2], [0, 0, 1]])
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = 2.0
    return CameraView(np.zeros((size, size, 3), np.uint8), depth, body, intrinsics, pose)


def test_a_pixel_becomes_the_point_it_shows() -> None:
    lifted = lift(camera(), (50.0, 60.0), ("block",))
    np.testing.assert_allclose(lifted.position, [0.2, -0.4, 0.0], atol=1e-12)
    assert lifted.body == "world"
    on_block = lift(camera(), (35.5, 25.5), ("block",))
    np.testing.assert_allclose(on_block.position, [-0.0855, 0.2755, 0.1], atol=1e-7)
    assert on_block.body == "block"


def test_projecting_is_the_inverse_of_lifting() -> None:
    view = camera()
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    for point, pixel in zip(points, project(view, points), strict=True):
        np.testing.assert_allclose(unproject(view, tuple(pixel), 2.0 - point[2]), point, atol=1e-12)
    assert np.isnan(project(view, np.array([0.0, 0.0, 3.0]))).all()  # behind the camera


def test_a_pixel_beside_a_body_snaps_onto_it_but_not_from_afar() -> None:
    near, far = lift(camera(), (52.0, 30.5), ("block",)), lift(camera(), (58.0, 30.5), ("block",))
    assert (near.body, near.pixel) == ("block", (49.5, 30.5))
    assert near.position[2] == pytest.approx(0.1)
    assert (far.body, far.pixel) == ("world", (58.0, 30.5))
    assert lift(camera(), (52.0, 30.5), ("block",), snap=False).body == "world"


@pytest.mark.parametrize(
    ("pixel", "told"),
    [((-1.0, 5.0), "outside the picture"), ((5.0, 80.1), "outside"), ((0.2, 0.2), "nothing is seen")],
)
def test_pixels_that_show_nothing_are_refused(pixel: tuple[float, float], told: str) -> None:
    with pytest.raises(LiftingError, match=told):
        lift(camera(), pixel, ("block",))


# ------------------------------------------------------------------------------------------------ the tasks' cameras
def surface(env: Any, names: tuple[str, ...]) -> trimesh.Trimesh:
    """What is drawn of some bodies, in the world."""
    import sapien.render

    parts = []
    for name in names:
        entity = env._built.bodies[name]._objs[0]
        entity = getattr(entity, "entity", entity)
        drawn = entity.find_component_by_type(sapien.render.RenderBodyComponent)
        placed = entity.get_pose().to_transformation_matrix()
        for shape in drawn.render_shapes:
            local = shape.get_local_pose().to_transformation_matrix()
            if isinstance(shape, sapien.render.RenderShapeTriangleMesh):
                scale = np.asarray(shape.scale)
                for part in shape.parts:
                    mesh = trimesh.Trimesh(part.vertices * scale, part.triangles, process=False)
                    parts.append(mesh.apply_transform(placed @ local))
            elif isinstance(shape, sapien.render.RenderShapeBox):
                mesh = trimesh.creation.box(2 * np.asarray(shape.half_size))
                parts.append(mesh.apply_transform(placed @ local))
            else:
                raise AssertionError(f"no mesh for a {type(shape).__name__}")
    return trimesh.util.concatenate(parts)


def first_hit(mesh: trimesh.Trimesh, eye: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Where a ray first meets a mesh (Moeller and Trumbore, all triangles at once)."""
    corner, second, third = (mesh.triangles[:, i] for i in range(3))
    one, two = second - corner, third - corner
    across = np.cross(direction, two)
    slope = (one * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((eye - corner) * across).sum(1) / slope
        normal = np.cross(eye - corner, one)
        v = (normal @ direction) / slope
        away = (normal * two).sum(1) / slope
    hits = away[(np.abs(slope) > 1e-15) & (u >= 0) & (v >= 0) & (u + v <= 1) & (away > 0)]
    assert len(hits), "the ray misses the body"
    return np.asarray(eye + hits.min() * direction)


@pytest.mark.rendering
@pytest.mark.parametrize("task", task_names())
def test_lifting_a_keypoint_s_pixel_gives_the_surface_in_front_of_it(task: str) -> None:
    """The truth is where the camera's ray through the keypoint first meets the drawn mesh of the keypoint's body."""
    env = make_env(task, split="eval", render_mode="rgb_array")
    for state in (0, 1):
        env.reset(seed=0, options={"state": state})
        plan, view, bodies = env.scaffold, env.look(), env.task.spec.bodies
        eye = view.camera_to_world[:3, 3]
        for keypoint, body in zip(plan.keypoints[0].astype(float), plan.attachments, strict=True):
            lifted = lift(view, tuple(project(view, keypoint)), bodies)
            assert lifted.body == body
            if body == "world":
                assert np.linalg.norm(lifted.position - keypoint) < 0.005
                continue
            mesh = surface(env, (body,))
            ray = lifted.position - eye  # through the pixel that was finally read: a loop's hole shows the counter
            hit = first_hit(mesh, eye, ray / np.linalg.norm(ray))
            assert np.linalg.norm(hit - lifted.position) < 0.005
    env.close()


@pytest.mark.rendering
def test_the_plan_is_not_drawn_into_what_a_planner_sees() -> None:
    shown, hidden = (
        make_env("hammer", split="eval", render_mode="rgb_array", show_plan=show_plan) for show_plan in (True, False)
    )
    for env in (shown, hidden):
        env.reset(seed=0, options={"state": 0})
    shown.render()  # draws the plan
    np.testing.assert_array_equal(shown.look().rgb, hidden.look().rgb)
    shown.close()
    hidden.close()


def test_without_a_renderer_a_planner_that_sees_is_told_why() -> None:
    env = make_env("hammer")
    with pytest.raises(RuntimeError, match="made without a renderer, and a planner needs a picture"):
        env.look()
    env.close()


@pytest.mark.rendering
@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_request_carries_the_picture_only_to_who_sees(split: str) -> None:
    [(_, blind)] = requests("sponge", split, [3])
    assert blind.view is None
    assert not hasattr(blind, "start")
    [(_, seeing)] = requests("sponge", split, [3], sees=True)
    assert seeing.view.rgb.shape == (800, 800, 3)
    assert seeing.view.rgb.std() > 10
    assert seeing.keypoint_hints == get_task("sponge").spec.keypoint_hints
