"""Residual PPO in one file: a policy that adds to the planned wrist and closes the fingers.

    python baselines/residual_ppo.py --preset cpu --env-id Scaffold-MoveApple-v0          # a laptop, about 2 minutes
    torchrun --nproc-per-node 2 baselines/residual_ppo.py --preset cpu --env-id Scaffold-Hammer-v0
    python baselines/residual_ppo.py --env-id Scaffold-Hammer-v0 --sim-backend physx_cuda  # the paper's settings

The learner of "Scaffolding Dexterous Manipulation with Vision-Language Models" (section 3.3, Table 1), laid out like
CleanRL: read it from top to bottom. Every process steps its own environments; gradients, the observation normaliser
and the KL divergence are averaged, and the first process writes. What a run leaves in ``runs/<name>``: ``run.json``
(what was run), ``progress.jsonl`` (a line per iteration), ``checkpoints/`` and ``policy.safetensors``, the
best actor so far, which ``scaffold-bench evaluate --policy file:runs/<name>/policy.safetensors`` plays.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process per core is faster than one process with many threads

import gymnasium as gym
import numpy as np
import torch
import torch.distributed as dist
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import nn

import scaffold_bench
from scaffold_bench.policies.actor import ActorPolicy, save_actor
from scaffold_bench.policies.plan_following import PlanFollowing
from scaffold_bench.records.folder import manifest, package_versions, write_atomically
from scaffold_bench.scaffolds import resolve_provider
from scaffold_bench.scaffolds.variants import files_of
from scaffold_bench.types import EPISODE_STEPS, WRIST_DIM

console = Console(stderr=True)


@dataclass
class Args:
    """The paper's Table 1 by default; ``--preset cpu`` for a laptop."""

    preset: Literal["paper", "cpu"] = "paper"
    """settings to begin with; any of them can be given as well"""
    env_id: str = "Scaffold-Hammer-v0"
    """the task"""
    scaffolds: str = "oracle"
    """who plans: oracle, recorded:NAME, the path of a plan file, ..."""
    wrist_plan: bool = True
    """follow the planned wrist; without it an action moves the wrist by at most 1 cm and 0.1 rad per step"""
    seed: int = 1
    """seed of everything"""
    total_steps: int = 98_304_000
    """environment steps of all processes together (paper: 2000 iterations x 24 steps x 2048 environments)"""
    sim_backend: Literal["physx_cpu", "physx_cuda"] = "physx_cpu"
    """where the environments run; never tried with physx_cuda"""

    num_envs: int = 2048
    """environments of all processes together"""
    num_steps: int = 24
    """steps of every environment per iteration"""
    epochs: int = 5
    """passes over the data of an iteration"""
    minibatches: int = 16
    """minibatches per pass"""
    learning_rate: float = 3e-4
    """Adam's, at the beginning"""
    desired_kl: float = 0.01
    """the learning rate shrinks above twice this divergence and grows below half of it; 0 keeps it"""
    learning_rate_range: tuple[float, float] = (1e-5, 1e-2)
    """bounds of the adaptive learning rate"""
    gamma: float = 0.99
    """discount"""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation"""
    clip: float = 0.2
    """PPO's clipping range"""
    clip_value: bool = True
    """clip the value loss too"""
    value_coefficient: float = 1.0
    """weight of the value loss"""
    entropy_coefficient: float = 0.01
    """weight of the entropy"""
    max_grad_norm: float = 1.0
    """gradients are scaled down to this norm"""
    hidden: tuple[int, ...] = (512, 512, 512)
    """layers of actor and critic, ELU"""
    initial_std: float = 1.0
    """of the Gaussian policy's wrist residuals"""
    initial_finger_std: float = 1.0
    """of its finger commands"""
    lead: int = 0
    """the residual is added to the plan this many steps ahead instead of to the next (ours): smoothing and the wrist's
    drives lag by about twelve; 0, or a frame offset of the observation"""
    grasp: float = 0.0
    """finger command that the policy's is added to once the plan is about to move a keypoint (ours): 0 is open, 1
    closed; see :class:`PlanFollowing`"""
    reward_scale: float = 1.0
    """rewards are multiplied by this for learning only"""
    final_threshold: float = 0.5
    """share of the task's tracking threshold that is left at the end of annealing (paper, 3.3)"""
    annealing: float = 1.0
    """share of the training over which the threshold is annealed, above 0 (paper: all of it)"""
    averaging: float = 0.0
    """the policy that is evaluated and exported is a running average of the actor's weights (ours), of which this share
    is kept from iteration to iteration; 0 is the actor itself"""
    bf16: bool = False
    """update in bfloat16 (autocast)"""

    checkpoint_every: int = 25
    """iterations between checkpoints; every environment begins a new episode there, so that a resumed run goes on
    bit for bit"""
    evaluate_every: int = 25
    """iterations between evaluations of the mean action on held-out states; the best policy is kept"""
    evaluation_states: int = 50
    """start states per evaluation: freshly drawn from fixed seeds, neither those of training nor the benchmark's; plans
    from a file are for frozen states only, and then the first training states are taken"""
    stop_at: float = 2.0
    """stop when an evaluation reaches this success rate (2 never does)"""
    name: str = ""
    """name of the run; task, preset and seed if empty"""
    runs: Path = Path("runs")
    """folder of the runs"""
    resume: bool = False
    """go on from the run's last checkpoint"""
    track: Literal["tensorboard", "wandb", "trackio", "none"] = "tensorboard"
    """where curves go besides progress.jsonl"""
    video: bool = False
    """make a video of the best policy"""


