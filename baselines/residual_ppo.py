"""Residual PPO in one file: a policy that adds to the planned wrist and closes the fingers.

    python baselines/residual_ppo.py --preset cpu --env-id Scaffold-MoveApple-v0           # a laptop, about 2 minutes
    torchrun --nproc-per-node 2 baselines/residual_ppo.py --preset cpu --env-id Scaffold-Hammer-v0
    python baselines/residual_ppo.py --preset no-scaffold --env-id Scaffold-MoveApple-v0   # without the planned wrist
    python baselines/residual_ppo.py --env-id Scaffold-Hammer-v0                           # the paper's settings

The learner of "Scaffolding Dexterous Manipulation with Vision-Language Models" (section 3.3, Table 1) in the manner of
CleanRL; the loop is in :func:`train`. Every process steps environments of its own; gradients, KL divergence and
observation normaliser are those of all. The first process writes, into ``runs/<name>``: ``run.json`` (what was run),
``progress.jsonl`` (an evaluation before training, then a line per iteration), ``checkpoints/`` and the best actor so
far, for ``scaffold-bench evaluate --policy file:runs/<name>/policy.safetensors``.
"""

from __future__ import annotations

import atexit
import copy
import importlib
import itertools
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process per core is faster than one process with many threads

import gymnasium as gym
import numpy as np
import torch
import torch.distributed as dist
import tyro
from rich.console import Console
from rich.progress import Progress, TextColumn
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.parallel import DistributedDataParallel

import scaffold_bench
from scaffold_bench.evaluation import make_policy, record_episode
from scaffold_bench.policies import PlanFollowing, latest_checkpoint, load_checkpoint, save_actor, save_checkpoint
from scaffold_bench.records import manifest, write_atomically
from scaffold_bench.scaffolds import plan_files_hash, resolve_provider
from scaffold_bench.types import CONTACT_FORCE, WRIST_DIM

MAY_CHANGE = {"resume", "track", "video", "runs", "name", "stop_at"}  # arguments that a resumed run may give anew


@dataclass
class Args:
    """The paper's Table 1 by default; ``--preset cpu`` for a laptop, no-scaffold for cpu without the planned wrist."""

    preset: Literal["paper", "cpu", "no-scaffold"] = "paper"  # settings to begin with; any can be given as well
    env_id: str = "Scaffold-Hammer-v0"  # the task
    scaffolds: str = "oracle"  # who plans: oracle, recorded:NAME, the path of a plan file, ...
    wrist_plan: bool = True
    """follow the planned wrist; without it an action moves the wrist by at most 1 cm and 0.1 rad per step"""
    seed: int = 1  # seed of everything
    total_steps: int = 98_304_000  # environment steps of all processes (paper: 2000 iterations of 24 x 2048)
    sim_backend: Literal["physx_cpu", "physx_cuda"] = "physx_cpu"  # where environments run; physx_cuda was never tried
    num_envs: int = 2048  # environments of all processes together
    num_steps: int = 24  # steps of every environment per iteration
    epochs: int = 5  # passes over the data of an iteration
    minibatches: int = 16  # minibatches per pass
    learning_rate: float = 3e-4  # Adam's, at the beginning
    desired_kl: float = 0.01  # above twice this divergence the learning rate shrinks, below half it grows; 0 keeps it
    learning_rate_range: tuple[float, float] = (1e-5, 1e-2)  # bounds of the adaptive learning rate
    gamma: float = 0.99  # discount
    gae_lambda: float = 0.95  # lambda of generalised advantage estimation
    clip: float = 0.2  # PPO's clipping range
    clip_value: bool = True  # clip the value loss too
    value_coefficient: float = 1.0  # weight of the value loss
    entropy_coefficient: float = 0.01  # weight of the entropy
    max_grad_norm: float = 1.0  # gradients are scaled down to this norm
    hidden: tuple[int, ...] = (512, 512, 512)  # layers of actor and critic, ELU
    initial_std: float = 1.0  # of the Gaussian policy's wrist residuals
    initial_finger_std: float = 1.0  # of its finger commands
    lead: int = 0  # ours: follow the plan this many steps ahead, as smoothing and drives lag by 12; 0 or a frame offset
    grasp: float = 0.0  # ours: close the fingers this far, 0 to 1, once the plan is about to move a keypoint
    reward_scale: float = 1.0  # rewards are multiplied by this for learning only
    final_threshold: float = 0.5  # share of the task's tracking threshold left at the end of annealing (paper, 3.3)
    annealing: float = 1.0  # share of the training over which the threshold is annealed, above 0 (paper: all of it)
    averaging: float = 0.0  # ours: evaluate and export a running average of the actor that keeps this per iteration
    bf16: bool = False  # update in bfloat16 (autocast)
    checkpoint_every: int = 25  # iterations between checkpoints, where all environments begin new episodes
    evaluate_every: int = 25  # iterations between evaluations of the mean action; the best policy is kept
    evaluation_states: int = 50  # fresh start states per evaluation; the first training states if plans are from a file
    stop_at: float = 2.0  # stop when an evaluation during training reaches this success rate (2 never does)
    name: str = ""  # name of the run; task, preset and seed if empty
    runs: Path = Path("runs")  # folder of the runs
    resume: bool = False  # go on from the run's last checkpoint, bit for bit as if it had not been interrupted
    track: Literal["tensorboard", "trackio", "wandb", "none"] = "tensorboard"  # where curves go besides progress.jsonl
    video: bool = False  # make a video of the best policy


