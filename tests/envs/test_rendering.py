"""Pictures and videos: what they show, and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from scaffold_bench.evaluation.media import VIDEO_FPS, write_video
from scaffold_bench.registration import task_ids

pytestmark = pytest.mark.rendering

HAMMER, APPLE = "Scaffold-Hammer-v0", "Scaffold-MoveApple-v0"
SMALL = {"width": 160, "height": 160}


@pytest.fixture(scope="module")
def make(kept_envs: Callable[..., Any]) -> Callable[..., Any]:
    """Environments that render small pictures."""
    pictures = {"render_mode": "rgb_array", "human_render_camera_configs": SMALL}
    return lambda env_id, **kwargs: kept_envs(env_id, tracking_threshold=None, **pictures, **kwargs)


def picture(env: Any, state: int = 0) -> np.ndarray:
    env.reset(seed=0, options={"state": state})
    return env.render()


def changed(one: np.ndarray, other: np.ndarray, by: int = 40) -> float:
    """Share of pixels that differ visibly."""
    return float((np.abs(one.astype(int) - other.astype(int)).max(axis=-1) > by).mean())


def test_a_picture_is_800_pixels_square() -> None:
    env = gym.make(HAMMER, render_mode="rgb_array")
    image = picture(env)
    env.close()
    assert image.shape == (800, 800, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("env_id", task_ids())
def test_every_task_can_be_seen(make: Callable[..., Any], env_id: str) -> None:
    image = picture(make(env_id))
    assert image.shape == (160, 160, 3)
    assert image.std() > 20
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 200


def test_the_plan_is_drawn_unless_it_is_not_wanted(make: Callable[..., Any]) -> None:
    with_plan, without = (picture(make(HAMMER, show_plan=show)) for show in (True, False))
    assert 0.005 < changed(with_plan, without) < 0.2
    assert changed(without, picture(make(HAMMER, show_plan=False))) == 0


def test_the_rings_follow_the_tracked_keypoints(make: Callable[..., Any]) -> None:
    env, bare = make(HAMMER), make(HAMMER, show_plan=False)
    image, plain = picture(env), picture(bare)
    camera = env.unwrapped._human_render_cameras["render_camera"].camera
    projection = (camera.get_intrinsic_matrix()[0] @ camera.get_extrinsic_matrix()[0, :3]).numpy().astype(np.float64)
    for keypoint in env.unwrapped.keypoints[0].numpy():
        x, y, depth = projection @ [*keypoint, 1.0]
        column, row = round(x / depth), round(y / depth)
        assert 8 < column < 152
        assert 8 < row < 152
        around = np.s_[row - 5 : row + 6, column - 5 : column + 6]
        assert changed(image[around], plain[around]) > 0.1


def test_pictures_show_the_new_state_after_a_reset_and_the_motion_after_steps(make: Callable[..., Any]) -> None:
    env = make(HAMMER, show_plan=False)
    first, again, other = picture(env, 0), picture(env, 0), picture(env, 3)
    np.testing.assert_array_equal(first, again)
    assert changed(first, other) > 0.02
    for step in range(60):
        env.step(env.unwrapped.task.reference_action(step, env.unwrapped.scaffold))
    assert changed(other, env.render()) > 0.02
    np.testing.assert_array_equal(picture(env, 0), first)


@pytest.mark.parametrize("env_id", [HAMMER, APPLE])
def test_physics_is_the_same_with_pictures_and_without(make: Callable[..., Any], env_id: str) -> None:
    blind = gym.make(env_id, tracking_threshold=None)
    rollouts = []
    for env, look in (
        (blind, False),
        (make(env_id), False),
        (make(env_id), True),
        (make(env_id, show_plan=False), True),
    ):
        seen = [env.reset(seed=0, options={"state": 2})[0]]
        for step in range(160):
            action = env.unwrapped.task.reference_action(step, env.unwrapped.scaffold)
            observation, reward, *_ = env.step(action)
            seen.append(np.append(observation, np.float32(reward)))
            if look and step % 40 == 0:
                env.render()
        rollouts.append(b"".join(row.tobytes() for row in seen))
    blind.close()
    assert rollouts[1] == rollouts[0]  # a renderer is there
    assert rollouts[2] == rollouts[0]  # and used
    assert rollouts[3] == rollouts[0]


def test_a_video_can_be_read_back(tmp_path: Path) -> None:
    import imageio.v3 as imageio

    frames = [np.full((64, 96, 3), (0, 0, 0), np.uint8) for _ in range(23)]
    for number, frame in enumerate(frames):
        frame[:, : 4 * number] = (200, 40, 40)
    path = tmp_path / "new" / "clip.mp4"
    write_video(path, frames)
    read = imageio.imread(path)
    assert read.shape == (23, 64, 96, 3)
    for number, frame in enumerate(read):
        assert frame[..., 0].mean() == pytest.approx(frames[number][..., 0].mean(), abs=6)
    assert imageio.immeta(path)["fps"] == VIDEO_FPS


def test_view_writes_a_picture(command_line: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    import imageio.v3 as imageio

    code, out, _ = command_line("view", "hammer", "--size", "128")
    assert code == 0
    assert "runs/views/hammer.png" in out
    image = imageio.imread(tmp_path / "runs" / "views" / "hammer.png")
    assert image.shape == (128, 128, 3)
    assert image.std() > 20
