"""What tests of plan files share: plans of many shapes, and files of them."""

import numpy as np

from scaffold_bench.scaffolds import ScaffoldEntry, save_scaffolds, scaffold_from_waypoints
from scaffold_bench.types import EPISODE_STEPS, Scaffold, Waypoints

ATTACHMENTS = ("hammer", "world")


PROVENANCE = {"provider": "vlm", "model": "m-1", "waypoints": 20, "temperature": 0.5, "cached": True}


def coarse(count=20, seed=0, attachments=ATTACHMENTS, timed=False):
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.sort(rng.uniform(0.01, 0.99, count - 2)), [1.0]]) if timed else None
    # steps of millimetres, so that even two waypoints a frame apart are credible
    keypoints = np.cumsum(rng.uniform(-1e-3, 1e-3, (count, len(attachments), 3)), axis=0)
    return Waypoints(keypoints, np.cumsum(rng.uniform(-1e-3, 1e-3, (count, 6)), axis=0), attachments, times)


def plan(task="hammer", valid=True, reason="", provenance=PROVENANCE, **shape):
    return scaffold_from_waypoints(task, coarse(**shape), provenance, valid, reason)


def save(path, *plans, split="eval"):
    save_scaffolds(path, [ScaffoldEntry(scaffold, split, state) for state, scaffold in enumerate(plans)])
    return path


def hold_still():
    frames = EPISODE_STEPS + 1
    return Scaffold("drawer", np.zeros((frames, 1, 3)), np.zeros((frames, 6)), ("world",))