PRESETS = {
    "paper": Args(),
    "cpu": Args(
        preset="cpu",
        total_steps=125_000,
        num_envs=128,
        num_steps=32,
        minibatches=4,
        desired_kl=0.02,
        learning_rate_range=(1e-4, 1e-3),
        clip_value=False,
        entropy_coefficient=0.0,
        hidden=(256, 256, 256),
        initial_std=0.15,
        initial_finger_std=0.15,
        lead=10,
        grasp=0.7,
        reward_scale=0.1,
        averaging=0.9,
        bf16=True,
        checkpoint_every=50,
        evaluate_every=8,
    ),
}


def parse(argv: list[str] | None = None) -> Args:
    """The arguments; those given override the preset's."""
    return tyro.cli(Args, args=argv, default=PRESETS[tyro.cli(Args, args=argv).preset], description=__doc__)


# ------------------------------------------------------------------------------------------------------- networks
class ActorCritic(nn.Module):
    """Two multilayer perceptrons and a state-independent standard deviation."""

    def __init__(self, observations: int, actions: int, args: Args) -> None:
        super().__init__()
        self.actor = mlp(observations, args.hidden, actions, last_gain=0.01)
        self.critic = mlp(observations, args.hidden, 1, last_gain=1.0)
        std = torch.full((actions,), args.initial_std)
        std[WRIST_DIM:] = args.initial_finger_std
        self.log_std = nn.Parameter(std.log())
        self.averaged = copy.deepcopy(self.actor).requires_grad_(False)

    def value(self, observation: torch.Tensor) -> torch.Tensor:
        """Value (n,) of normalised observations (n, D)."""
        values: torch.Tensor = self.critic(observation).squeeze(-1).float()
        return values

    def mean(self, observation: torch.Tensor) -> torch.Tensor:
        """Mean action (n, A) at normalised observations (n, D)."""
        means: torch.Tensor = self.actor(observation).float()
        return means

    def averaged_mean(self, observation: torch.Tensor) -> torch.Tensor:
        """Action (n, A) of the averaged actor, the policy that is evaluated and exported."""
        means: torch.Tensor = self.averaged(observation).float()
        return means

    @torch.no_grad()
    def average(self, kept: float) -> None:
        """Move the averaged actor towards the actor, but for the share ``kept``."""
        for average, parameter in zip(self.averaged.parameters(), self.actor.parameters(), strict=True):
            average.lerp_(parameter, 1.0 - kept)


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int, last_gain: float) -> nn.Sequential:
    """A multilayer perceptron with ELUs and orthogonal weights."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [orthogonal(nn.Linear(inputs, size), math.sqrt(2)), nn.ELU()]
        inputs = size
    return nn.Sequential(*layers, orthogonal(nn.Linear(inputs, outputs), last_gain))


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """Initialise a layer; returns it."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Normalizer:
    """Running mean and variance of observations, the same in every process."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.mean = torch.zeros(size, dtype=torch.float64, device=device)
        self.squares = torch.zeros(size, dtype=torch.float64, device=device)

    def update(self, observations: torch.Tensor) -> None:
        """Take in observations (..., D) of all processes."""
        flat = observations.reshape(-1, observations.shape[-1]).double()
        count = torch.tensor(float(len(flat)), dtype=torch.float64, device=flat.device)
        moments = torch.cat([count[None], flat.sum(0), (flat * flat).sum(0)])
        all_reduce_sum(moments)
        count, total, squares = moments[0], *moments[1:].chunk(2)
        mean = total / count
        delta, both = mean - self.mean, self.count + count
        self.squares += (squares - count * mean * mean) + delta * delta * self.count * count / both
        self.mean += delta * count / both
        self.count.copy_(both)

    def std(self) -> torch.Tensor:
        """Standard deviation (D,), never tiny."""
        return (self.squares / self.count.clamp(min=1)).clamp(min=0).sqrt().clamp(min=1e-2)

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        return ((observation - self.mean.float()) / self.std().float()).clamp(-10, 10)


# ------------------------------------------------------------------------------------------------------- processes
def world() -> tuple[int, int]:
    """This process' rank and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def all_reduce_sum(tensor: torch.Tensor) -> None:
    """Sum a tensor over processes, in place."""
    if dist.is_initialized():
        dist.all_reduce(tensor)


