"""Make ``docs/tasks``: a table of the registered tasks, a page and a picture of each; from the registry alone.

python scripts/make_docs.py [--check]

``--check`` compares the Markdown with the files, but no pictures, because their pixels depend on the renderer.
Without a Vulkan driver the pictures are left as they are.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np

from scaffold_bench.doctor import can_render
from scaffold_bench.envs.mdp import DEFAULT_FRAME_OFFSETS, PIECES, Sizes, observation_layout
from scaffold_bench.registration import get_task, make_env, task_ids
from scaffold_bench.tasks.base import HAND_TURN_NOISE, HAND_XYZ_NOISE, OBJECT_XY_NOISE, OBJECT_YAW_NOISE, Task, yaw_of
from scaffold_bench.types import StartState

FOLDER = Path(__file__).parent.parent / "docs" / "tasks"
PICTURE_SIZE, JPEG_QUALITY = 640, 85
PICTURE_STEP = 200
"""Control steps of the reference policy before the second picture: objects are under way in every task."""


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ("---",) * len(header), *rows))


def code(names: Sequence[str]) -> str:
    """Names set as code, or "none"."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def info_keys(env_id: str) -> list[str]:
    """Keys of ``info`` after one step in the first evaluation state."""
    env = make_env(env_id, split="eval", tracking_threshold=None)
    env.reset(seed=0, options={"state": 0})
    info = env.step(np.zeros(env.task.spec.action_dim, np.float32))[4]
    env.close()
    return list(info)


def start_table(task: Task, start: StartState) -> str:
    """Default start pose and its range, one row per object and one for the hand."""
    rows = [
        (
            name,
            *(f"{value:.3f} to {value + OBJECT_XY_NOISE:.3f}" for value in pose[:2]),
            *(f"{pose[2]:.3f}", f"yaw {yaw_of(pose):.2f} ± {OBJECT_YAW_NOISE:g}"),
        )
        for name, pose in start.objects.items()
    ]
    angles = ", ".join(f"{value + 0.0:.2f}" for value in start.wrist[3:])
    places = (f"{value:.2f} ± {HAND_XYZ_NOISE:g}" for value in start.wrist[:3])
    rows.append(("hand", *places, f"({angles}) ± {HAND_TURN_NOISE:.2f} each"))
    lines = [table(("", "x [m]", "y [m]", "z [m]", "angles [rad]"), rows)]
    if start.joints:
        fixed = ", ".join(f"`{name}` {value:g}" for name, value in start.joints.items())
        lines.append(f"\nJoints start at: {fixed}.")
    if type(task).sample_start is not Task.sample_start:
        lines.append(
            "\nThis task draws its starts by a rule of its own, `sample_start`; the ranges above are the usual."
        )
    return "\n".join(lines)


def schedule(task: Task) -> str:
    """The reference policy's finger commands in words."""
    knots = [(step, np.atleast_1d(command)) for step, command in task.finger_schedule]
    return "; ".join(f"step {step:g}: {', '.join(f'{value:g}' for value in values)}" for step, values in knots)


