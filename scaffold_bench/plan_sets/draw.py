"""Draws a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.plan import CameraView, Scaffold
from scaffold_bench.registration import get_task


def show_plan(path: Path, plan: Scaffold, view: CameraView | None) -> None:
    """Draw a plan's keypoints and paths as a PNG: over the camera's picture, if there is one, and in space."""
    from matplotlib.figure import Figure

    from scaffold_bench.scaffolds.lifting import project

    spec = get_task(plan.task).spec
    figure = Figure(figsize=(12 if view else 6, 6), layout="constrained")
    colors = [f"C{index}" for index in range(len(spec.keypoints))]
    if view is not None:
        picture = figure.add_subplot(1, 2, 1)
        picture.imshow(view.rgb)
        picture.set_axis_off()
        for name, color, track in zip(spec.keypoints, colors, plan.keypoints.transpose(1, 0, 2), strict=True):
            pixels = project(view, track.astype(np.float64))
            picture.plot(*pixels.T, "-", color=color, lw=1.5)
            picture.plot(*pixels[0], "o", color=color, mec="white", ms=9, label=name)
            picture.plot(*pixels[-1], "s", color=color, mec="white", ms=6)
        hand = project(view, plan.wrist[:, :3].astype(np.float64))
        picture.plot(*hand.T, ":", color="white", lw=1.2, label="wrist")
        picture.set(xlim=(0, view.rgb.shape[1]), ylim=(view.rgb.shape[0], 0))
        picture.legend(fontsize=8, loc="lower left")
    space: Any = figure.add_subplot(1, 2 if view else 1, 2 if view else 1, projection="3d")
    for name, color, track in zip(spec.keypoints, colors, plan.keypoints.transpose(1, 0, 2), strict=True):
        space.plot(*track.T, color=color, label=name)
        space.scatter(*track[0], color=color)
    space.plot(*plan.wrist[:, :3].T, ":", color="black", label="wrist")
    space.set(xlabel="x [m]", ylabel="y [m]", zlabel="z [m]")
    space.set_aspect("equal")
    space.legend(fontsize=8)
    state = "" if plan.valid else f": no plan ({plan.reason[:100]})"
    figure.suptitle(f"{spec.instruction}, plan by {plan.provenance.get('provider', '?')}{state}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