def all_reduce_mean(tensor: torch.Tensor) -> torch.Tensor:
    """Average a tensor over processes, in place; returns it."""
    all_reduce_sum(tensor)
    return tensor.div_(world()[1])


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average gradients over processes, all in one message."""
    if not dist.is_initialized():
        return
    flat = all_reduce_mean(torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None]))
    position = 0
    for parameter in parameters:
        if parameter.grad is not None:
            size = parameter.grad.numel()
            parameter.grad.copy_(flat[position : position + size].view_as(parameter.grad))
            position += size


def seed_of(*parts: object) -> int:
    """A 63-bit seed from anything."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


# ------------------------------------------------------------------------------------------------------- rollout
@dataclass
class Batch:
    """What an iteration learns from; T steps of n environments."""

    observations: torch.Tensor  # (T, n, D), normalised
    actions: torch.Tensor  # (T, n, A)
    means: torch.Tensor  # (T, n, A) of the policy that acted
    log_std: torch.Tensor  # (A,)
    log_probs: torch.Tensor  # (T, n)
    values: torch.Tensor  # (T, n)
    rewards: torch.Tensor  # (T, n), with the value of what a truncation cut off
    dones: torch.Tensor  # (T, n), 1 where the episode ended with this step
    last_value: torch.Tensor  # (n,) of the observation after the last step
    raw: torch.Tensor  # (T, n, D), observations as they came
    episodes: dict[str, list[float]] = field(default_factory=dict)  # of those that ended
    seconds_stepping: float = 0.0  # spent in the environments


