"""Pictures of episodes: videos with the plan drawn in, tracking plots, single views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaffold_bench.evaluation.rollout import run_episode
from scaffold_bench.plan import Scaffold
from scaffold_bench.policies.base import Policy
from scaffold_bench.records.episode import EpisodeRecord
from scaffold_bench.spec import CONTROL_DT, FloatArray, TaskSpec

if TYPE_CHECKING:  # brings the simulator
    from scaffold_bench.envs.env import ScaffoldEnv

VIDEO_FPS = 30
VIDEO_SIZE = 512
"""Side of video frames, pixels."""
STEPS_PER_FRAME = round(1 / (CONTROL_DT * VIDEO_FPS))


def record_episode(
    env: ScaffoldEnv, policy: Policy, state: int, trial: int, video: Path | None, plot: Path
) -> EpisodeRecord:
    """Run one episode, write its tracking plot and, with a rendering environment, its video.

    Args:
        env: a ``ScaffoldEnv`` (with ``render_mode="rgb_array"`` if ``video`` is given).
        video: where the mp4 goes, or None.
        plot: where the PNG of planned against tracked keypoints goes.
    """
    keypoints: list[FloatArray] = []
    frames: list[np.ndarray] = []

    def note(env: ScaffoldEnv) -> None:
        if video is not None and len(keypoints) % STEPS_PER_FRAME == 0:
            frames.append(env.render())
        keypoints.append(env.keypoints[0].cpu().numpy().copy())

    record = run_episode(env, policy, state, trial, on_step=note)
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot_tracking(plot, env.task.spec, env.scaffold, np.stack(keypoints), record)
    if video is not None:
        write_video(video, frames)
    return record


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    """Write frames (H, W, 3) uint8 as an mp4 that browsers play."""
    import imageio.v3 as imageio

    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, np.stack(frames), plugin="FFMPEG", fps=VIDEO_FPS, codec="libx264", quality=7)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8."""
    import imageio.v3 as imageio

    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, image)


def plot_tracking(path: Path, spec: TaskSpec, plan: Scaffold, tracked: FloatArray, record: EpisodeRecord) -> None:
    """Plot planned against tracked keypoints over time, one column per keypoint, and the tracking error.

    Args:
        path: the PNG to write.
        tracked: (S, K, 3) tracked positions from frame 0 on, metres.
        record: for the title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(spec.keypoints)
    figure = Figure(figsize=(4.6 * count + 0.8, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, count, squeeze=False, sharex=True, height_ratios=(2, 1))
    seconds = np.arange(len(tracked)) * CONTROL_DT
    planned = plan.keypoints[: len(tracked)]
    for k, name in enumerate(spec.keypoints):
        for axis, color in enumerate(("#c1432e", "#3f8f4f", "#2b63a8")):
            axes[0, k].plot(seconds, planned[:, k, axis], "--", color=color, alpha=0.7, label=f"{'xyz'[axis]} planned")
            axes[0, k].plot(seconds, tracked[:, k, axis], color=color, label=f"{'xyz'[axis]} tracked")
        axes[0, k].set(title=name, ylabel="position [m]" if k == 0 else "")
        error = np.linalg.norm(tracked[:, k] - planned[:, k], axis=-1)
        axes[1, k].plot(seconds, 100 * error, color="#444444")
        axes[1, k].axhline(100 * spec.tracking_threshold, color="#999999", linestyle=":", linewidth=1)
        axes[1, k].annotate(
            "threshold ε₀", (0, 100 * spec.tracking_threshold), fontsize=8, color="#777777", va="bottom"
        )
        axes[1, k].set(xlabel="time [s]", ylabel="error [cm]" if k == 0 else "", ylim=(0, None))
    axes[0, 0].legend(fontsize=8, ncols=3, frameon=False)
    outcome = "solved" if record.success_once else "not solved"
    figure.suptitle(f"{spec.instruction}: state {record.state}, trial {record.trial}, {outcome}")
    figure.savefig(path, dpi=110)
