"""The plan-conditioned environment: ManiSkill's ``BaseEnv`` around a task object and a plan provider."""

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
from scaffold_bench.envs.building import build_task
from scaffold_bench.envs.camera import PlannerCamera
from scaffold_bench.envs.drawing import PlanOverlay
from scaffold_bench.envs.episodes import Episodes
from scaffold_bench.envs.requests import (
    EpisodeSource,
    FollowsPlans,
    options_of_each,
    resolve_offsets,
    resolve_threshold,
    seeds_of,
)
from scaffold_bench.envs.simulation import CONTROL_HZ, CpuSimulation, CpuWorld, GpuSimulation, place, simulation_config
from scaffold_bench.envs.start_states import StartStates
from scaffold_bench.objects.scenes import light_scene
from scaffold_bench.plan import CameraView, Scaffold, ScaffoldProvider
from scaffold_bench.robots.floating_allegro import FloatingAllegro
from scaffold_bench.spec import EPISODE_STEPS, StartState

RESET_OPTIONS = ("state", "trial", "start", "scaffold", "env_idx", "reconfigure", "reset_to_env_states")
IMAGE_SIZE = 800
"""Side of rendered pictures, pixels (paper, Table 3)."""


class ScaffoldEnv(FollowsPlans, BaseEnv):  # type: ignore[misc]  # mani_skill is untyped
    """Track a plan of keypoints with a floating dexterous hand. Batched torch tensors; one env on the CPU.

    ``gym.make`` returns :class:`NumpyScaffoldEnv`, the same environment with NumPy arrays and no batch axis.

    ## Action
    ``Box(-1, 1, (6 + F,))``: wrist residual (x, y, z in +-0.1 m, three Euler angles in +-1 rad) on the planned
    wrist, and F = 1 or 4 finger commands (a <= 0 open, 1 closed). Out-of-range actions are clipped, non-finite ones
    refused. A zero action follows the plan with an open hand. Targets are smoothed by an exponential average, 0.9.

    ## Observation
    ``Box((130 + 21 K,))`` for K keypoints and five future frames; ``observation_layout`` names the slices:

    | slice | numbers | unit |
    |---|---|---|
    | joint_position | 22 | m, rad |
    | joint_velocity | 22 | m/s, rad/s |
    | smoothed_target | 22 | normalised joint range, -1 to 1 |
    | fingertip_poses | 4 x 7 | m, quaternion wxyz |
    | initial_keypoints | 3 K | m |
    | keypoints | 3 K | m |
    | planned_keypoints | F x 3 K | m |
    | wrist | 6 | m, rad |
    | planned_wrist | F x 6 | m, rad |

    ## Reward
    exp(-20 mean tracking error) + exp(-1 / (c + 1e-6)) - 0.001 |u|^2 (paper, eq. 3); see ``mdp.reward_terms``.

    ## Start of an episode
    A start state of the split, drawn with the environment's generator or picked by ``options``, and the provider's
    plan for it. Fingers open, everything at rest.

    ## End of an episode
    Terminated when a keypoint is farther from its plan than the tracking threshold; truncated after 300 steps.

    ## Info
    ``success``, ``success_once``, ``tracking_error`` (K), ``tip_forces`` (4, N), every unweighted reward term as
    ``reward/<name>``, every measure as ``measure/<name>``, ``plan_valid``, ``elapsed_steps``.

    Args:
        task: the task object (the environment knows tasks only by its protocol).
        provider: makes the plans; one that ``sees`` gets a picture of the start with every request.
        states: the frozen start states of the split, or None to draw fresh ones.
        split: "train", "eval" or "fresh"; told to the provider.
        tracking_threshold: metres; "task" for the task's epsilon_0, None for no tracking termination.
        frame_offsets: future plan frames in the observation.
        wrist_plan: False withholds the planned wrist, for baselines without it: the observation's ``planned_wrist`` is
            the last wrist target and an action moves that by at most 1 cm and 0.1 rad per axis. The keypoints' plan
            stays.
        show_plan: draw the plan into pictures.
        kwargs: ManiSkill's, e.g. ``num_envs``, ``render_mode``, ``sim_backend``.

    ## Version history
    v0: first release.
    """

    SUPPORTED_OBS_MODES = ("state",)
    SUPPORTED_REWARD_MODES = ("dense",)
    SUPPORTED_RENDER_MODES = ("human", "rgb_array")
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "rgb_array"], "render_fps": CONTROL_HZ}
    max_episode_steps = EPISODE_STEPS

    def __init__(
        self,
        task: Any,
        provider: ScaffoldProvider,
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
        self.task = task
        if (
            str(kwargs.get("sim_backend", "")).startswith(("physx_cuda", "cuda", "gpu"))
            and not torch.cuda.is_available()
        ):
            raise RuntimeError(
                f"sim_backend={kwargs['sim_backend']!r} needs a CUDA GPU and torch sees none; leave it out for the CPU"
            )
        self._source = EpisodeSource(task, provider, states, split)
        self._frame_offsets = resolve_offsets(frame_offsets)
        self._threshold = resolve_threshold(tracking_threshold, task.spec)
        self.observation_layout = mdp.observation_layout(len(task.spec.keypoints), len(self._frame_offsets))
        self._wrist_plan, self._show_plan = wrist_plan, show_plan
        self._overlay: PlanOverlay | None = None
        self._generators: list[np.random.Generator] = []
        self._ready = False
        self._eye: PlannerCamera | None = None
        kwargs.setdefault("render_backend", _default_render_backend(render_mode is not None or self._source.sees))
        try:
            super().__init__(robot_uids=FloatingAllegro.uid, render_mode=render_mode, **kwargs)
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
        self.single_action_space = spaces.Box(-1.0, 1.0, (task.spec.action_dim,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (self.num_envs, task.spec.action_dim), np.float32)
        self._orig_single_action_space = self.single_action_space
        single = spaces.Box(-bounds, bounds, dtype=np.float32)
        self.__dict__["single_observation_space"] = single  # these two are cached properties of BaseEnv
        self.__dict__["observation_space"] = gym.vector.utils.batch_space(single, self.num_envs)
        self._ready = True

    # -------------------------------------------------------------------------------------------- configuration
    @property
    def _default_sim_config(self) -> SimConfig:
        return simulation_config(self.num_envs)

    @property
    def _default_sensor_configs(self) -> list[CameraConfig]:
        return []

    @property
    def _default_human_render_camera_configs(self) -> CameraConfig:
        camera = self.task.spec.camera
        pose = sapien_utils.look_at(list(camera.eye), list(camera.target))
        return CameraConfig("render_camera", pose, IMAGE_SIZE, IMAGE_SIZE, camera.fov, 0.01, 100)

    @property
    def tracking_threshold(self) -> float:
        """Distance from the plan at which an episode terminates, metres; ``inf`` when it does not."""
        return self._threshold

    def set_tracking_threshold(self, threshold: float | str | None) -> None:
        """Set the termination threshold: metres, "task" for the task's epsilon_0, or None for no termination."""
        self._threshold = self._episodes.threshold = resolve_threshold(threshold, self.task.spec)

    def anneal_tracking_threshold(self, progress: float) -> None:
        """Set the threshold for a share of training done: epsilon_0 at 0, epsilon_0 / 2 at 1."""
        self.set_tracking_threshold(mdp.annealed_threshold(self.task.spec.tracking_threshold, progress))

    # -------------------------------------------------------------------------------------------- scene
    def _load_agent(self, options: dict[str, Any]) -> None:
        super()._load_agent(options, sapien.Pose())

    def _load_scene(self, options: dict[str, Any]) -> None:
        self._built = build_task(self.task, self.scene)

    def _load_lighting(self, options: dict[str, Any]) -> None:
        light_scene(self.scene, self.task.scene)

    def _after_reconfigure(self, options: dict[str, Any]) -> None:
        spec = self.task.spec
        self._world = None if self.gpu_sim_enabled else CpuWorld(self.scene, self.agent, self._built, spec)
        self._simulation: CpuSimulation | GpuSimulation = (
            GpuSimulation(self.scene, self.agent, self._built, spec)
            if self._world is None
            else CpuSimulation([self._world])
        )
        limits = self.agent.joint_limits()
        self._episodes = Episodes(self.task, limits, self.num_envs, self._frame_offsets, self.device, self._wrist_plan)
        self._episodes.threshold = self._threshold
        self._start_states: list[StartState | None] = [None] * self.num_envs
        drawn = self._show_plan and self.scene.can_render()
        self._eye = None
        self._overlay = PlanOverlay(self.scene, len(self.task.spec.keypoints)) if drawn else None

    # -------------------------------------------------------------------------------------------- reset
    @property
    def start_states(self) -> tuple[StartState | None, ...]:
        """The start state of each environment's episode."""
        return tuple(self._start_states)

    @property
    def provider(self) -> ScaffoldProvider:
        """Who makes the plans."""
        return self._source.provider

    @provider.setter
    def provider(self, provider: ScaffoldProvider) -> None:
        self._source.provider = provider

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: seeds the choice of start states; one per environment, or one for all.
            options: ``state`` picks a frozen state by index, ``trial`` jitters it reproducibly, ``start`` gives a
                :class:`StartState`, ``scaffold`` injects a plan (lists of them where there are several
                environments); ManiSkill's ``env_idx``, ``reconfigure`` and
                ``reset_to_env_states`` work as there.

        Raises:
            ValueError: an unknown option, a state that does not exist.
            InvalidScaffoldError: an injected plan that does not fit the task.
        """
        if self.scene is None and self._ready:
            raise RuntimeError("this environment is closed; make a new one")
        options = dict(options or {})
        self._source.refuse_unknown(options, RESET_OPTIONS)
        for mine in self._options_of_each(options):
            self._source.check(mine)
        if options.get("env_idx") is not None:
            options["env_idx"] = torch.as_tensor(options["env_idx"], device=self.device)
        self._seed_generators(seed)
        # ManiSkill's own generators, which nothing here draws from, take 32-bit seeds only
        folded = None if seed is None else [int(one) % 2**32 for one in np.atleast_1d(seed)]
        return super().reset(seed=folded, options=options)  # type: ignore[no-any-return]

    def _options_of_each(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """What concerns episodes in the reset options of each environment; one environment takes no lists."""
        ours: dict[str, Any] = {
            name: options[name] for name in ("state", "trial", "start", "scaffold") if name in options
        }
        return [ours] if self.num_envs == 1 else options_of_each(ours, self.num_envs)

    def _seed_generators(self, seed: int | list[int] | None) -> None:
        if seed is None:
            if not self._generators:
                self._generators = [np.random.default_rng() for _ in range(self.num_envs)]
            return
        self._generators = [np.random.default_rng(one) for one in seeds_of(seed, self.num_envs)]

    def _initialize_episode(self, env_idx: torch.Tensor, options: dict[str, Any]) -> None:
        envs, of_each = env_idx.tolist(), self._options_of_each(options)
        chosen = [self._source.start(self._generators[env], of_each[env]) for env in envs]
        for env, (start, _) in zip(envs, chosen, strict=True):
            self._start_states[env] = start
        self._renew_physics()
        place(self._built, self.agent, [start for start, _ in chosen])
        if self._ready:
            view = self.look() if self._source.sees else None
            plans = [
                self._source.plan(start, index, of_each[env], view)
                for env, (start, index) in zip(envs, chosen, strict=True)
            ]
        else:  # ManiSkill resets once while an environment is being made; nobody plans for that
            spec = self.task.spec
            plans = [Scaffold.failed(spec.name, len(spec.keypoints), start.wrist, "placeholder") for start, _ in chosen]
        if self.gpu_sim_enabled:
            self.scene._gpu_apply_all()
            self.scene.px.gpu_update_articulation_kinematics()
            self.scene._gpu_fetch_all()
        self._episodes.begin(env_idx.to(self.device), plans, self._simulation.read())
        self._simulation.apply_targets(self._episodes.joint_targets())

    def _renew_physics(self) -> None:
        if self._world is not None:
            self._world.renew_physics()
            if self._viewer is not None:
                self._viewer.set_scene(self.scene.sub_scenes[0])

    # -------------------------------------------------------------------------------------------- step
    def _check_action(self, action: Any) -> torch.Tensor:
        tensor = torch.as_tensor(action, dtype=torch.float32, device=self.device)
        wanted = (self.num_envs, self.task.spec.action_dim)
        single = self.num_envs == 1 and tensor.ndim == 1
        if tuple(tensor.shape) != (wanted[1:] if single else wanted):
            raise ValueError(f"action has shape {tuple(tensor.shape)}, expected {self.action_space.shape}")
        if single:
            tensor = tensor[None]
        if not torch.isfinite(tensor).all():
            index = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
            where = index[1] if self.num_envs == 1 else tuple(index)
            raise ValueError(f"action is not finite at index {where} (value {tensor[tuple(index)].item()})")
        return tensor

    def _step_action(self, action: Any) -> torch.Tensor:
        """Compose, smooth and apply an action, and simulate one control step."""
        tensor = self._check_action(action)
        self._simulation.apply_targets(self._episodes.command(tensor))
        self._before_control_step()
        for _ in range(self._sim_steps_per_control):
            self._before_simulation_step()
            self.scene.step()
            self._after_simulation_step()
        self._after_control_step()
        if self.gpu_sim_enabled:
            self.scene._gpu_fetch_all()
        return tensor

    def step(
        self, action: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Take one control step (1/60 s). See the class docstring."""
        self._step_action(action)
        self._elapsed_steps += 1
        self._episodes.advance(self._simulation.read())
        info = self._episodes.info()
        reward, terminated, truncated = self._episodes.outcome(info)
        observation = self._episodes.observation()
        self._last_obs = observation.clone()
        return observation, reward, terminated, truncated, info

    def get_info(self) -> dict[str, torch.Tensor]:
        """Elapsed steps, success, measures, tracking, contact and reward terms; see the class docstring."""
        return self._episodes.info()

    def evaluate(self) -> dict[str, torch.Tensor]:
        """ManiSkill's name for :meth:`get_info`."""
        return self.get_info()

    def get_obs(self, info: dict[str, Any] | None = None, unflattened: bool = False) -> torch.Tensor:
        """The current observation (n, D)."""
        return self._episodes.observation()

    @property
    def keypoints(self) -> torch.Tensor:
        """Tracked keypoint positions (n, K, 3), metres."""
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
        """Restore what :meth:`get_state_dict` returned, for all environments or for ``env_idx``."""
        self._renew_physics()  # or else the future would depend on the contacts before
        super().set_state_dict({key: state[key] for key in ("actors", "articulations") if key in state}, env_idx)
        rows = torch.arange(self.num_envs, device=self.device) if env_idx is None else env_idx.to(self.device)
        self._episodes.load_state_dict(state["scaffold"], rows)
        self._elapsed_steps[rows] = self._episodes.elapsed[rows].to(self._elapsed_steps.dtype)
        self._simulation.apply_targets(self._episodes.joint_targets())
        self._episodes.look(self._simulation.read())

    def set_state(self, state: Any, env_idx: torch.Tensor | None = None) -> None:
        """Restore a flat state vector (n, S), as :meth:`get_state` returns it."""
        flat = torch.as_tensor(state, device=self.device)
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
            RuntimeError: several environments, or this one was made without a renderer.
        """
        if self.num_envs != 1:
            raise RuntimeError("only a single environment (gym.make) has a camera for planners")
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
        """A picture (n, 800, 800, 3) uint8 of each environment, or the viewer for ``render_mode="human"``.

        The plan is drawn for the first environment.
        """
        if self._overlay is None:
            return super().render()
        self._overlay.show(self._episodes.plan_keypoints[0], int(self._episodes.elapsed[0]))
        images = super().render()
        if self.render_mode != "rgb_array":
            return images
        camera = self._human_render_cameras["render_camera"].camera
        intrinsic, extrinsic = camera.get_intrinsic_matrix()[0], camera.get_extrinsic_matrix()[0]
        projection = (intrinsic @ extrinsic[:3]).cpu().numpy()
        marked = self._overlay.mark(images[0].cpu().numpy(), self._episodes.keypoints[0], projection)
        images[0] = torch.from_numpy(marked).to(images.device)
        return images

    def close(self) -> None:
        self._overlay = self._eye = None
        super().close()


class NumpyScaffoldEnv(ScaffoldEnv):
    """One :class:`ScaffoldEnv` with Gymnasium's ordinary interface: NumPy arrays, no batch axis."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.pop("num_envs", 1) != 1:
            raise ValueError("gym.make makes one environment; use gym.make_vec for several")
        super().__init__(*args, num_envs=1, **kwargs)
        self.action_space = self.single_action_space
        self.observation_space = self.single_observation_space

    @property
    def scaffold(self) -> Scaffold:
        """The plan being followed."""
        plan = self._episodes.plans[0]
        assert plan is not None
        return plan

    @property
    def start_state(self) -> StartState:
        """The start state of the current episode."""
        start = self._start_states[0]
        assert start is not None
        return start

    def _seed_generators(self, seed: int | list[int] | None) -> None:
        seed = seed[0] if isinstance(seed, list) else seed
        gym.Env.reset(self, seed=seed)
        self._generators = [self.np_random]

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = super().reset(seed=seed, options=options)
        self._show_to_human()
        return observation[0].cpu().numpy().copy(), _unbatched(info)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        self._show_to_human()
        return (
            observation[0].cpu().numpy(),
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            _unbatched(info),
        )

    def render(self) -> Any:
        """A picture (800, 800, 3) uint8; None for ``render_mode="human"``, whose window follows by itself."""
        image = super().render()
        return image[0].cpu().numpy() if isinstance(image, torch.Tensor) else None

    def _show_to_human(self) -> None:
        if self.render_mode == "human":
            self.render()


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