@torch.no_grad()
def rollout(
    envs: Any,
    observation: torch.Tensor,
    model: ActorCritic,
    normalizer: Normalizer,
    generator: torch.Generator,
    args: Args,
    returns: torch.Tensor,
    base: Callable[[torch.Tensor], torch.Tensor],
    cuts: torch.Tensor,
) -> tuple[Batch, torch.Tensor]:
    """Play ``args.num_steps`` steps in every environment.

    Args:
        observation: (n, D) the environments' current observations. returns: (n,) running sums, updated in place.
        base: gives the actions that the policy's are added to, from observations as they come.
        cuts: (n,) steps until an episode is cut off to begin another, counted down in place; see
            :meth:`Learner.begin_episodes`.

    Returns:
        The batch, and the observations after it.
    """
    steps: dict[str, list[torch.Tensor]] = {
        name: [] for name in ("observations", "actions", "means", "log_probs", "values", "rewards", "dones", "raw")
    }
    ended: dict[str, list[float]] = {name: [] for name in ("return", "length", "success", "error", "tips", "grip")}
    std, stepping = model.log_std.exp(), 0.0
    for _ in range(args.num_steps):
        seen = normalizer(observation)
        mean = model.mean(seen)
        action = mean + std * torch.randn(mean.shape, generator=generator, device=seen.device)
        steps["raw"].append(observation)
        asked, before = action + base(observation), time.perf_counter()
        observation, reward, terminated, truncated, infos = envs.step(asked)
        stepping += time.perf_counter() - before
        returns += reward
        done = terminated | truncated
        reward = reward * args.reward_scale
        if done.any():
            if truncated.any():  # the episode would have gone on: what it would have earned is its value
                cut = truncated & ~terminated
                reward[cut] += args.gamma * model.value(normalizer(infos["final_obs"][cut]))
            final = infos["final_info"]
            force = final["tip_forces"][done]
            for name, numbers in {
                "return": returns[done],
                "length": final["elapsed_steps"][done],
                "success": final["success_once"][done],
                "error": final["tracking_error"][done].mean(1),
                "tips": (force > 0.05).sum(1),
                "grip": force.max(1).values,
            }.items():
                ended[name] += numbers.float().tolist()
            returns[done] = 0.0
        cuts -= 1
        if (cut := (cuts == 0) & ~done).any():
            done = done | cut
            reward[cut] += args.gamma * model.value(normalizer(observation[cut]))
            observation, _ = envs.reset(options={"reset_mask": cut.cpu().numpy()})
            returns[cut] = 0.0
        for name, value in {
            "observations": seen,
            "actions": action,
            "means": mean,
            "log_probs": gaussian_log_prob(action, mean, model.log_std),
            "values": model.value(seen),
            "rewards": reward,
            "dones": done.float(),
        }.items():
            steps[name].append(value)
    stacked = {name: torch.stack(values) for name, values in steps.items()}
    last_value = model.value(normalizer(observation))
    batch = Batch(
        **stacked, log_std=model.log_std.clone(), last_value=last_value, episodes=ended, seconds_stepping=stepping
    )
    return batch, observation


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    dones: torch.Tensor,
    last_value: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Generalised advantage estimates (T, n).

    Args:
        rewards, values: (T, n). dones: (T, n), 1 where the episode ended with that step. last_value: (n,).
    """
    result, running = torch.zeros_like(rewards), torch.zeros_like(last_value)
    following = last_value
    for step in reversed(range(len(rewards))):
        alive = 1.0 - dones[step]
        delta = rewards[step] + gamma * following * alive - values[step]
        running = delta + gamma * gae_lambda * alive * running
        result[step], following = running, values[step]
    return result


# ------------------------------------------------------------------------------------------------------- update
def gaussian_log_prob(action: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """Log density (m,) of actions (m, A) under diagonal Gaussians."""
    return (-0.5 * ((action - mean) / log_std.exp()) ** 2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def gaussian_entropy(log_std: torch.Tensor) -> torch.Tensor:
    """Entropy of a diagonal Gaussian."""
    return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()


def gaussian_kl(
    old_mean: torch.Tensor, old_log_std: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor
) -> torch.Tensor:
    """Mean divergence of diagonal Gaussians (m, A), from old to new."""
    ratio = (old_log_std - log_std).exp() ** 2
    shift = ((old_mean - mean) / log_std.exp()) ** 2
    return (0.5 * (ratio + shift - 1.0) + log_std - old_log_std).sum(-1).mean()


def adapted(learning_rate: float, kl: float, desired: float, bounds: tuple[float, float]) -> float:
    """The next learning rate: smaller after a large step of the policy, larger after a small one."""
    if desired <= 0:
        return learning_rate
    if kl > 2.0 * desired:
        return max(bounds[0], learning_rate / 1.5)
    if 0.0 < kl < desired / 2.0:
        return min(bounds[1], learning_rate * 1.5)
    return learning_rate


def minibatches(size: int, count: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Shuffled indices in ``count`` parts."""
    yield from torch.randperm(size, generator=generator, device=generator.device).chunk(count)


def update(
    model: ActorCritic, optimizer: torch.optim.Adam, batch: Batch, generator: torch.Generator, args: Args
) -> dict[str, float]:
    """Improve the policy on a batch; returns what curves are drawn of."""
    gains = advantages(batch.rewards, batch.values, batch.dones, batch.last_value, args.gamma, args.gae_lambda)
    flat = {
        name: getattr(batch, name).flatten(0, 1) for name in ("observations", "actions", "means", "log_probs", "values")
    }
    gains, targets = gains.flatten(), (gains + batch.values).flatten()
    parameters = list(model.parameters())
    device = gains.device.type
    sums: dict[str, float] = dict.fromkeys(("policy_loss", "value_loss", "entropy", "kl", "clipped"), 0.0)
    learning_rate, count = optimizer.param_groups[0]["lr"], 0
    for _ in range(args.epochs):
        for rows in minibatches(len(gains), args.minibatches, generator):
            with torch.autocast(device, torch.bfloat16) if args.bf16 else nullcontext():
                mean, value = model.mean(flat["observations"][rows]), model.value(flat["observations"][rows])
            log_prob = gaussian_log_prob(flat["actions"][rows], mean, model.log_std)
            with torch.no_grad():
                kl = gaussian_kl(flat["means"][rows], batch.log_std, mean, model.log_std)
                step_kl = float(all_reduce_mean(kl))
            learning_rate = adapted(learning_rate, step_kl, args.desired_kl, args.learning_rate_range)
            optimizer.param_groups[0]["lr"] = learning_rate

            gain = gains[rows]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            ratio = (log_prob - flat["log_probs"][rows]).exp()
            policy_loss = torch.max(-gain * ratio, -gain * ratio.clamp(1 - args.clip, 1 + args.clip)).mean()
            value_loss = (value - targets[rows]) ** 2
            if args.clip_value:
                old = flat["values"][rows]
                near = old + (value - old).clamp(-args.clip, args.clip)
                value_loss = torch.max(value_loss, (near - targets[rows]) ** 2)
            entropy = gaussian_entropy(model.log_std)
            loss = policy_loss + args.value_coefficient * value_loss.mean() - args.entropy_coefficient * entropy

            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            average_gradients(parameters)
            nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
            optimizer.step()

            count += 1
            clipped = ((ratio - 1).abs() > args.clip).float().mean()
            told = (policy_loss, value_loss.mean(), entropy, torch.tensor(step_kl), clipped)
            for name, number in zip(sums, told, strict=True):
                sums[name] += float(number.detach())
    spread = float((targets - flat["values"]).var() / targets.var().clamp(min=1e-8))
    return {
        **{name: total / count for name, total in sums.items()},
        "learning_rate": learning_rate,
        "std": float(model.log_std.detach().exp().mean()),
        "explained_variance": 1.0 - spread,
    }


