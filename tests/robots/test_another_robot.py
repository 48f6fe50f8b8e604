"""A robot is one file: a toy hand of three fingers with two joints each, and a task for it, from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from mani_skill.agents.controllers import PDJointPosControllerConfig
from mani_skill.agents.registration import register_agent

import scaffold_bench
from scaffold_bench import registration
from scaffold_bench.evaluation import make_policy
from scaffold_bench.evaluation.replay import record_trace
from scaffold_bench.objects.shapes import build_apple
from scaffold_bench.robots.agent import HandAgent
from scaffold_bench.robots.base import FloatingHand
from scaffold_bench.tasks.base import BuiltTask, Task, path, pose, wrist_at
from scaffold_bench.types import Camera, Measures, Memory, SceneState, StartState, TaskSpec, Waypoints

FINGERS = ("left", "middle", "right")
SLIDES = tuple(f"slide_{axis}" for axis in "xyz")
TURNS = tuple(f"turn_{axis}" for axis in "xyz")
KNUCKLES = tuple(f"{part}_{finger}" for part in ("root", "tip") for finger in FINGERS)  # SAPIEN's order: by depth
HORIZON = 90


class ToyHand(FloatingHand):
    """Twelve joints: six of the wrist, two of each finger."""

    uid = "toy_hand"
    agent_module = __name__
    joints = (*SLIDES, *TURNS, *KNUCKLES)
    fingers = FINGERS
    wrist_link = "palm"
    tip_links = tuple(f"link_tip_{finger}" for finger in FINGERS)
    finger_of_joint = (0, 1, 2, 0, 1, 2)


def link(name: str, size: str = "0.02 0.02 0.05") -> str:
    inertia = '<inertia ixx="1e-4" iyy="1e-4" izz="1e-4" ixy="0" ixz="0" iyz="0"/>'
    shape = f'<collision><geometry><box size="{size}"/></geometry></collision>'
    return f'<link name="{name}"><inertial><mass value="0.02"/>{inertia}</inertial>{shape if size else ""}</link>'


def joint(name: str, kind: str, parent: str, child: str, axis: str, limits: tuple[float, float], at: str) -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/><origin xyz="{at}"/>'
        f'<axis xyz="{axis}"/><limit lower="{limits[0]}" upper="{limits[1]}" effort="100" velocity="5"/></joint>'
    )


@register_agent()
class ToyHandAgent(HandAgent):
    uid = ToyHand.uid
    robot_type = ToyHand

    @classmethod
    def urdf(cls) -> str:
        parts, parent = ['<link name="base"/>'], "base"
        axes = ("1 0 0", "0 1 0", "0 0 1") * 2
        for number, (name, axis) in enumerate(zip((*SLIDES, *TURNS), axes, strict=True)):
            child = "palm" if number == 5 else f"link_{name}"
            parts.append(link(child, "0.08 0.08 0.02" if child == "palm" else ""))
            kind, limit = ("prismatic", 5.0) if number < 3 else ("revolute", 6.3)
            parts.append(joint(name, kind, parent, child, axis, (-limit, limit), "0 0 0"))
            parent = child
        for side, finger in zip((-0.03, 0.0, 0.03), FINGERS, strict=True):
            for part, upper, at in (("root", "palm", f"{side} 0 0.05"), ("tip", f"link_root_{finger}", "0 0 0.06")):
                parts.append(link(f"link_{part}_{finger}"))
                parts.append(
                    joint(f"{part}_{finger}", "revolute", upper, f"link_{part}_{finger}", "1 0 0", (-0.1, 1.2), at)
                )
        return f'<robot name="toy">{"".join(parts)}</robot>'

    @property
    def _controller_configs(self) -> dict[str, Any]:
        wrist, knuckles = 6, len(KNUCKLES)
        return dict(
            joint_position=PDJointPosControllerConfig(
                list(ToyHand.joints),
                lower=None,
                upper=None,
                stiffness=[2000.0] * wrist + [5.0] * knuckles,
                damping=[100.0] * wrist + [0.3] * knuckles,
                force_limit=[1000.0] * wrist + [5.0] * knuckles,
                normalize_action=False,
            )
        )


class Nudge(Task):
    """Push the apple a little: one and a half seconds, three finger commands."""

    robot = ToyHand
    scene = "floor"
    spec = TaskSpec(
        id="Toy-Nudge-v0",
        name="nudge",
        instruction="Nudge the apple",
        capability="semantic",
        keypoints=("apple",),
        success="the apple has moved by 2 cm",
        tracking_threshold=0.5,
        finger_commands=3,
        wrist_start=(0.0, 0.0, 0.3, 0.0, 0.0, 0.0),
        bodies=("apple",),
        horizon=HORIZON,
        camera=Camera(eye=(1.0, 0.0, 1.0), target=(0.0, 0.0, 0.0)),
    )
    finger_schedule = ((0, (0.0, 0.0, 0.0)), (30, (0.5, 0.5, 0.5)))

    def build(self, scene: Any) -> BuiltTask:
        apple = build_apple(scene)
        return BuiltTask(objects={"apple": apple}, bodies={"apple": apple})

    def default_start(self) -> StartState:
        return StartState(np.array(self.spec.wrist_start), {"apple": pose((0.3, 0.0, 0.04))})

    def reference_plan(self, start: StartState) -> Waypoints:
        apple = start.objects["apple"][:3]
        through = wrist_at(apple + np.array([0.1, 0, 0.02]), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        beside = wrist_at(apple - np.array([0.2, 0, -0.02]), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        keypoints = path((10, apple), (19, apple + np.array([0.1, 0, 0])))
        return Waypoints(keypoints[:, None], path((0, start.wrist), (8, beside), (19, through)), ("apple",))

    def initial_memory(self, state: SceneState) -> Memory:
        return {"start": state.bodies["apple"][:, :3].clone()}

    def measures(self, state: SceneState, memory: Memory) -> Measures:
        return {"moved": (state.bodies["apple"][:, :2] - memory["start"][:, :2]).norm(dim=1)}

    def success(self, measures: Measures) -> Any:
        return measures["moved"] > 0.02


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    scaffold_bench.register_task(Nudge)
    yield
    gym.registry.pop(Nudge.spec.id)
    registration._tasks.pop(Nudge.spec.id)


def test_spaces_follow_the_robot_and_the_horizon() -> None:
    env = gym.make("Toy-Nudge-v0")
    base: Any = env.unwrapped
    assert env.action_space.shape == (6 + 3,)
    sizes = {name: piece.stop - piece.start for name, piece in base.observation_layout.items()}
    assert sizes["joint_position"] == sizes["joint_velocity"] == sizes["smoothed_target"] == 12
    assert sizes["fingertip_poses"] == 3 * 7
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info["tip_forces"].shape == (3,)
    assert len(base.scaffold.wrist) == HORIZON + 1
    assert env.spec is not None
    assert env.spec.max_episode_steps == HORIZON
    env.close()


def test_one_and_many_have_the_same_bits_and_end_together() -> None:
    single: Any = gym.make("Toy-Nudge-v0", tracking_threshold=None, split="eval")
    batch: Any = gym.make_vec("Toy-Nudge-v0", num_envs=2, tracking_threshold=None, split="eval", autoreset=False)
    seen, _ = batch.reset(seed=0, options={"state": [1, 2]})
    alone, _ = single.reset(seed=0, options={"state": 1})
    np.testing.assert_array_equal(alone, seen[0])
    rng = np.random.default_rng(0)
    for step in range(1, HORIZON + 1):
        actions = rng.uniform(-1, 1, (2, 9)).astype(np.float32)
        seen, _, _, truncated, _ = batch.step(actions)
        alone, _, _, ended, _ = single.step(actions[0])
        np.testing.assert_array_equal(alone, seen[0])
        assert truncated.all() == ended == (step == HORIZON)
    single.close()
    batch.close()


def test_the_reference_is_evaluated_to_its_own_horizon() -> None:
    results = scaffold_bench.evaluate("reference", tasks=["nudge"], states=3)
    assert [record.length for record in results.records] == [HORIZON] * 3
    assert [record.success_once for record in results.records] == [True] * 3
    still = scaffold_bench.evaluate("plan-only", tasks=["nudge"], states=1)
    assert still.records[0].length == HORIZON


def test_a_plan_for_another_horizon_is_refused() -> None:
    env = gym.make("Toy-Nudge-v0")
    base: Any = env.unwrapped
    env.reset(seed=0)
    waypoints = base.task.reference_plan(base.start_state)
    longer = scaffold_bench.scaffold_from_waypoints("nudge", waypoints, {})
    with pytest.raises(scaffold_bench.InvalidScaffoldError, match=f"has 301 frames, nudge needs {HORIZON + 1}"):
        env.reset(options={"scaffold": longer})
    env.close()


def test_an_episode_is_recorded_for_the_replays() -> None:
    env: Any = gym.make("Toy-Nudge-v0", split="eval", tracking_threshold=None).unwrapped
    trace = record_trace(env, make_policy("reference"), "reference", 0, 0)
    assert len(trace.frames[0].tips) == 3
    assert len(trace.frames) == HORIZON // 3 + 1
    env.close()


def test_plan_files_keep_the_horizon(tmp_path: Path) -> None:
    env = gym.make("Toy-Nudge-v0", split="eval")
    base: Any = env.unwrapped
    env.reset(seed=0, options={"state": 1})
    plan = base.scaffold
    scaffold_bench.save_scaffolds(tmp_path / "plans.npz", [scaffold_bench.ScaffoldEntry(plan, "eval", 1)])
    (kept,) = scaffold_bench.load_scaffolds(tmp_path / "plans.npz")
    assert kept.horizon == HORIZON
    assert kept.sha256 == plan.sha256
    again: Any = gym.make("Toy-Nudge-v0", split="eval", scaffolds=tmp_path / "plans.npz").unwrapped
    again.reset(seed=0, options={"state": 1})
    assert again.scaffold.sha256 == plan.sha256
    env.close()
    again.close()


def test_a_task_with_commands_for_other_fingers_is_refused() -> None:
    with pytest.raises(ValueError, match="finger_commands must be 1 or 3, one for each finger"):

        class FourFingers(Nudge):
            spec = TaskSpec(**{**vars(Nudge.spec), "finger_commands": 4})