CPU = Args(
    preset="cpu", total_steps=125_000, num_envs=128, num_steps=32, minibatches=4, desired_kl=0.02,
    learning_rate_range=(1e-4, 1e-3), clip_value=False, entropy_coefficient=0.0, hidden=(256, 256, 256),
    initial_std=0.15, initial_finger_std=0.15, lead=10, grasp=0.7, reward_scale=0.1, averaging=0.9, bf16=True,
    checkpoint_every=50, evaluate_every=8,
)  # fmt: skip
NO_SCAFFOLD = replace(
    CPU, preset="no-scaffold", wrist_plan=False, lead=0, grasp=0.0, initial_std=1.0, initial_finger_std=1.0
)
PRESETS = {args.preset: args for args in (Args(), CPU, NO_SCAFFOLD)}


def parse(argv: list[str] | None = None) -> Args:
    """The arguments; those given override the preset's."""
    return tyro.cli(Args, args=argv, default=PRESETS[tyro.cli(Args, args=argv).preset], description=__doc__)


# ------------------------------------------------------------------------------------------------------- networks
class Normalizer(nn.Module):
    """Mean and standard deviation of all observations so far, the same in every process."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.moments: Tensor = nn.Buffer(torch.zeros(3, size, dtype=torch.float64))  # count, sum, sum of squares

    def update(self, observations: Tensor) -> None:
        """Take in observations (..., D) of all processes."""
        flat = observations.flatten(0, -2).double()
        self.moments += all_sum(torch.stack([torch.ones_like(flat).sum(0), flat.sum(0), flat.square().sum(0)]))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and standard deviation (D,), which is never tiny."""
        mean, square = self.moments[1:] / self.moments[0].clamp(min=1)
        return mean.float(), (square - mean.square()).clamp(min=1e-4).sqrt().float()

    def forward(self, observation: Tensor) -> Tensor:
        """Normalised observations (..., D), clipped to ten standard deviations."""
        mean, std = self.statistics()
        return ((observation - mean) / std).clamp(-10, 10)


class Agent(nn.Module):
    """Actor, critic, a standard deviation per action, a running average of the actor, and the normaliser."""

    def __init__(self, observations: int, actions: int, args: Args) -> None:
        super().__init__()
        self.normalizer = Normalizer(observations)
        self.actor = mlp([observations, *args.hidden, actions], last_gain=0.01)
        self.critic = mlp([observations, *args.hidden, 1], last_gain=1.0)
        std = torch.full((actions,), args.initial_finger_std)
        std[:WRIST_DIM] = args.initial_std
        self.log_std = nn.Parameter(std.log())
        self.averaged = copy.deepcopy(self.actor).requires_grad_(False)

    def forward(self, seen: Tensor) -> tuple[Any, Tensor]:
        """The policy over actions (A,) and the values (m,) at normalised observations (m, D)."""
        mean, value = self.actor(seen).float(), self.critic(seen).float()
        return Independent(Normal(mean, self.log_std.exp()), 1), value.squeeze(-1)


