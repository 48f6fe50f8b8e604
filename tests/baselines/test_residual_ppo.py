"""The learner's arithmetic by hand, its loop on a stage, and short runs: resumed or shared, they are the same."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file

from scaffold_bench.evaluation import evaluate as evaluate_policy
from scaffold_bench.policies import ActorPolicy, PlanFollowing, about, load_actor, load_checkpoint, save_actor
from scaffold_bench.spec import MAX_HORIZON

BASELINES = Path(__file__).parents[2] / "baselines"
sys.path.insert(0, str(BASELINES))  # so that the processes it spawns find it too
ppo: Any = importlib.import_module("residual_ppo")

TINY = dict(
    env_id="Scaffold-OpenDrawer-v0",
    total_steps=4 * 8 * 16,
    num_envs=8,
    num_steps=16,
    minibatches=2,
    hidden=(32, 32),
    checkpoint_every=2,
    evaluate_every=2,
    evaluation_states=2,
    annealing=1.0,
    track="none",
)


def tiny(folder: Path, **changes: Any) -> Any:
    return dataclasses.replace(ppo.PRESETS["cpu"], **{**TINY, "runs": folder, "name": "run", **changes})


# ------------------------------------------------------------------------------------------------ arguments
def test_given_arguments_override_the_preset() -> None:
    assert ppo.parse([]) == ppo.PRESETS["paper"]
    cpu = ppo.parse(["--preset", "cpu", "--num-envs", "16"])
    assert cpu == dataclasses.replace(ppo.PRESETS["cpu"], num_envs=16)
    bare = ppo.parse(["--preset", "no-scaffold", "--lead", "5"])
    assert (bare.wrist_plan, bare.lead, bare.grasp, bare.initial_std, bare.initial_finger_std) == (False, 5, 0, 1, 1)


def test_every_argument_has_a_help_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        ppo.parse(["--help"])
    text = capsys.readouterr().out
    for line in text.splitlines():
        assert not line.strip("│ ").startswith("(default"), f"the argument above has none: {line}"
    assert "without it an action moves the wrist" in text


def test_the_default_is_the_paper_s_table() -> None:
    args = ppo.Args()
    assert (args.num_envs, args.num_steps, args.epochs, args.minibatches) == (2048, 24, 5, 16)
    assert args.total_steps == 2000 * 24 * 2048
    assert (args.learning_rate, args.desired_kl, args.clip, args.gamma, args.gae_lambda) == (
        3e-4,
        0.01,
        0.2,
        0.99,
        0.95,
    )
    assert (args.value_coefficient, args.entropy_coefficient, args.max_grad_norm) == (1.0, 0.01, 1.0)
    assert (args.hidden, args.initial_std, args.clip_value) == ((512, 512, 512), 1.0, True)
    assert (args.lead, args.grasp, args.averaging) == (0, 0.0, 0.0)  # ours


# ------------------------------------------------------------------------------------------------ arithmetic
def test_advantages_by_hand() -> None:
    gamma, lam = 0.9, 0.5
    rewards = torch.tensor([[1.0], [2.0], [3.0]])
    values = torch.tensor([[10.0], [20.0], [30.0]])
    last, no, never = torch.tensor([40.0]), torch.zeros(3, 1), torch.zeros(3, 1, dtype=torch.bool)
    alive = ppo.advantages(rewards, values, never, no, last, gamma, lam).squeeze(1)
    third = 3 + 0.9 * 40 - 30  # 9
    second = 2 + 0.9 * 30 - 20 + 0.45 * third  # 9 + 4.05
    first = 1 + 0.9 * 20 - 10 + 0.45 * second  # 9 + 5.8725
    torch.testing.assert_close(alive, torch.tensor([first, second, third]))
    ended = torch.tensor([[False], [True], [False]])
    terminated = ppo.advantages(rewards, values, ended, no, last, gamma, lam).squeeze(1)
    second = 2 - 20.0  # nothing after the episode's end counts
    torch.testing.assert_close(terminated, torch.tensor([1 + 0.9 * 20 - 10 + 0.45 * second, second, third]))
    cut = ppo.advantages(rewards, values, ended, torch.tensor([[0.0], [7.0], [0.0]]), last, gamma, lam).squeeze(1)
    second = 2 + 0.9 * 7 - 20.0  # but the value of where it was cut off
    torch.testing.assert_close(cut, torch.tensor([1 + 0.9 * 20 - 10 + 0.45 * second, second, third]))


def test_the_learning_rate_follows_the_divergence() -> None:
    bounds = (1e-5, 1e-2)
    assert ppo.adapted(3e-4, 0.021, 0.01, bounds) == pytest.approx(2e-4)
    assert ppo.adapted(3e-4, 0.004, 0.01, bounds) == pytest.approx(4.5e-4)
    for kl in (0.005, 0.01, 0.02, 0.0):
        assert ppo.adapted(3e-4, kl, 0.01, bounds) == 3e-4
    assert ppo.adapted(1.2e-5, 1.0, 0.01, bounds) == 1e-5
    assert ppo.adapted(9e-3, 0.001, 0.01, bounds) == 1e-2
    assert ppo.adapted(3e-4, 1.0, 0.0, bounds) == 3e-4


def test_the_normaliser_is_the_mean_and_deviation_of_all_it_saw() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(3.0, 2.0, (500, 4)) * [1, 10, 0.1, 1e-9]
    normalizer = ppo.Normalizer(4)
    for part in np.split(data, [20, 100, 350]):
        normalizer.update(torch.from_numpy(part).reshape(-1, 2, 4) if len(part) % 2 == 0 else torch.from_numpy(part))
    mean, std = normalizer.statistics()
    np.testing.assert_allclose(mean, data.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, np.maximum(data.std(0), 1e-2), rtol=1e-6)
    far = normalizer(torch.full((1, 4), 1e6))
    assert float(far.max()) == 10.0


# ------------------------------------------------------------------------------------------------ the loop on a stage
class Stage:
    """Two environments: the second step truncates the first one and terminates the second one."""

    single_observation_space = gym.spaces.Box(-9, 9, (3,))
    single_action_space = gym.spaces.Box(-1, 1, (7,))
    start_state_set = types.SimpleNamespace(sha256="stage")
    observation_layout: Any = types.MappingProxyType({})

    def __init__(self, env_id: str, num_envs: int, split: str, autoreset: bool = True, **_: Any) -> None:  # noqa: ARG002
        self.num_envs, self.split, self.autoreset, self.masks = num_envs, split, autoreset, []

    def set_tracking_threshold(self, threshold: float) -> None:
        pass

    def reset(self, seed: Any = None, options: Any = None) -> Any:
        if options and "reset_mask" in options:
            self.masks.append(options["reset_mask"].tolist())
            return torch.full((2, 3), 7.0), {}
        self.count = 0
        return torch.randn(2, 3, generator=torch.Generator().manual_seed(np.ravel(seed)[0].item())), {}

    def step(self, action: torch.Tensor) -> Any:
        self.count += 1
        ends = self.count == 2
        truncated, terminated = torch.tensor([ends, False]), torch.tensor([False, ends])
        info = {
            "elapsed_steps": torch.tensor([self.count] * 2),
            "success": torch.tensor([True, False]),
            "success_once": torch.tensor([True, False]),
            "tracking_error": torch.zeros(2, 1),
            "tip_forces": torch.zeros(2, 4),
        }
        infos = {**info, "final_obs": torch.full((2, 3), 5.0), "final_info": info} if ends else info
        if not self.autoreset:
            truncated = terminated = torch.tensor([ends, ends])
        return action[:, :3].clone(), torch.ones(2), terminated, truncated, infos


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plays one iteration of three steps on the stage; gives what was learned from it."""

    def play(first_episodes_end_before: int, **changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        advantages, evaluate = ppo.advantages, ppo.evaluate

        def make(*args: Any, **kwargs: Any) -> Stage:
            stage = Stage(*args, **kwargs)
            found["stage" if stage.autoreset else "held_out"] = stage
            return stage

        def seen_agent(envs: Any, seeds: Any, agent: Any, base: Any) -> Any:
            found.setdefault("agent", agent)
            return evaluate(envs, seeds, agent, base)

        def noted(rewards: Any, values: Any, ended: Any, cut_values: Any, last_value: Any, *rest: Any) -> Any:
            found.update(rewards=rewards, ended=ended, cut_values=cut_values.clone())
            with torch.no_grad():
                found["value"] = lambda x: found["values"][x]
                found["values"] = {
                    x: float(found["agent"](found["agent"].normalizer(torch.full((1, 3), x)))[1]) for x in (5.0, 7.0)
                }
            return advantages(rewards, values, ended, cut_values, last_value, *rest)

        monkeypatch.setattr(ppo.gym, "make_vec", make)
        monkeypatch.setattr(ppo, "evaluate", seen_agent)
        monkeypatch.setattr(ppo, "advantages", noted)
        known = ppo.scaffold_bench.task_spec
        shorter = lambda name: dataclasses.replace(known(name), horizon=first_episodes_end_before)  # noqa: E731
        monkeypatch.setattr(ppo.scaffold_bench, "task_spec", shorter)
        given = dict(num_envs=2, num_steps=3, total_steps=6, hidden=(8,), lead=0, grasp=0.0, reward_scale=0.5)
        found["folder"] = ppo.train(tiny(tmp_path, **given, **changes))
        return found

    return play


def test_only_what_was_cut_off_is_bootstrapped(played: Any) -> None:
    found = played(MAX_HORIZON)
    torch.testing.assert_close(found["rewards"], torch.full((3, 2), 0.5))
    assert found["ended"].tolist() == [[False, False], [True, True], [False, False]]
    expected = torch.tensor([[0.0, 0.0], [found["value"](5.0), 0.0], [0.0, 0.0]])
    assert expected.any()
    torch.testing.assert_close(found["cut_values"], expected)
    row = progress(found["folder"])[1]
    assert (row["episode_return"], row["episode_length"], row["episode_success"], row["reward"]) == (2.0, 2.0, 0.5, 1.0)


def test_first_episodes_are_cut_off_with_the_value_of_what_was_left(played: Any) -> None:
    found = played(2)  # each with its first step
    assert found["stage"].masks == [[True, True]]
    assert found["ended"].tolist() == [[True, True], [True, True], [False, False]]
    assert found["cut_values"][0].all()  # of the observation that the step led to, which is the action
    assert float(found["cut_values"][1, 0]) == pytest.approx(found["value"](5.0))
    row = progress(found["folder"])[1]
    assert row["episode_return"] == 1.0  # only whole episodes count, from where they began


def test_what_is_evaluated_is_a_running_average_of_the_actor(played: Any) -> None:
    found = played(MAX_HORIZON, averaging=0.75, checkpoint_every=1)
    tensors = load_file(found["folder"] / "checkpoints" / "000001.safetensors")
    torch.manual_seed(1)
    begin = ppo.Agent(3, 7, tiny(found["folder"], hidden=(8,))).actor.state_dict()
    for name, weights in begin.items():
        now = tensors[f"model.actor.{name}"]
        assert not torch.equal(now, weights)
        torch.testing.assert_close(tensors[f"model.averaged.{name}"], 0.75 * weights + 0.25 * now)
    stored = load_actor(found["folder"] / "policy.safetensors")
    assert torch.equal(stored.layers[0][0], tensors["model.averaged.0.weight"])
    assert not found["agent"].averaged[0].weight.requires_grad


# ------------------------------------------------------------------------------------------------ processes
def _gradients(rank: int, port: int, folder: str) -> None:
    """One of two processes that share a batch."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    agent, data = _agent_and_data()
    model = torch.nn.parallel.DistributedDataParallel(agent, broadcast_buffers=False)
    _loss(model, data[4 * rank : 4 * rank + 4]).backward()
    agent.normalizer.update(data[: 3 + 5 * rank] if rank else data[:3])
    found = {name: parameter.grad.tolist() for name, parameter in agent.named_parameters() if parameter.requires_grad}
    found["mean"] = agent.normalizer.statistics()[0].tolist()
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


def _agent_and_data() -> tuple[Any, torch.Tensor]:
    torch.manual_seed(0)
    return ppo.Agent(3, 7, dataclasses.replace(ppo.PRESETS["cpu"], hidden=(4,))), torch.randn(8, 3)


def _loss(model: Any, data: torch.Tensor) -> Any:
    policy, value = model(data)
    return (policy.log_prob(torch.ones(len(data), 7)) + value.square()).mean()


def test_two_processes_have_the_gradient_and_the_normaliser_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_gradients, args=(free_port(), str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    agent, data = _agent_and_data()
    _loss(agent, data).backward()
    names = [name for name, parameter in agent.named_parameters() if parameter.requires_grad]
    assert {"log_std", "actor.0.weight", "critic.2.bias"} <= set(names)
    for name in names:
        np.testing.assert_allclose(first[name], agent.get_parameter(name).grad, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first["mean"], torch.cat([data[:3], data]).mean(0), rtol=1e-5)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


OF_TORCHRUN = """
import json, os, sys
import residual_ppo as ppo

def noted(rewards, *rest):
    seen.append(float(rewards.sum()))
    return advantages(rewards, *rest)

def evaluated(envs, seeds, agent, base):
    scores = evaluate(envs, seeds, agent, base)
    weights = {name: tensor.double().sum().item() for name, tensor in agent.state_dict().items()}
    del scores["seconds_evaluating"]
    found = {"weights": weights, "scores": scores, "seeds": list(seeds), "rewards": list(seen)}
    with open(f"{sys.argv[1]}/{os.environ['RANK']}.json", "w") as file:
        json.dump(found, file)
    return {**scores, "seconds_evaluating": 0.0}

seen, advantages, evaluate = [], ppo.advantages, ppo.evaluate
ppo.advantages, ppo.evaluate = noted, evaluated
ppo.main(sys.argv[2:])
"""


def test_two_processes_of_torchrun_learn_one_policy_from_different_episodes(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(OF_TORCHRUN, encoding="utf-8")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items() if name != "hidden"]
    path = os.pathsep.join([str(BASELINES), *filter(None, [os.environ.get("PYTHONPATH"), str(BASELINES.parent)])])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    subprocess.run(
        [
            *command,
            str(script),
            str(tmp_path),
            "--preset=cpu",
            *words,
            "--hidden=16",
            f"--runs={tmp_path}",
            "--name=run",
        ],
        check=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["weights"] == second["weights"]
    assert first["scores"] == second["scores"]
    assert (first["seeds"], second["seeds"]) == ([0], [1])
    assert len(first["rewards"]) == 4
    assert not set(first["rewards"]) & set(second["rewards"])
    assert [row["iteration"] for row in progress(tmp_path / "run")] == [0, 1, 2, 3, 4]  # one process writes
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2


# ------------------------------------------------------------------------------------------------ whole runs
@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = ppo.train(tiny(tmp_path_factory.mktemp("whole")))
    return folder


def progress(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    timing = ("seconds", "minutes")
    return [{k: v for k, v in json.loads(line).items() if not k.startswith(timing)} for line in lines]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_run_leaves_what_it_promises(whole: Path) -> None:
    rows = progress(whole)
    assert [row["iteration"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["steps"] == 0
    assert rows[-1]["steps"] == 4 * 8 * 16
    assert rows[1]["threshold"] == pytest.approx(0.15)
    assert rows[4]["threshold"] == pytest.approx(0.15 * (1 - 0.5 * 0.75))
    assert ["eval_success_once" in row for row in rows] == [True, False, True, False, True]
    assert {"kl", "value_loss", "std", "reward", "explained_variance"} <= set(rows[1])
    assert files(whole) == [f"00000{n}.{kind}" for n in (2, 4) for kind in ("json", "safetensors")]
    run = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert run["args"]["env_id"] == "Scaffold-OpenDrawer-v0"
    assert {"versions", "hardware", "date", "command", "start_states"} <= set(run)


def assert_same_run(one: Path, other: Path) -> None:
    assert progress(one) == progress(other)
    ours, theirs = (load_file(folder / "checkpoints" / "000004.safetensors") for folder in (one, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    mine, others = (load_actor(folder / "policy.safetensors") for folder in (one, other))
    for layer, same in zip(mine.layers, others.layers, strict=True):
        assert torch.equal(layer[0], same[0])
        assert torch.equal(layer[1], same[1])


def test_a_resumed_run_goes_on_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    calls, advantages = [], ppo.advantages

    def killed(*args: Any) -> torch.Tensor:
        calls.append(args)
        if len(calls) == 4:
            raise KilledError
        return advantages(*args)  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppo, "advantages", killed)
        with pytest.raises(KilledError):
            ppo.train(tiny(tmp_path))
    assert len(progress(tmp_path / "run")) == 4
    assert files(tmp_path / "run") == ["000002.json", "000002.safetensors"]
    ppo.train(tiny(tmp_path, resume=True))
    assert_same_run(tmp_path / "run", whole)


def test_the_same_seed_gives_the_same_weights(whole: Path, tmp_path: Path) -> None:
    assert_same_run(ppo.train(tiny(tmp_path)), whole)


def test_a_missing_tracker_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemExit, match=r"pip install 'scaffold-bench\[train\]' .*, or use --track none"):
        ppo.tracker("tensorboard", tmp_path, {})


def test_curves_go_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    ppo.tracker("tensorboard", tmp_path, {})({"iteration": 1, "steps": 8, "kl": 0.1}, 8)
    assert list(tmp_path.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("track", ["trackio", "wandb"])
def test_curves_go_to_trackio_or_wandb(track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType(track)
    begun, logged = [], []
    module.init = lambda **given: begun.append(given)
    module.log = lambda numbers, step: logged.append((numbers, step))
    module.finish = lambda: None
    monkeypatch.setitem(sys.modules, track, module)
    ppo.tracker(track, tmp_path / "run", {"seed": 1})({"kl": 0.1}, 8)
    assert begun == [{"project": "scaffold_bench", "name": "run", "config": {"seed": 1}}]
    assert logged == [({"kl": 0.1}, 8)]


def test_runs_are_not_mixed(whole: Path) -> None:
    with pytest.raises(SystemExit, match="holds a run; use --resume"):
        ppo.train(tiny(whole.parent))
    with pytest.raises(SystemExit, match="was trained with other gamma; give the same, or another --name"):
        ppo.train(tiny(whole.parent, resume=True, gamma=0.9))


def test_a_run_on_a_plan_file_is_evaluated_and_knows_its_plans(tmp_path: Path) -> None:
    import shutil

    from scaffold_bench.scaffolds.recorded import plan_file

    plans = tmp_path / "plans.npz"
    shutil.copy(plan_file("oracle-5"), plans)
    args = tiny(tmp_path, scaffolds=str(plans), total_steps=2 * 8 * 16)
    folder = ppo.train(args)
    assert "eval_success_once" in progress(folder)[-1]
    state = json.loads((folder / "checkpoints" / "000002.json").read_text(encoding="utf-8"))
    assert len(state["plans"]) == 64  # the hash of the file
    assert {"start_states", "versions"} <= set(state)
    shutil.copy(plan_file("oracle-3"), plans)
    with pytest.raises(SystemExit, match="was trained with other plans; give the same"):
        ppo.train(dataclasses.replace(args, resume=True))


def test_a_damaged_checkpoint_is_noticed(whole: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "000004.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: its hash is not the recorded one"):
        ppo.train(tiny(tmp_path, resume=True))


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changes in ({"averaging": 1.0}, {"averaging": -0.1}, {"annealing": 0.0}):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\) and annealing .* above 0"):
            ppo.train(tiny(tmp_path, **changes))
    for processes in ("3", "4"):  # 8 environments, 2 evaluation states
        monkeypatch.setenv("WORLD_SIZE", processes)
        with pytest.raises(ValueError, match=f"{processes} processes need a multiple of {processes} num_envs"):
            ppo.train(tiny(tmp_path))


def test_a_little_training_earns_more(tmp_path: Path) -> None:
    """With an open hand the drawer's plan is lost soon after it begins to pull; until then it is followed better."""
    args = tiny(tmp_path, total_steps=24 * 64 * 32, num_envs=32, num_steps=64, hidden=(64, 64), final_threshold=1.0)
    args = dataclasses.replace(args, minibatches=8, grasp=0.0, initial_std=0.5, initial_finger_std=0.5, bf16=False)
    rows = progress(ppo.train(dataclasses.replace(args, evaluate_every=99, checkpoint_every=99)))[1:]
    returns = [row["episode_return"] for row in rows if "episode_return" in row]
    third = len(returns) // 3
    assert np.mean(returns[-third:]) > np.mean(returns[:third]) + 10
    assert all(math.isfinite(row["value_loss"]) for row in rows)


# ------------------------------------------------------------------------------------------------ stored actors
def test_the_actor_that_is_stored_is_the_one_that_was_trained(whole: Path) -> None:
    args = tiny(whole.parent)
    env: Any = gym.make_vec(args.env_id, num_envs=2, split="fresh", array="torch")
    observation, _ = env.reset(seed=[0, 1])
    agent = ppo.Agent(observation.shape[1], env.single_action_space.shape[0], args)
    load_checkpoint(whole / "checkpoints" / "000004.json", agent, torch.optim.Adam(agent.parameters()))
    with torch.no_grad():
        base = PlanFollowing(args.lead, args.grasp)(observation, env.observation_layout, 7)
        assert base.abs().max() > 0.1
        expected = agent.averaged(agent.normalizer(observation)) + base
    policy = ActorPolicy(whole / "policy.safetensors")
    policy.reset(types.SimpleNamespace(spec=env.task.spec, layout=env.observation_layout))  # type: ignore[arg-type]
    for row in range(2):
        np.testing.assert_allclose(policy.act(observation[row].numpy()), expected[row], atol=1e-5)
    facts = about(whole / "policy.safetensors")
    assert (facts["env_id"], facts["steps"], facts["seed"]) == (args.env_id, 4 * 8 * 16, 1)
    assert facts["method"] == "residual-ppo"


def test_a_stored_actor_is_evaluated_by_its_path(whole: Path) -> None:
    reference = f"file:{whole / 'policy.safetensors'}"
    one, two = (evaluate_policy(reference, "drawer", states=2, trials=1, num_envs=n) for n in (1, 2))
    assert one.records == two.records
    assert one.manifest["policy_source"] == ActorPolicy(whole / "policy.safetensors").sha256()
    with pytest.raises(ValueError, match=r"takes 151 observations .*; Scaffold-Hammer-v0 has 172 and 7"):
        evaluate_policy(reference, "hammer", states=1, trials=1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"0.weight": torch.zeros(4, 4)}, "a layer of"),
        ({"extra": torch.zeros(1)}, "holds no actor"),
        ({"std": torch.zeros(3)}, "standard deviations do not fit"),
        ({"base": torch.zeros(3)}, "base action has not two settings"),
        ({"base": torch.tensor([7.0, 0.0])}, "lead must be 0 or one of the frame offsets"),
        ({"base": torch.tensor([0.0, 2.0])}, "grasp must be a finger command between 0 and 1"),
        ({"0.bias": torch.full((2,), math.nan)}, "not finite"),
    ],
    ids=["shape", "names", "deviation", "base", "lead", "grasp", "nan"],
)
def test_what_is_no_actor_is_refused(tmp_path: Path, change: dict[str, torch.Tensor], text: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "policy.safetensors"
    save_actor(path, [(torch.zeros(2, 3), torch.zeros(2))], torch.zeros(3), torch.ones(3), PlanFollowing(), {})
    load_actor(path)
    save_file({**load_file(path), **change}, path)
    with pytest.raises(ValueError, match=text):
        load_actor(path)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    torch.save({"mean": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_actor(path)
    with pytest.raises(ValueError, match="there is no policy at"):
        evaluate_policy("file:nowhere.safetensors", "hammer", states=1, trials=1)
    with pytest.raises(ValueError, match="there is no policy 'zoo:none'; the zoo has"):
        evaluate_policy("zoo:none", "hammer", states=1, trials=1)


# ------------------------------------------------------------------------------------------------ without the scaffold
def test_the_learner_without_a_wrist_plan_leaves_a_policy_that_is_played_so(tmp_path: Path) -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items() if name != "hidden"]
    ppo.main(["--preset=no-scaffold", *words, "--hidden", "16", "16", "--runs", str(tmp_path)])
    [run] = tmp_path.iterdir()
    assert run.name == "drawer-no-scaffold-1"
    args = json.loads((run / "run.json").read_text(encoding="utf-8"))["args"]
    assert (args["wrist_plan"], args["lead"], args["grasp"], args["initial_std"]) == (False, 0, 0.0, 1.0)
    file = run / "policy.safetensors"
    assert ActorPolicy(file).environment == {"wrist_plan": False}
    assert about(file)["method"] == "ppo-no-scaffold"
    result = evaluate_policy(f"file:{file}", "drawer", states=1, trials=1)
    assert result.manifest["environment"] == {"wrist_plan": False}
    import shutil

    shutil.copy(file, tmp_path / "drawer.safetensors")
    save_actor(
        tmp_path / "hammer.safetensors", [(torch.zeros(2, 3), torch.zeros(2))], torch.zeros(3), torch.ones(3),
        PlanFollowing(), {},
    )  # fmt: skip
    with pytest.raises(ValueError, match="mixes policies with and without"):
        _ = ActorPolicy(tmp_path).environment