# ------------------------------------------------------------------------------------------------------- evaluation
@torch.no_grad()
def evaluate(
    envs: Any,
    seeds: list[int],
    model: ActorCritic,
    normalizer: Normalizer,
    base: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, float]:
    """Play the mean action from one state per seed; averages over all processes."""
    observation, _ = envs.reset(seed=seeds, options=None if envs.split == "fresh" else {"state": seeds})
    sums = torch.zeros(6, dtype=torch.float64)
    touching = torch.zeros(len(seeds), 2, device=observation.device)
    done = torch.zeros(len(seeds), dtype=torch.bool, device=observation.device)
    total = torch.zeros(len(seeds), device=observation.device)
    while not done.all():
        action = model.averaged_mean(normalizer(observation)) + base(observation)
        observation, reward, terminated, truncated, infos = envs.step(action)
        total += reward
        done = terminated | truncated
        force = infos["tip_forces"]
        held = (force > 0.05).any(1)
        touching += torch.stack([held, held * force.max(1).values], dim=1)
    numbers = (infos["success_once"], infos["success"], infos["tracking_error"].mean(1), total, *touching.T)
    sums += torch.stack([number.double().sum().cpu() for number in numbers])
    count = torch.tensor(float(len(seeds)), dtype=torch.float64)
    all_reduce_sum(sums)
    all_reduce_sum(count)
    once, at_end, error, earned, steps, force = (sums / count).tolist()
    grip = force / steps if steps else 0.0
    return {"success_once": once, "success_at_end": at_end, "tracking_error": error, "return": earned, "grip": grip}