def page(env_id: str) -> str:
    """The Markdown page of one task."""
    task = get_task(env_id)
    spec, start = task.spec, task.default_start()
    story = (inspect.getdoc(inspect.getmodule(type(task))) or "").partition("\n\n")[2]
    source = f"{type(task).__module__.replace('.', '/')}.py"
    keys = info_keys(env_id)
    measures = [key for key in keys if key.startswith("measure/")]
    attachments = task.reference_plan(start).attachments
    sizes = Sizes.of(task.robot, len(spec.keypoints), len(DEFAULT_FRAME_OFFSETS))
    layout = observation_layout(sizes)
    commands = "all fingers together" if spec.finger_commands == 1 else ", ".join(task.robot.fingers)
    facts = [
        ("instruction, short name", f"“{spec.instruction}”, `{spec.name}`"),
        ("capability", spec.capability),
        ("success", spec.success),
        ("tracking threshold ε₀", f"{100 * spec.tracking_threshold:g} cm"),
        (
            "action",
            f"{spec.action_dim} numbers in [-1, 1]: 6 wrist residuals, {spec.finger_commands} finger command(s)",
        ),
        ("finger commands", f"{spec.finger_commands} ({commands})"),
        ("observation", f"{sum(piece.count(sizes) for piece in PIECES)} numbers"),
        ("scene, source", f"{task.scene}, [`{source}`](../../{source})"),
        ("tracked bodies", code(spec.bodies)),
        ("tracked joints", code(spec.joints)),
    ]
    parts = [
        f"<!-- Made by scripts/make_docs.py; do not edit. -->\n\n# {spec.id}",
        f"![{spec.instruction}: start, and step {PICTURE_STEP} of the reference policy]({spec.name}.jpg)",
        f"Evaluation state 0: the start, and step {PICTURE_STEP} of the reference policy. Dots: the plan still ahead; "
        "rings: tracked keypoints.",
        story,
        table(("", ""), facts),
        "## Keypoints",
        table(("keypoint", "attached to"), [(k, f"`{b}`") for k, b in zip(spec.keypoints, attachments, strict=True)]),
        "## Observation",
        f"K = {len(spec.keypoints)} keypoints, plan frames {', '.join(map(str, DEFAULT_FRAME_OFFSETS))} steps ahead.",
        table(
            ("piece", "slice", "numbers", "unit"),
            [
                (f"`{p.name}`", f"{layout[p.name].start}:{layout[p.name].stop}", str(p.count(sizes)), p.unit)
                for p in PIECES
            ],
        ),
        "## Start states",
        start_table(task, start),
        "## Info",
        f"Measures of this task: {code(measures)}.",
        f"Common to all tasks: {code([key for key in keys if key not in measures])}.",
        f"## Reference policy\n\nFinger commands, linear in between ({schedule(task)}).",
        "## Notes and deviations" if spec.notes else "",
        "\n".join(f"- {note}" for note in spec.notes),
        "All deviations from the paper and from the authors' code: [deviations.md](../deviations.md).",
        "## Example",
        "```python\nimport gymnasium as gym\nimport numpy as np\nimport scaffold_bench  # registers the ids\n\n"
        f'env = gym.make("{spec.id}", split="eval", tracking_threshold=None)\n'
        'observation, info = env.reset(seed=0, options={"state": 0})\n'
        f"action = np.zeros({spec.action_dim}, np.float32)  # follow the plan with an open hand\n"
        "observation, reward, terminated, truncated, info = env.step(action)\n"
        f'print(info["{measures[0]}"], info["success"])\n```',
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """The Markdown table of all tasks."""
    rows = []
    for env_id in task_ids():
        spec = get_task(env_id).spec
        picture = f'<a href="{spec.name}.md"><img src="{spec.name}.jpg" width="300" alt="{spec.instruction}"></a>'
        names = (f"[{spec.name}]({spec.name}.md)", f"`{env_id}`")
        rows.append((picture, *names, spec.capability, ", ".join(spec.keypoints), spec.success))
    title = "<!-- Made by scripts/make_docs.py; do not edit. -->\n\n# Tasks\n\n"
    return title + table(("", "name", "id", "capability", "keypoints", "success"), rows) + "\n"


def picture(env_id: str) -> np.ndarray:
    """Evaluation state 0 at the start and under way, side by side."""
    camera = {"width": PICTURE_SIZE, "height": PICTURE_SIZE}
    options: dict[str, Any] = {"render_mode": "rgb_array", "human_render_camera_configs": camera}
    env = make_env(env_id, split="eval", tracking_threshold=None, **options)
    env.reset(seed=0, options={"state": 0})
    images = [env.render()]
    for step in range(PICTURE_STEP):
        env.step(env.task.reference_action(step, env.scaffold))
    images.append(env.render())
    env.close()
    return np.concatenate(images, axis=1)


def overview(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Every task under way, half size, in two rows."""
    small = [image[::2, PICTURE_SIZE::2] for image in pictures]
    half = (len(small) + 1) // 2
    return np.concatenate([np.concatenate(small[:half], axis=1), np.concatenate(small[half:], axis=1)], axis=0)


def main() -> int:
    pages = {"README.md": index(), **{f"{get_task(env_id).spec.name}.md": page(env_id) for env_id in task_ids()}}
    if "--check" in sys.argv[1:]:
        for name, text in pages.items():
            if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text:
                sys.exit(f"docs/tasks/{name} is not what scripts/make_docs.py makes; run 'make docs' and commit it")
        print(f"checked {len(pages)} pages")
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    rendering, reason = can_render()
    if rendering:
        pictures = [picture(env_id) for env_id in task_ids()]
        for env_id, image in zip(task_ids(), pictures, strict=True):
            imageio.imwrite(FOLDER / f"{get_task(env_id).spec.name}.jpg", image, quality=JPEG_QUALITY)
        imageio.imwrite(FOLDER / "all.jpg", overview(pictures), quality=JPEG_QUALITY)
    else:
        print(f"no Vulkan driver ({reason}); the pictures are left as they are")
    print(f"wrote {len(pages)} pages{' and their pictures' if rendering else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
