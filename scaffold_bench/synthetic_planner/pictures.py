"""Finds the start state that a picture shows."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from scaffold_bench.files import write_atomically
from scaffold_bench.plan import CameraView
from scaffold_bench.registration import get_task, make_env
from scaffold_bench.spec import FloatArray, StartState

SPLITS = ("train", "eval")
PICTURE_SIZE, THUMBNAIL_SIZE = 128, 32
"""Sides of the pictures that are taken for the index and of the thumbnails that are kept of them, pixels."""
NEAR = 4.0
"""A picture shows the state with the nearest thumbnail if they differ by at most this, grey levels of 255, root mean
square. Measured: a state jittered as in a trial is within 3.2 of its own thumbnail, and on average 5 to 23 away from
the nearest other state's."""
INDEX_VERSION = 1
"""Part of the file names of kept indexes; raise it when the way they are made changes."""


@dataclass(frozen=True)
class StateIndex:
    """Finds the start state a picture shows.

    Attributes:
        thumbnails: (S, 32, 32, 3) uint8. starts: the S states they show.
        camera: the view they are seen from; its picture is one pixel wide, so that pixels are shares of any picture.
    """

    thumbnails: npt.NDArray[np.uint8]
    starts: tuple[StartState, ...]
    camera: CameraView

    def nearest(self, image: bytes | None) -> StartState | None:
        """The start state that an image file shows; None if it is not an image or shows none of the states."""
        if image is None:
            return None
        try:
            with Image.open(io.BytesIO(image)) as opened:
                seen = thumbnail(opened.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises on damaged files
            return None
        apart = np.sqrt(((self.thumbnails.astype(np.float32) - seen) ** 2).mean(axis=(1, 2, 3)))
        best = int(apart.argmin())
        return self.starts[best] if apart[best] <= NEAR else None


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Mean colours (32, 32, 3) uint8."""
    return np.asarray(image.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX), dtype=np.uint8)


def flat_camera(intrinsics: FloatArray, camera_to_world: FloatArray) -> CameraView:
    """A view (no picture) whose pixels (u, v) are shares of the picture, from 0 to 1.

    Args:
        intrinsics: (3, 3) for a picture one pixel wide. camera_to_world: (4, 4).
    """
    rgb, depth, body = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int16)
    return CameraView(rgb, depth, body, intrinsics, camera_to_world)


def build_index(task: str, starts: Sequence[StartState]) -> StateIndex:
    """Take a small picture of every state; 200 states take 25 to 85 s (measured, two busy CPU cores without a GPU).

    Raises:
        ValueError: no states. RuntimeError: no Vulkan driver.
    """
    if not starts:
        raise ValueError(f"the index of {task} needs at least one start state")
    small = {"width": THUMBNAIL_SIZE, "height": THUMBNAIL_SIZE}  # the environment's own camera is not used
    env = make_env(task, render_mode="rgb_array", show_plan=False, human_render_camera_configs=small)
    try:
        thumbnails, camera = _look_at(env, starts)
    finally:
        env.close()
    return StateIndex(thumbnails, tuple(starts), camera)


def _look_at(env: Any, starts: Sequence[StartState]) -> tuple[npt.NDArray[np.uint8], CameraView]:
    """Thumbnails of states, and the view they are seen from.

    A function of its own, so that the camera is freed before the environment closes.
    """
    from scaffold_bench.envs.camera import PlannerCamera

    camera = PlannerCamera(env.scene, env.task.spec.camera, PICTURE_SIZE)
    thumbnails = []
    for start in starts:
        env.reset(options={"start": start})
        view = camera.look([])
        thumbnails.append(thumbnail(Image.fromarray(view.rgb)))
    shares = np.diag([1 / PICTURE_SIZE, 1 / PICTURE_SIZE, 1.0]) @ view.intrinsics
    return np.stack(thumbnails), flat_camera(shares, view.camera_to_world)


def kept_index(folder: Path, task: str, starts: Sequence[StartState]) -> StateIndex:
    """:func:`build_index`, or the index that an earlier call with the same states and camera left in the folder.

    Delete the folder after a change of how the scenes look.
    """
    facts = repr((INDEX_VERSION, PICTURE_SIZE, THUMBNAIL_SIZE, get_task(task).spec.camera))
    digest = hashlib.sha256(facts.encode())
    for start in starts:
        poses = [np.asarray(start.objects[name], dtype="<f8") for name in sorted(start.objects)]
        joints = np.array([start.joints[name] for name in sorted(start.joints)], dtype="<f8")
        digest.update(b"".join(part.tobytes() for part in (np.asarray(start.wrist, dtype="<f8"), *poses, joints)))
    path = folder / f"{task}-{digest.hexdigest()[:16]}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            thumbnails = file["thumbnails"]
            camera = flat_camera(file["intrinsics"], file["camera_to_world"])
        if thumbnails.shape == (len(starts), THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3) and thumbnails.dtype == np.uint8:
            return StateIndex(thumbnails, tuple(starts), camera)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # there is none yet, or it is damaged: make it
    index = build_index(task, starts)
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        thumbnails=index.thumbnails,
        intrinsics=index.camera.intrinsics,
        camera_to_world=index.camera.camera_to_world,
    )
    write_atomically(path, packed.getvalue())
    return index