# ------------------------------------------------------------------------------------------------------- checkpoints
def save_checkpoint(
    folder: Path, iteration: int, model: ActorCritic, optimizer: torch.optim.Adam, normalizer: Normalizer, state: Any
) -> Path:
    """Write a whole checkpoint or none; keep the last two."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value.contiguous() for name, value in moments.items()}
    tensors |= {f"normalizer.{name}": getattr(normalizer, name) for name in ("count", "mean", "squares")}
    partial, target = folder / f".{iteration:06d}", folder / f"{iteration:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors, partial / "tensors.safetensors")
    digest = hashlib.sha256((partial / "tensors.safetensors").read_bytes()).hexdigest()
    facts = {**state, "iteration": iteration, "learning_rate": optimizer.param_groups[0]["lr"], "sha256": digest}
    (partial / "state.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    for old in checkpoints(folder)[:-2]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, the oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if (path / "state.json").is_file())


def load_checkpoint(
    path: Path, model: ActorCritic, optimizer: torch.optim.Adam, normalizer: Normalizer
) -> dict[str, Any]:
    """Restore a checkpoint; returns what was saved beside the tensors.

    Raises:
        ValueError: the file is not the one that was written.
    """
    state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
    file = path / "tensors.safetensors"
    if hashlib.sha256(file.read_bytes()).hexdigest() != state["sha256"]:
        raise ValueError(f"{file} is damaged: its hash is not the recorded one; delete {path} to go on from the last")
    tensors = load_file(file)
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
    adam = optimizer.state_dict()
    adam["state"] = {}
    for name, value in tensors.items():
        if name.startswith("adam."):
            _, index, moment = name.split(".")
            adam["state"].setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict(adam)
    optimizer.param_groups[0]["lr"] = state["learning_rate"]
    for name in ("count", "mean", "squares"):
        getattr(normalizer, name).copy_(tensors[f"normalizer.{name}"])
    return state


# ------------------------------------------------------------------------------------------------------- tracking
class Tracker:
    """Writes ``progress.jsonl`` and, on request, to a dashboard."""

    def __init__(self, folder: Path, args: Args, keep: int) -> None:
        path = folder / "progress.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["iteration"] <= keep] if keep else []
        write_atomically(path, "".join(f"{line}\n" for line in kept))
        self.minutes = json.loads(kept[-1])["minutes"] if kept else 0.0
        self.best = max((json.loads(line).get("eval_success_once", -1.0) for line in kept), default=-1.0)
        self._file = path.open("a", encoding="utf-8")
        self._writer: Any = None
        self._log: Any = None
        config = {name: str(value) for name, value in dataclasses.asdict(args).items()}
        try:
            if args.track == "tensorboard":
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(folder))
            elif args.track != "none":
                module = __import__(args.track)
                module.init(project="scaffold_bench", name=folder.name, config=config)
                self._log = module.log
        except ImportError as error:
            raise SystemExit(
                f"--track {args.track} needs a package that is not installed ({error}); "
                "pip install 'scaffold-bench[train]' (or wandb, trackio), or use --track none"
            ) from error

    def write(self, numbers: dict[str, float]) -> None:
        """Note one iteration."""
        self._file.write(json.dumps(numbers) + "\n")
        self._file.flush()
        step = int(numbers["steps"])
        if self._writer is not None:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, step)
        if self._log is not None:
            self._log(numbers, step=step)


def progress_bar(silent: bool) -> Progress:
    """A bar with return, success, speed and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        disable=silent,
    )


