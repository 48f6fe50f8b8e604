"""One environment: what ``gym.make`` gives. ManiSkill's ``BaseEnv`` around a task object and a planner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import sapien
import torch
from gymnasium import spaces
from mani_skill.envs.sapien_env import BaseEnv
from mani_skill.sensors.camera import CameraConfig
from mani_skill.utils import sapien_utils
from mani_skill.utils.structs.types import SimConfig

from scaffold_bench.envs import mdp
from scaffold_bench.envs.camera import PlannerCamera
from scaffold_bench.envs.drawing import PlanOverlay
from scaffold_bench.envs.episodes import Episodes
from scaffold_bench.envs.requests import EpisodeSource, FollowsPlans, resolve_offsets, resolve_threshold
from scaffold_bench.envs.simulation import CONTROL_HZ, CpuSimulation, CpuWorld, build_task, simulation_config
from scaffold_bench.envs.start_states import StartStates
from scaffold_bench.objects.scenes import light_scene
from scaffold_bench.plan import CameraView, Planner, Scaffold
from scaffold_bench.robots.agent import agent_of
from scaffold_bench.spec import StartState
from scaffold_bench.tasks.base import Task

RESET_OPTIONS = ("state", "trial", "start", "scaffold", "env_idx", "reconfigure", "reset_to_env_states")
IMAGE_SIZE = 800
"""Side of rendered pictures, pixels (paper, Table 3)."""


class ScaffoldEnv(FollowsPlans, BaseEnv):  # type: ignore[misc]  # mani_skill is untyped
    """Track a plan of keypoints with a dexterous hand: NumPy arrays, no batch axis, pictures if wanted.

    ``gym.make_vec`` gives :class:`ScaffoldVectorEnv`, many of these in one process.

    ## Action
    ``Box(-1, 1, (6 + F,))``: wrist residual (x, y, z in +-0.1 m, three Euler angles in +-1 rad) on the planned
    wrist, and F finger commands, one for all fingers or one for each (a <= 0 open, 1 closed). Clipped, then smoothed by
    an exponential average, 0.9. A zero action follows the plan with an open hand.

    ## Observation
    ``Box((130 + 21 K,))`` for the Allegro hand (D = 22 joints), K keypoints and F = 5 future frames;
    ``observation_layout`` names the slices:

    {observation_table}

    ## Reward
    exp(-20 mean tracking error) + exp(-1 / (c + 1e-6)) - 0.001 |u|^2 (paper, eq. 3); see ``mdp.reward_terms``.

    ## Start of an episode
    A start state of the split, drawn with the environment's generator or picked by ``options``, and the planner's
    plan for it. Fingers open, everything at rest.

    ## End of an episode
    Terminated when a keypoint is farther from its plan than the tracking threshold; truncated at the task's horizon,
    300 steps for the eight.

    ## Info
    ``success``, ``success_once``, ``tracking_error`` (K), ``tip_forces`` (one per finger, N), every unweighted reward
    term as ``reward/<name>``, every measure as ``measure/<name>``, ``plan_valid``, ``elapsed_steps``.

    Args:
        task: the task object (the environment knows tasks by :class:`scaffold_bench.tasks.base.Task` only).
        provider: the planner; one that ``sees`` gets a picture of the start with every request.
        states: the frozen start states of the split, or None to draw fresh ones.
        split: "train", "eval" or "fresh"; the planner knows it.
        tracking_threshold: metres; "task" for the task's epsilon_0, None for no tracking termination.
        frame_offsets: future plan frames in the observation.
        wrist_plan: False withholds the planned wrist (the keypoints' plan stays): ``planned_wrist`` is then the last
            wrist target, and an action moves that by at most 1 cm and 0.1 rad per axis.
        show_plan: draw the plan into pictures.
        kwargs: ManiSkill's, e.g. ``render_mode``.

    ## Version history
    v0: first release.
    """

    SUPPORTED_OBS_MODES = ("state",)
    SUPPORTED_REWARD_MODES = ("dense",)
    SUPPORTED_RENDER_MODES = ("human", "rgb_array")
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "rgb_array"], "render_fps": CONTROL_HZ}

    def __init__(
        self,
        task: Task,
        provider: Planner,
        states: StartStates | None = None,
        split: str = "train",
        tracking_threshold: float | str | None = "task",
        frame_offsets: Sequence[int] = mdp.DEFAULT_FRAME_OFFSETS,
        wrist_plan: bool = True,
        show_plan: bool = True,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        if render_mode is not None and render_mode not in self.SUPPORTED_RENDER_MODES:
            raise ValueError(f"render_mode must be one of {self.SUPPORTED_RENDER_MODES} or None, got {render_mode!r}")
        if kwargs.pop("num_envs", 1) != 1:
            raise ValueError("gym.make makes one environment; use gym.make_vec for several")
        if str(backend := kwargs.get("sim_backend", "")).startswith(("physx_cuda", "cuda", "gpu")):
            raise ValueError(f"gym.make simulates on the CPU; use gym.make_vec for sim_backend={backend!r}")
        self.task = task
        self._source = EpisodeSource(task, provider, states, split)
        self._frame_offsets = resolve_offsets(frame_offsets, task.spec)
        self._threshold = resolve_threshold(tracking_threshold, task.spec)
        sizes = mdp.Sizes.of(task.robot, len(task.spec.keypoints), len(self._frame_offsets))
        self.observation_layout = mdp.observation_layout(sizes)
        self.max_episode_steps = task.spec.horizon
        self._wrist_plan, self._show_plan = wrist_plan, show_plan
        self._overlay: PlanOverlay | None = None
        self._generator: np.random.Generator | None = None
        self._start_state: StartState | None = None
        self._ready = False
        self._eye: PlannerCamera | None = None
        kwargs.setdefault("render_backend", _default_render_backend(render_mode is not None or self._source.sees))
        try:
            super().__init__(robot_uids=agent_of(task.robot).uid, num_envs=1, render_mode=render_mode, **kwargs)
        except RuntimeError as error:
            if render_mode == "human" and "window" in str(error):
                raise RuntimeError(
                    "render_mode='human' opens a viewer and this machine has no display; use render_mode='rgb_array'"
                ) from error
            pictures = render_mode is not None or self._source.sees
            if pictures and any(word in str(error) for word in ("vk::", "Vulkan", "device")):
                who, else_ = (
                    (f"render_mode={render_mode!r}", "or leave render_mode out")
                    if render_mode is not None
                    else (f"{type(provider).__name__} plans from pictures: it", "or use plans made elsewhere")
                )
                raise RuntimeError(
                    f"{who} needs a Vulkan driver and none was found ({error}); "
                    f"run 'scaffold-bench doctor' for the fix, {else_}"
                ) from error
            raise
        bounds = mdp.observation_bounds(self.observation_layout)
        self.action_space = spaces.Box(-1.0, 1.0, (task.spec.action_dim,), np.float32)
        self.single_action_space = self._orig_single_action_space = self.action_space
        self.observation_space = spaces.Box(-bounds, bounds, dtype=np.float32)
        self.single_observation_space = self.observation_space
        self._ready = True

    # -------------------------------------------------------------------------------------------- configuration
    @property
    def _default_sim_config(self) -> SimConfig:
        return simulation_config(1)

    @property
    def _default_sensor_configs(self) -> list[CameraConfig]:
        return []

    @property
    def _default_human_render_camera_configs(self) -> CameraConfig:
        camera = self.task.spec.camera
        pose = sapien_utils.look_at(list(camera.eye), list(camera.target))
        return CameraConfig("render_camera", pose, IMAGE_SIZE, IMAGE_SIZE, camera.fov, 0.01, 100)

    def set_tracking_threshold(self, threshold: float | str | None) -> None:
        super().set_tracking_threshold(threshold)
        self._threshold = self._episodes.threshold  # survives a reconfiguration

    # -------------------------------------------------------------------------------------------- scene
    def _load_agent(self, options: dict[str, Any]) -> None:
        super()._load_agent(options, sapien.Pose())

    def _load_scene(self, options: dict[str, Any]) -> None:
        self._built = build_task(self.task, self.scene)

    def _load_lighting(self, options: dict[str, Any]) -> None:
        light_scene(self.scene, self.task.scene)

    def _after_reconfigure(self, options: dict[str, Any]) -> None:
        self._world = CpuWorld(self.task, self.scene, self.agent, self._built)
        self._simulation = CpuSimulation([self._world])
        self._episodes = Episodes(self.task, self._simulation.robot, 1, self._frame_offsets, self._wrist_plan)
        self._episodes.threshold = self._threshold
        drawn = self._show_plan and self.scene.can_render()
        self._eye = None
        self._overlay = PlanOverlay(self.scene, len(self.task.spec.keypoints)) if drawn else None

    # -------------------------------------------------------------------------------------------- reset
    @property
    def scaffold(self) -> Scaffold:
        """The plan being followed."""
        plan = self._episodes.plans[0]
        assert plan is not None
        return plan

    @property
    def start_state(self) -> StartState:
        """The start state of the current episode."""
        assert self._start_state is not None
        return self._start_state

    @property
    def provider(self) -> Planner:
        """The planner."""
        return self._source.provider

    @provider.setter
    def provider(self, provider: Planner) -> None:
        self._source.provider = provider

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: seeds the choice of start states.
            options: ``state`` picks a frozen state by index, ``trial`` jitters it reproducibly, ``start`` gives a
                :class:`StartState`, ``scaffold`` injects a plan; ManiSkill's ``env_idx``, ``reconfigure`` and
                ``reset_to_env_states`` work as there.

        Raises:
            ValueError: an unknown option, a state that does not exist.
            InvalidScaffoldError: an injected plan that does not fit the task.
        """
        if self.scene is None and self._ready:
            raise RuntimeError("this environment is closed; make a new one")
        options = dict(options or {})
        self._source.refuse_unknown(options, RESET_OPTIONS)
        self._source.check(options)
        if options.get("env_idx") is not None:
            options["env_idx"] = torch.as_tensor(options["env_idx"])
        gym.Env.reset(self, seed=seed[0] if isinstance(seed, list) else seed)
        self._generator = self.np_random
        # ManiSkill's own generators, which nothing here draws from, take 32-bit seeds only
        folded = None if seed is None else [int(one) % 2**32 for one in np.atleast_1d(seed)]
        observation, info = super().reset(seed=folded, options=options)
        self._show_to_human()
        return observation[0].numpy().copy(), _unbatched(info)

    def _initialize_episode(self, env_idx: torch.Tensor, options: dict[str, Any]) -> None:
        assert self._generator is not None
        start, index = self._source.start(self._generator, options)
        self._start_state = start
        reading = self._simulation.begin([0], [start])
        if self._viewer is not None:  # the scene that came with fresh physics
            self._viewer.set_scene(self.scene.sub_scenes[0])
        if self._ready:
            plan = self._source.plan(start, index, options, self.look() if self._source.sees else None)
        else:  # ManiSkill resets once while an environment is being made; nobody plans for that
            spec = self.task.spec
            plan = Scaffold.failed(spec.name, len(spec.keypoints), start.wrist, "placeholder", horizon=spec.horizon)
        self._episodes.begin(env_idx, [plan], reading)
        self._simulation.drive([0], self._episodes.joint_targets())

    # -------------------------------------------------------------------------------------------- step
    def _check_action(self, action: Any) -> torch.Tensor:
        tensor = torch.as_tensor(action, dtype=torch.float32)
        if tensor.ndim == 2 and len(tensor) == 1:  # ManiSkill's wrappers keep a batch axis
            tensor = tensor[0]
        if tuple(tensor.shape) != self.action_space.shape:
            raise ValueError(f"action has shape {tuple(tensor.shape)}, expected {self.action_space.shape}")
        if not torch.isfinite(tensor).all():
            index = int(torch.nonzero(~torch.isfinite(tensor))[0])
            raise ValueError(f"action is not finite at index {index} (value {tensor[index].item()})")
        return tensor[None]

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one control step (1/60 s). See the class docstring."""
        reading = self._simulation.step(self._episodes.command(self._check_action(action)))
        self._elapsed_steps += 1
        reward, terminated, truncated = self._episodes.step(reading)
        observation = self._episodes.observation()
        self._last_obs = observation.clone()
        self._show_to_human()
        return (
            observation[0].numpy(),
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _unbatched(self._episodes.info()),
        )

    def get_info(self) -> dict[str, torch.Tensor]:
        """Elapsed steps, success, measures, tracking, contact and reward terms, with ManiSkill's batch axis."""
        return self._episodes.info()

    def evaluate(self) -> dict[str, torch.Tensor]:
        """ManiSkill's name for :meth:`get_info`."""
        return self.get_info()

    def get_obs(self, info: dict[str, Any] | None = None, unflattened: bool = False) -> torch.Tensor:
        """The current observation (1, D)."""
        return self._episodes.observation()

    @property
    def keypoints(self) -> torch.Tensor:
        """Tracked keypoint positions (1, K, 3), metres."""
        return self._episodes.keypoints.clone()

    # -------------------------------------------------------------------------------------------- state
    def get_state_dict(self) -> dict[str, Any]:
        """ManiSkill's simulation state and the episode's own memory; the plan itself is not part of it.

        Restore it into an environment that follows the same plan (``reset(options={"scaffold": plan})``).
        """
        state: dict[str, Any] = self.scene.get_sim_state()
        state["scaffold"] = self._episodes.state_dict()
        return state

    def set_state_dict(self, state: dict[str, Any], env_idx: torch.Tensor | None = None) -> None:
        """Restore what :meth:`get_state_dict` returned."""
        self._world.renew_physics()  # or else the future would depend on the contacts before
        if self._viewer is not None:  # the scene that came with fresh physics
            self._viewer.set_scene(self.scene.sub_scenes[0])
        super().set_state_dict({key: state[key] for key in ("actors", "articulations") if key in state}, env_idx)
        self._episodes.load_state_dict(state["scaffold"], torch.arange(1))
        self._elapsed_steps[:] = self._episodes.elapsed.to(self._elapsed_steps.dtype)
        self._simulation.drive([0], self._episodes.joint_targets())
        self._episodes.look(self._simulation.read())

    def set_state(self, state: Any, env_idx: torch.Tensor | None = None) -> None:
        """Restore a flat state vector (1, S), as :meth:`get_state` returns it."""
        flat = torch.as_tensor(state)
        start = 0

        def unflatten(layout: Any) -> Any:
            nonlocal start
            if isinstance(layout, dict):
                return {key: unflatten(value) for key, value in layout.items()}
            width = layout.shape[1] if layout.ndim > 1 else 1
            start += width
            return flat[:, start - width : start]

        restored = unflatten(self.get_state_dict())
        if start != flat.shape[1]:
            raise ValueError(f"a state of this environment has {start} numbers, got {flat.shape[1]}")
        self.set_state_dict(restored, env_idx)

    # -------------------------------------------------------------------------------------------- pictures
    def look(self) -> CameraView:
        """What the task's calibrated RGB-D camera sees now: 800 x 800 pixels, without the plan drawn in.

        Raises:
            RuntimeError: this environment was made without a renderer.
        """
        if not self.scene.can_render():
            raise RuntimeError(
                "this environment was made without a renderer, and a planner needs a picture; pass the planner or "
                "render_mode='rgb_array' to gym.make, or make a plan file first with 'scaffold-bench plans make'"
            )
        if self._eye is None:
            self._eye = PlannerCamera(self.scene, self.task.spec.camera, IMAGE_SIZE)
        if self._overlay is not None:
            self._overlay.hide()
        return self._eye.look([self._built.bodies[name] for name in self.task.spec.bodies])

    def render(self) -> Any:
        """A picture (800, 800, 3) uint8 with the plan drawn in; None for "human", whose window follows by itself."""
        if self._overlay is not None:
            self._overlay.show(self._episodes.plan_keypoints[0], int(self._episodes.elapsed[0]))
        pictures = super().render()
        if self.render_mode != "rgb_array":
            return None
        image = pictures[0].cpu().numpy()
        if self._overlay is None:
            return image
        camera = self._human_render_cameras["render_camera"].camera
        intrinsic, extrinsic = camera.get_intrinsic_matrix()[0], camera.get_extrinsic_matrix()[0]
        projection = (intrinsic @ extrinsic[:3]).cpu().numpy()
        return self._overlay.mark(image, self._episodes.keypoints[0], projection)

    def _show_to_human(self) -> None:
        if self.render_mode == "human":
            self.render()

    def close(self) -> None:
        self._overlay = self._eye = None
        super().close()


_table = mdp.observation_table().replace("\n", "\n    ")
ScaffoldEnv.__doc__ = str(ScaffoldEnv.__doc__).replace("{observation_table}", _table)


def _unbatched(info: dict[str, Any]) -> dict[str, Any]:
    """Strip the batch axis: scalars become Python numbers, vectors NumPy arrays."""
    result: dict[str, Any] = {}
    for key, value in info.items():
        if isinstance(value, torch.Tensor):
            result[key] = value[0].item() if value.ndim == 1 else value[0].cpu().numpy().copy()
        else:
            result[key] = value
    return result


def _default_render_backend(pictures: bool) -> str:
    """No renderer unless pictures are wanted; then the GPU if there is one, else the CPU's Vulkan driver."""
    if not pictures:
        return "none"
    return "gpu" if torch.cuda.is_available() else "cpu"