def mlp(sizes: list[int], last_gain: float) -> nn.Sequential:
    """A multilayer perceptron with ELUs and orthogonal weights."""
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)]
    for layer in linear:
        nn.init.orthogonal_(layer.weight, last_gain if layer is linear[-1] else 2**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*[part for layer in linear for part in (layer, nn.ELU())][:-1])


# ------------------------------------------------------------------------------------------------------- parts
def all_sum(tensor: Tensor) -> Tensor:
    """Sum a tensor over processes, in place; returns it."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def advantages(
    rewards: Tensor, values: Tensor, ended: Tensor, cut_values: Tensor, last_value: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates (T, n).

    Args:
        rewards, values: (T, n). ended: (T, n) whether the episode ended with that step. cut_values: (T, n) the value of
            its last observation where it was cut off, 0 where it terminated. last_value: (n,) after the last step.
    """
    result, running, following = torch.zeros_like(rewards), torch.zeros_like(last_value), last_value
    for t in reversed(range(len(rewards))):
        following = torch.where(ended[t], cut_values[t], following)
        running = rewards[t] + gamma * following - values[t] + gamma * lam * running * ~ended[t]
        result[t], following = running, values[t]
    return result


def adapted(learning_rate: float, kl: float, desired: float, bounds: tuple[float, float]) -> float:
    """The next learning rate: smaller after a large step of the policy, larger after a small one."""
    if kl > 2.0 * desired > 0.0:
        return max(bounds[0], learning_rate / 1.5)
    return min(bounds[1], learning_rate * 1.5) if 0.0 < kl < desired / 2.0 else learning_rate