# ------------------------------------------------------------------------------------------------------- training
class Learner:
    """Everything a run holds in memory; :meth:`iterate` is one iteration."""

    def __init__(self, args: Args) -> None:
        self.args = args
        rank, processes = world()
        if not 0 <= args.averaging < 1:
            raise ValueError(f"averaging must be at least 0 and below 1, got {args.averaging}")
        if not args.annealing > 0:
            raise ValueError(f"annealing must be above 0, got {args.annealing}")
        if args.num_envs % processes:
            raise ValueError(f"num_envs = {args.num_envs} cannot be shared by {processes} processes; choose a multiple")
        if args.evaluation_states < processes:
            raise ValueError(f"evaluation_states = {args.evaluation_states} cannot be shared by {processes} processes")
        self.device = torch.device("cuda" if args.sim_backend == "physx_cuda" else "cpu")
        common: dict[str, Any] = dict(
            scaffolds=args.scaffolds, sim_backend=args.sim_backend, wrist_plan=args.wrist_plan, array="torch"
        )
        own = args.num_envs // processes
        make: Any = gym.make_vec  # these have more than every vector environment
        self.envs = make(args.env_id, own, split="train", **common)
        self.seeds = list(range(args.evaluation_states))[rank::processes]
        self.plan_files = files_of(resolve_provider(args.scaffolds))
        held_out = "train" if self.plan_files else "fresh"
        self.eval_envs = make(
            args.env_id, len(self.seeds), split=held_out, tracking_threshold=None, autoreset=False, **common
        )
        observations = gym.spaces.flatdim(self.envs.single_observation_space)
        actions = gym.spaces.flatdim(self.envs.single_action_space)
        torch.manual_seed(seed_of(args.seed, "weights"))  # the same in every process
        self.model = ActorCritic(observations, actions, args).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=args.learning_rate, eps=1e-5)
        self.normalizer = Normalizer(observations, self.device)
        self.base, self.actions = PlanFollowing(args.lead, args.grasp), actions
        self.generator = torch.Generator(self.device)
        self.iteration = 0
        self.iterations = max(1, args.total_steps // (args.num_envs * args.num_steps))

    def base_action(self, observation: torch.Tensor) -> torch.Tensor:
        """The actions (n, A) that the policy's are added to, at observations (n, D) as they come."""
        return self.base(observation, self.envs.observation_layout, self.actions)

    def sources(self) -> dict[str, Any]:
        """Hashes of what is trained on: start states, and plan files if there are any."""
        plans = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.plan_files]
        return {"start_states": {"train": self.envs.start_state_set.sha256}, "plans": plans}

    def begin_episodes(self) -> None:
        """Begin new episodes everywhere, from a seed that depends on nothing but the iteration.

        Every first episode is cut off at a step of its own. Environments that stay in step would show an iteration
        one phase of the task only, and the policy would forget the others.
        """
        rank, _ = world()
        seed = seed_of(self.args.seed, rank, self.iteration)
        self.generator.manual_seed(seed)
        self.observation, _ = self.envs.reset(seed=seed % 2**31)
        count = self.envs.num_envs
        self.returns = torch.zeros(count, device=self.device)
        self.cuts = torch.randint(1, EPISODE_STEPS, (count,), generator=self.generator, device=self.device)

    def warm_up(self) -> None:
        """Fit the normaliser to what the untrained policy sees; nothing is learned from it."""
        batch, _ = self._rollout()
        self.normalizer.update(batch.raw)
        self.begin_episodes()

    def _rollout(self) -> tuple[Batch, torch.Tensor]:
        return rollout(
            self.envs,
            self.observation,
            self.model,
            self.normalizer,
            self.generator,
            self.args,
            self.returns,
            self.base_action,
            self.cuts,
        )

    def evaluate(self) -> dict[str, float]:
        """Scores of the mean action on held-out states."""
        return evaluate(self.eval_envs, self.seeds, self.model, self.normalizer, self.base_action)

    def iterate(self) -> dict[str, float]:
        """Play, learn, and tell about it."""
        args = self.args
        done = min(1.0, self.iteration / (self.iterations * args.annealing))
        spec = self.envs.task.spec
        threshold = spec.tracking_threshold * (1.0 - (1.0 - args.final_threshold) * done)
        self.envs.set_tracking_threshold(threshold)
        start = time.perf_counter()
        batch, self.observation = self._rollout()
        played = time.perf_counter()
        learned = update(self.model, self.optimizer, batch, self.generator, args)
        self.model.average(args.averaging)
        self.normalizer.update(batch.raw)
        end = time.perf_counter()
        self.iteration += 1
        reward = float(all_reduce_mean(batch.rewards.mean() / args.reward_scale))
        told = {name: float(np.mean(values)) for name, values in batch.episodes.items() if values}
        return {
            "iteration": self.iteration,
            "steps": self.iteration * args.num_envs * args.num_steps,
            "threshold": threshold,
            "reward": reward,
            **{f"episode_{name}": value for name, value in told.items()},
            **learned,
            "seconds_playing": played - start,
            "seconds_stepping": batch.seconds_stepping,
            "seconds_learning": end - played,
        }


def train(args: Args) -> Path:
    """Train a policy; returns the folder of the run."""
    rank, processes = world()
    spec = scaffold_bench.task_spec(args.env_id)
    folder = args.runs / (args.name or f"{spec.name}-{args.preset}-{args.seed}")
    torch.set_num_threads(1)
    learner = Learner(args)
    saved = checkpoints(folder / "checkpoints")
    if saved and not args.resume:
        raise SystemExit(f"{folder} holds a run; use --resume to go on with it, or another --name")
    state: dict[str, Any] = {}
    if args.resume and saved:
        begun = json.loads((saved[-1] / "state.json").read_text(encoding="utf-8"))
        check_same_run(begun, args, learner.sources(), folder)  # another network's tensors would not even load
        state = load_checkpoint(saved[-1], learner.model, learner.optimizer, learner.normalizer)
        learner.iteration = state["iteration"]
        learner.begin_episodes()
    else:
        learner.begin_episodes()
        learner.warm_up()
    tracker = None
    if rank == 0:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        tracker = Tracker(folder, args, learner.iteration)
        facts = manifest(
            {"args": json.loads(to_json(args)), "processes": processes}, [Path(sys.argv[0]).name, *sys.argv[1:]]
        )
        facts |= learner.sources()
        write_atomically(folder / "run.json", json.dumps(facts, indent=1) + "\n")
    minutes, best = (tracker.minutes, tracker.best) if tracker else (0.0, -1.0)
    with progress_bar(silent=rank != 0) as bar:
        task = bar.add_task(spec.name, total=learner.iterations, completed=learner.iteration, told="")
        while learner.iteration < learner.iterations:
            numbers = learner.iterate()
            minutes += (numbers["seconds_playing"] + numbers["seconds_learning"]) / 60
            numbers["minutes"] = minutes
            last = learner.iteration == learner.iterations
            scored: dict[str, float] = {}
            if last or learner.iteration % args.evaluate_every == 0:
                start = time.perf_counter()
                scored = learner.evaluate()
                numbers["seconds_evaluating"] = time.perf_counter() - start
                numbers |= {f"eval_{name}": value for name, value in scored.items()}
            enough = scored.get("success_once", 0.0) >= args.stop_at
            if tracker is not None:
                tracker.write(numbers)
                if scored and scored["success_once"] >= best:
                    best = scored["success_once"]
                    export(folder, learner, numbers, minutes)
                speed = args.num_envs * args.num_steps / (numbers["seconds_playing"] + numbers["seconds_learning"])
                success = 100 * numbers.get("episode_success", 0.0)
                told = (
                    f"return {numbers.get('episode_return', 0.0):6.1f}  success {success:3.0f} %  {speed:,.0f} steps/s"
                )
                bar.update(task, completed=learner.iteration, told=told)
                if scored:
                    bar.console.print(
                        f"{spec.name}: {numbers['steps']:,} steps, {minutes:.1f} min: held-out success "
                        f"{100 * scored['success_once']:.0f} %, grip {scored['grip']:.0f} N"
                    )
            if last or enough or learner.iteration % args.checkpoint_every == 0:
                if rank == 0:
                    facts = {
                        "args": json.loads(to_json(args)),
                        "minutes": minutes,
                        "versions": package_versions(),
                        **learner.sources(),
                    }
                    save_checkpoint(
                        folder / "checkpoints",
                        learner.iteration,
                        learner.model,
                        learner.optimizer,
                        learner.normalizer,
                        facts,
                    )
                learner.begin_episodes()
            if enough:
                break
    if rank == 0 and args.video:
        make_video(folder, args)
    return folder


