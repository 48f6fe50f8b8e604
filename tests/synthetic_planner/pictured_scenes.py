"""Scenes whose pictures only have to differ, for tests of the synthetic planner."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from scaffold_bench.envs.requests import EpisodeSource
from scaffold_bench.registration import get_task, start_states
from scaffold_bench.scaffolds.vlm import prompting
from scaffold_bench.scaffolds.vlm.answers import read_trajectory
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.scaffolds.vlm.provider import hand_of
from scaffold_bench.synthetic_planner import pictures
from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.pictures import StateIndex, flat_camera
from scaffold_bench.synthetic_planner.planner import SimulatedPlanner
from scaffold_bench.types import FloatArray, Scaffold, ScaffoldRequest

MODEL = "gemini-2.5-flash"


class Sees:
    """A provider whose requests are looked at here."""

    privileged, sees = False, True

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        raise NotImplementedError


def camera_of(task: Any) -> tuple[FloatArray, FloatArray]:
    """Intrinsics for a picture one pixel wide, and the camera's pose."""
    where = task.spec.camera
    forward = np.subtract(where.target, where.eye)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, where.eye], axis=1)
    focal = 0.5 / np.tan(where.fov / 2)
    return np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]]), pose


def picture(number: int) -> Image.Image:
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((160, 160), Image.Resampling.NEAREST)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Scene:
    """A task in a start state, as a planner is asked about it; ``picture(number)`` stands for its picture."""

    def __init__(self, name: str, number: int = 1) -> None:
        self.task = get_task(name)
        states = start_states(self.task, "eval")
        assert states is not None
        self.start = states[number]
        self.camera = flat_camera(*camera_of(self.task))
        self.request = EpisodeSource(self.task, Sees(), states, "eval").request(self.start, number, self.camera)
        thumbnails = np.stack([pictures.thumbnail(picture(index)) for index in range(3)])
        self.index = StateIndex(thumbnails, tuple(states[index] for index in range(3)), self.camera)
        self.names = self.task.spec.keypoints
        self.truth = self.task.reference_waypoints(self.start)(20)
        self.image = png(picture(number))

    def planner(self, rates: ErrorRates, seed: int = 0) -> SimulatedPlanner:
        return SimulatedPlanner(rates, seed, indexes={self.task.spec.name: self.index})

    def trajectory_prompt(self, keypoints: FloatArray, count: int = 20, examples: tuple[Example, ...] = ()) -> str:
        hand = hand_of(self.request, self.request.wrist)
        return prompting.trajectory_prompt(self.request, self.camera, keypoints, hand, count, examples)

    def ask(
        self, planner: SimulatedPlanner, error: FloatArray | None = None, count: int = 20, shown: int = 0
    ) -> tuple[FloatArray, FloatArray]:
        """The answer as world waypoints (N, K, 3) and hands (N, 3), if the keypoints were found with ``error``."""
        keypoints = self.truth.keypoints[0] + (0.0 if error is None else error)
        one = Example(keypoints, keypoints[0], keypoints[None], keypoints[:1])
        prompt = self.trajectory_prompt(keypoints, count, (one,) * shown)
        present, hand = keypoints - keypoints[0], hand_of(self.request, self.request.wrist) - keypoints[0]
        places, hands = read_trajectory(planner(prompt, self.image, MODEL), self.names, count, present, hand)
        return places + keypoints[0], hands + keypoints[0]

    def true_hands(self) -> FloatArray:
        return np.stack([hand_of(self.request, wrist) for wrist in self.truth.wrist])