@torch.no_grad()
def evaluate(envs: Any, seeds: list[int], agent: Agent, base: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Score the averaged actor's mean action, added to ``base`` of observations (n, D), on all processes' seeds."""
    begin = time.perf_counter()  # "fresh" start states are drawn from seeds, frozen ones are numbered by them
    observation, _ = envs.reset(seed=seeds, options=None if envs.split == "fresh" else {"state": seeds})
    done, sums = torch.zeros(1, dtype=torch.bool), torch.zeros(3, len(seeds), device=observation.device)
    while not done.all():
        action = agent.averaged(agent.normalizer(observation)) + base(observation)
        observation, reward, terminated, truncated, infos = envs.step(action)
        force = infos["tip_forces"].max(1).values
        sums += torch.stack([reward, force > CONTACT_FORCE, force * (force > CONTACT_FORCE)])
        done = terminated | truncated
    numbers = [infos["success_once"], infos["success"], infos["tracking_error"].mean(1), *sums, torch.ones(len(seeds))]
    *totals, count = all_sum(torch.stack([number.double().sum().cpu() for number in numbers])).tolist()
    once, at_end, error, earned, touching, force = (total / count for total in totals)
    scores = {"success_once": once, "success_at_end": at_end, "tracking_error": error, "return": earned}
    scores["grip"] = force / touching if touching else 0.0
    return {f"eval_{name}": x for name, x in scores.items()} | {"seconds_evaluating": time.perf_counter() - begin}


def tracker(track: str, folder: Path, config: dict[str, Any]) -> Callable[[dict[str, Any], int], Any]:
    """A function of numbers and step that draws curves; raises SystemExit if what draws them is not installed."""
    if track == "none":
        return lambda *_: None
    try:
        module = importlib.import_module("torch.utils.tensorboard" if track == "tensorboard" else track)
    except ImportError as error:
        install = "pip install 'scaffold-bench[train]' (or trackio, wandb), or use --track none"
        raise SystemExit(f"--track {track} needs a package that is not installed ({error}); {install}") from error
    if track == "tensorboard":
        writer = module.SummaryWriter(str(folder))
        return lambda numbers, step: [writer.add_scalar(*one, step) for one in numbers.items()] + [writer.flush()]
    module.init(project="scaffold_bench", name=folder.name, config=config)  # trackio has wandb's functions
    atexit.register(module.finish)
    return lambda numbers, step: module.log(numbers, step=step)


def export(path: Path, agent: Agent, base: PlanFollowing, about: dict[str, Any]) -> None:
    """Write the averaged actor with its normaliser, ready to be evaluated."""
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in agent.averaged if isinstance(layer, nn.Linear)]
    save_actor(path, layers, *agent.normalizer.statistics(), base, about)


# ------------------------------------------------------------------------------------------------------- training
def train(args: Args) -> Path:
    """Train a policy; returns the run's folder. Raises ValueError or SystemExit where settings cannot be or differ."""
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))  # from torchrun
    if not 0 <= args.averaging < 1 or args.annealing <= 0:
        raise ValueError(f"averaging ({args.averaging}) must be in [0, 1) and annealing ({args.annealing}) above 0")
    if args.num_envs % processes or args.evaluation_states < processes:
        raise ValueError(
            f"{processes} processes need a multiple of {processes} num_envs and no fewer evaluation_states"
        )
    spec = scaffold_bench.task_spec(args.env_id)
    folder = args.runs / (args.name or f"{spec.name}-{args.preset}-{args.seed}")
    saved = latest_checkpoint(store := folder / "checkpoints")
    if saved and not args.resume:
        raise SystemExit(f"{folder} holds a run; use --resume to go on with it, or another --name")
    torch.set_num_threads(1)
    device = torch.device("cuda" if args.sim_backend == "physx_cuda" else "cpu")
    if processes > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    # this process' share of the environments
    common: dict[str, Any] = dict(scaffolds=args.scaffolds, wrist_plan=args.wrist_plan)
    make: Any = partial(gym.make_vec, args.env_id, sim_backend=args.sim_backend, array="torch", **common)
    envs = make(num_envs=args.num_envs // processes, split="train")
    plans, seeds = plan_files_hash(resolve_provider(args.scaffolds)), [*range(args.evaluation_states)][rank::processes]
    split = "train" if plans else "fresh"  # plans from a file are for frozen start states only
    if plans and args.evaluation_states > len(envs.start_state_set):
        raise ValueError(f"plans from a file are for {len(envs.start_state_set)} states; lower evaluation_states")
    held_out = make(num_envs=len(seeds), split=split, tracking_threshold=None, autoreset=False)
    n, size, dim = envs.num_envs, envs.single_observation_space.shape[0], envs.single_action_space.shape[0]
    plan_following = PlanFollowing(args.lead, args.grasp)
    base = partial(plan_following, layout=envs.observation_layout, actions=dim)

    # the agent, the same in every process, and where a resumed run goes on
    torch.manual_seed(args.seed)
    agent = Agent(size, dim, args).to(device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    iteration, minutes, best = 0, 0.0, 0.0
    iterations = max(1, args.total_steps // (args.num_envs * args.num_steps))
    settings = json.loads(json.dumps(asdict(args), default=str))
    sources = {"start_states": {"train": envs.start_state_set.sha256}, "plans": plans}
    if saved:
        old = json.loads(saved.read_text(encoding="utf-8"))
        known, new = {**old, **old["args"]}, {**sources, **settings}
        if different := ", ".join(name for name in new if name not in MAY_CHANGE and new[name] != known.get(name)):
            raise SystemExit(f"{folder} was trained with other {different}; give the same, or another --name")
        load_checkpoint(saved, agent, optimizer)
        iteration, minutes, best = old["iteration"], old["minutes"], old["best"]
    model: Any = DistributedDataParallel(agent, broadcast_buffers=False) if processes > 1 else agent
    facts = manifest({"args": settings, "processes": processes, **sources}, [Path(sys.argv[0]).name, *sys.argv[1:]])
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "run.json", json.dumps(facts, indent=1) + "\n")
        lines = (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines(keepends=True) if saved else []
        write_atomically(folder / "progress.jsonl", "".join(lines[: iteration + 1]))
    log = tracker(args.track if rank == 0 else "none", folder, settings)

    # what an iteration learns from
    raw, seen = torch.zeros(2, args.num_steps, n, size, device=device)  # observations as they come, and normalised
    actions, means = torch.zeros(2, args.num_steps, n, dim, device=device)
    log_probs, values, rewards, cut_values = torch.zeros(4, args.num_steps, n, device=device)
    ended = torch.zeros(args.num_steps, n, dtype=torch.bool, device=device)
    console = Console(stderr=True, quiet=rank != 0)
    bar = Progress(*Progress.get_default_columns(), TextColumn("{task.fields[status]}"), console=console)
    task, first, enough = bar.add_task(spec.name, total=iterations, status=""), iteration, False
    with bar, (folder / "progress.jsonl" if rank == 0 else Path(os.devnull)).open("a", buffering=1) as progress:
        if iteration == 0:  # fit the normaliser to what the base action sees; measure what it does without training
            observation, _ = envs.reset(seed=args.seed + rank * args.num_envs)
            for t in range(args.num_steps):
                raw[t], noise = observation, agent.log_std.detach().exp() * torch.randn(n, dim, device=device)
                observation, *_ = envs.step(base(observation) + noise)
            agent.normalizer.update(raw)
            numbers = {"iteration": 0, "steps": 0, "minutes": 0.0, **evaluate(held_out, seeds, agent, base)}
            progress.write(json.dumps(numbers) + "\n")
            log(numbers, 0)

        while iteration < iterations and not enough:
            if iteration == first or iteration % args.checkpoint_every == 0:  # all begin anew, as a resumed run does
                seed = int(np.random.SeedSequence([args.seed, rank, iteration]).generate_state(1)[0]) >> 1
                torch.manual_seed(seed)
                observation, _ = envs.reset(seed=seed)
                # cut off each first episode at a step of its own, so that an iteration shows all phases of the task
                cuts, returns = torch.randint(1, spec.horizon, (n,), device=device), torch.zeros(n, device=device)
            annealed = min(1.0, iteration / (iterations * args.annealing))
            threshold = spec.tracking_threshold * (1.0 - (1.0 - args.final_threshold) * annealed)
            envs.set_tracking_threshold(threshold)
            start, stepping, stats = time.perf_counter(), 0.0, defaultdict[str, list[float]](list)

            # ---- play
            with torch.no_grad():
                old_std = agent.log_std.exp()
                cut_values.zero_()
                for t in range(args.num_steps):
                    raw[t], seen[t] = observation, agent.normalizer(observation)
                    policy, values[t] = agent(seen[t])
                    means[t], actions[t] = policy.mean, policy.sample()
                    log_probs[t] = policy.log_prob(actions[t])
                    action, before = actions[t] + base(observation), time.perf_counter()
                    observation, rewards[t], terminated, truncated, infos = envs.step(action)
                    stepping += time.perf_counter() - before
                    returns += rewards[t]
                    final, cut = infos.get("final_obs", observation), truncated & ~terminated
                    if "final_info" in infos:
                        done, last = terminated | truncated, infos["final_info"]
                        stats["episode_return"] += returns[done].tolist()
                        stats["episode_length"] += last["elapsed_steps"][done].tolist()
                        stats["episode_success"] += last["success_once"][done].tolist()
                        stats["episode_error"] += last["tracking_error"][done].mean(1).tolist()
                    cuts -= 1
                    if (early := (cuts == 0) & ~terminated & ~truncated).any():
                        final, cut = torch.where(early[:, None], observation, final), cut | early
                        observation, _ = envs.reset(options={"reset_mask": early.cpu().numpy()})
                    if cut.any():  # the episode would have gone on: what it would have earned is its value
                        cut_values[t, cut] = agent(agent.normalizer(final[cut]))[1]
                    ended[t] = terminated | cut
                    returns[ended[t]] = 0.0
                last_value, scaled = agent(agent.normalizer(observation))[1], args.reward_scale * rewards
                gains = advantages(scaled, values, ended, cut_values, last_value, args.gamma, args.gae_lambda)
                targets = gains + values

            # ---- learn
            played, rate = time.perf_counter(), optimizer.param_groups[0]["lr"]
            data = [x.flatten(0, 1) for x in (seen, actions, means, log_probs, values, gains, targets)]
            for _ in range(args.epochs):
                for rows in torch.randperm(args.num_steps * n, device=device).chunk(args.minibatches):
                    now, action, old_mean, old_log_prob, old_value, gain, target = (x[rows] for x in data)
                    with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
                        policy, value = model(now)
                    old_policy: Any = Independent(Normal(old_mean, old_std), 1)
                    kl = all_sum(kl_divergence(old_policy, policy).mean().detach()) / processes
                    rate = adapted(rate, float(kl), args.desired_kl, args.learning_rate_range)
                    optimizer.param_groups[0]["lr"] = rate
                    gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                    ratio = (policy.log_prob(action) - old_log_prob).exp()
                    policy_loss = -torch.min(gain * ratio, gain * ratio.clamp(1 - args.clip, 1 + args.clip)).mean()
                    value_loss = (value - target) ** 2
                    if args.clip_value:
                        near = old_value + (value - old_value).clamp(-args.clip, args.clip)
                        value_loss = torch.max(value_loss, (near - target) ** 2)
                    value_loss, entropy = value_loss.mean(), policy.entropy().mean()
                    loss = policy_loss + args.value_coefficient * value_loss - args.entropy_coefficient * entropy
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                    optimizer.step()
                    clipped = ((ratio - 1).abs() > args.clip).float().mean()
                    terms = dict(
                        policy_loss=policy_loss, value_loss=value_loss, entropy=entropy, kl=kl, clipped=clipped
                    )
                    for name, term in terms.items():
                        stats[name].append(float(term.detach()))
            with torch.no_grad():
                for average, parameter in zip(agent.averaged.parameters(), agent.actor.parameters(), strict=True):
                    average.lerp_(parameter, 1.0 - args.averaging)
            agent.normalizer.update(raw)

            # ---- write down
            iteration, end = iteration + 1, time.perf_counter()
            steps, minutes = iteration * args.num_envs * args.num_steps, minutes + (end - start) / 60
            numbers = {"iteration": iteration, "steps": steps, "minutes": minutes, "threshold": threshold}
            numbers |= {name: float(np.mean(values_of)) for name, values_of in stats.items()}
            numbers |= dict(seconds_playing=played - start, seconds_stepping=stepping, seconds_learning=end - played)
            reward, std = float(all_sum(rewards.mean()) / processes), float(agent.log_std.detach().exp().mean())
            numbers |= dict(reward=reward, learning_rate=rate, std=std)
            numbers["explained_variance"] = 1.0 - float((targets - values).var() / targets.var().clamp(min=1e-8))
            if (last := iteration == iterations) or iteration % args.evaluate_every == 0:
                numbers |= evaluate(held_out, seeds, agent, base)
                success, grip = numbers["eval_success_once"], numbers["eval_grip"]
                enough = success >= args.stop_at
                if rank == 0 and success >= best:
                    best = success
                    about = {name: settings[name] for name in ("env_id", "scaffolds", "wrist_plan", "seed", "preset")}
                    about |= {"method": "residual-ppo" if args.wrist_plan else "ppo-no-scaffold", "steps": steps}
                    export(folder / "policy.safetensors", agent, plan_following, about | {"minutes": round(minutes, 2)})
                console.print(f"{steps:,} steps, {minutes:.1f} min: held-out success {success:.0%}, grip {grip:.0f} N")
            speed, seen_success = args.num_envs * args.num_steps / (end - start), numbers.get("episode_success", 0.0)
            bar.update(task, completed=iteration, status=f"success {seen_success:.0%}, {speed:,.0f} steps/s")
            progress.write(json.dumps(numbers) + "\n")
            log(numbers, steps)
            if rank == 0 and (last or enough or iteration % args.checkpoint_every == 0):
                save_checkpoint(store, iteration, agent, optimizer, {**facts, "minutes": minutes, "best": best})
    console.print(f"policy: {folder / 'policy.safetensors'}", soft_wrap=True)
    if rank == 0 and args.video:
        view: Any = dict(render_mode="rgb_array", human_render_camera_configs={"width": 512, "height": 512})
        env: Any = gym.make(args.env_id, split="eval", tracking_threshold=None, **view, **common).unwrapped
        policy = make_policy(f"file:{folder / 'policy.safetensors'}")
        record_episode(env, policy, 0, 0, folder / "video.mp4", folder / "tracking.png")
        env.close()
    return folder


def main(argv: list[str] | None = None) -> None:
    """Train, in as many processes as ``torchrun`` started."""
    try:
        train(parse(argv))
    except ValueError as error:
        raise SystemExit(str(error)) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