def to_json(args: Args) -> str:
    """The arguments as JSON."""
    return json.dumps(dataclasses.asdict(args), default=str)


def check_same_run(state: dict[str, Any], args: Args, sources: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other settings, start states or plans than a run began with.

    Raises:
        SystemExit: names those that differ.
    """
    old = state["args"]
    if changed := [name for name, value in sources.items() if state.get(name) != value]:
        raise SystemExit(
            f"{folder} was trained with other {' and '.join(changed)}; restore them, or give another --name"
        )
    free = {"resume", "track", "video", "runs", "name", "stop_at"}
    new = json.loads(to_json(args))
    if different := [name for name in new if name not in free and new[name] != old.get(name)]:
        raise SystemExit(f"{folder} was trained with other {', '.join(different)}; give the same, or another --name")


def export(folder: Path, learner: Learner, numbers: dict[str, float], minutes: float) -> None:
    """Write the actor with its normaliser, ready to be evaluated."""
    layers = [layer for layer in learner.model.averaged if isinstance(layer, nn.Linear)]
    args = learner.args
    about = {
        "method": "residual-ppo" if args.wrist_plan else "ppo-no-scaffold",
        "env_id": args.env_id,
        "scaffolds": args.scaffolds,
        "wrist_plan": args.wrist_plan,
        "seed": args.seed,
        "preset": args.preset,
        "steps": int(numbers["steps"]),
        "minutes": round(minutes, 2),
    }
    mean, std = learner.normalizer.mean.float(), learner.normalizer.std().float()
    pairs = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]
    save_actor(folder / "policy.safetensors", pairs, mean, std, learner.base, about)


def make_video(folder: Path, args: Args) -> None:
    """A video of the best policy on the first evaluation state."""
    from scaffold_bench.evaluation.media import VIDEO_SIZE, record_episode
    from scaffold_bench.registration import make_env

    camera = {"width": VIDEO_SIZE, "height": VIDEO_SIZE}
    env = make_env(
        args.env_id,
        scaffolds=args.scaffolds,
        wrist_plan=args.wrist_plan,
        split="eval",
        tracking_threshold=None,
        render_mode="rgb_array",
        human_render_camera_configs=camera,
    )
    record_episode(env, ActorPolicy(folder / "policy.safetensors"), 0, 0, folder / "video.mp4", folder / "tracking.png")
    env.close()


def main(argv: list[str] | None = None) -> None:
    """Train, in as many processes as ``torchrun`` started."""
    args = parse(argv)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("nccl" if args.sim_backend == "physx_cuda" else "gloo")
    try:
        folder = train(args)
        if world()[0] == 0:
            console.print(f"policy: {folder / 'policy.safetensors'}", soft_wrap=True)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
