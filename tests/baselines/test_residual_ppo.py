"""The learner's arithmetic by hand, and short runs: what is resumed or shared is the same as what is not."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from scaffold_bench.evaluation import evaluate as evaluate_policy
from scaffold_bench.policies.actor import ActorPolicy, about, load_actor, save_actor
from scaffold_bench.policies.plan_following import PlanFollowing

sys.path.insert(0, str(Path(__file__).parents[2] / "baselines"))  # so that the processes it spawns find it too
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
    last = torch.tensor([40.0])
    alive = ppo.advantages(rewards, values, torch.zeros(3, 1), last, gamma, lam).squeeze(1)
    third = 3 + 0.9 * 40 - 30  # 9
    second = 2 + 0.9 * 30 - 20 + 0.45 * third  # 9 + 4.05
    first = 1 + 0.9 * 20 - 10 + 0.45 * second  # 9 + 5.8725
    torch.testing.assert_close(alive, torch.tensor([first, second, third]))
    ended = ppo.advantages(rewards, values, torch.tensor([[0.0], [1.0], [0.0]]), last, gamma, lam).squeeze(1)
    second = 2 - 20.0  # nothing after the episode's end counts
    torch.testing.assert_close(ended, torch.tensor([1 + 0.9 * 20 - 10 + 0.45 * second, second, third]))


class Stage:
    """Two environments: the first is truncated by its second step, the second terminates with it."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, action: torch.Tensor) -> Any:  # noqa: ARG002
        self.count += 1
        ends = self.count == 2
        terminated, truncated = torch.tensor([False, ends]), torch.tensor([ends, False])
        info = {
            "elapsed_steps": torch.tensor([self.count] * 2),
            "success_once": torch.tensor([True, False]),
            "tracking_error": torch.zeros(2, 1),
            "tip_forces": torch.zeros(2, 4),
        }
        infos = {"final_obs": torch.full((2, 3), 5.0), "final_info": info} if ends else {}
        return torch.zeros(2, 3), torch.ones(2), terminated, truncated, infos


def no_base(observation: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(observation), 2)


def test_only_what_was_cut_off_is_bootstrapped() -> None:
    args = dataclasses.replace(ppo.PRESETS["cpu"], hidden=(), num_steps=3, reward_scale=0.5, gamma=0.9)
    model = ppo.ActorCritic(3, 2, args)
    torch.nn.init.constant_(model.critic[0].weight, 1.0)  # the value is the sum of the observation
    normalizer = ppo.Normalizer(3, torch.device("cpu"))
    normalizer.update(torch.tensor([[-1.0] * 3, [1.0] * 3]))  # mean 0, deviation 1
    returns = torch.zeros(2)
    never = torch.full((2,), -1)
    start, generator = torch.zeros(2, 3), torch.Generator()
    batch, _ = ppo.rollout(Stage(), start, model, normalizer, generator, args, returns, no_base, never)
    torch.testing.assert_close(batch.rewards, torch.tensor([[0.5, 0.5], [0.5 + 0.9 * 15.0, 0.5], [0.5, 0.5]]))
    torch.testing.assert_close(batch.dones, torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    assert batch.episodes["return"] == [2.0, 2.0]
    assert batch.episodes["success"] == [1.0, 0.0]
    torch.testing.assert_close(returns, torch.ones(2))


def test_a_first_episode_is_cut_off_with_the_value_of_what_was_left() -> None:
    class Resettable(Stage):
        masks: ClassVar[list[list[bool]]] = []

        def reset(self, options: dict[str, Any]) -> Any:
            self.masks.append(options["reset_mask"].tolist())
            return torch.full((2, 3), 7.0), {}

    args = dataclasses.replace(ppo.PRESETS["cpu"], hidden=(), num_steps=1, reward_scale=1.0, gamma=0.9)
    model, normalizer = ppo.ActorCritic(3, 2, args), ppo.Normalizer(3, torch.device("cpu"))
    torch.nn.init.constant_(model.critic[0].bias, 4.0)
    normalizer.update(torch.tensor([[-1.0] * 3, [1.0] * 3]))
    returns, cuts = torch.zeros(2), torch.tensor([1, 5])
    batch, observation = ppo.rollout(
        Resettable(), torch.zeros(2, 3), model, normalizer, torch.Generator(), args, returns, no_base, cuts
    )
    torch.testing.assert_close(batch.rewards[0], torch.tensor([1.0 + 0.9 * 4.0, 1.0]))
    assert batch.dones[0].tolist() == [1.0, 0.0]
    assert Resettable.masks == [[True, False]]
    assert returns.tolist() == [0.0, 1.0]
    assert cuts.tolist() == [0, 4]
    assert observation[0, 0] == 7.0


def test_the_learning_rate_follows_the_divergence() -> None:
    bounds = (1e-5, 1e-2)
    assert ppo.adapted(3e-4, 0.021, 0.01, bounds) == pytest.approx(2e-4)
    assert ppo.adapted(3e-4, 0.004, 0.01, bounds) == pytest.approx(4.5e-4)
    for kl in (0.005, 0.01, 0.02, 0.0):
        assert ppo.adapted(3e-4, kl, 0.01, bounds) == 3e-4
    assert ppo.adapted(1.2e-5, 1.0, 0.01, bounds) == 1e-5
    assert ppo.adapted(9e-3, 0.001, 0.01, bounds) == 1e-2
    assert ppo.adapted(3e-4, 1.0, 0.0, bounds) == 3e-4


def test_gaussians_agree_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    old, new, action = torch.randn(3, 6, 4, generator=generator).double()
    old_log, new_log = torch.randn(2, 4, generator=generator).double()
    p, q = (torch.distributions.Normal(mean, log.exp()) for mean, log in ((old, old_log), (new, new_log)))
    torch.testing.assert_close(ppo.gaussian_log_prob(action, new, new_log), q.log_prob(action).sum(1))
    torch.testing.assert_close(ppo.gaussian_entropy(new_log), q.entropy().sum(1)[0])
    kl = torch.distributions.kl_divergence(p, q).sum(1).mean()
    torch.testing.assert_close(ppo.gaussian_kl(old, old_log, new, new_log), kl)


def test_the_normaliser_is_the_mean_and_deviation_of_all_it_saw() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(3.0, 2.0, (500, 4)) * [1, 10, 0.1, 1e-9]
    normalizer = ppo.Normalizer(4, torch.device("cpu"))
    for part in np.split(data, [20, 100, 350]):
        normalizer.update(torch.from_numpy(part).reshape(-1, 2, 4) if len(part) % 2 == 0 else torch.from_numpy(part))
    np.testing.assert_allclose(normalizer.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(normalizer.std(), np.maximum(data.std(0), 1e-2), rtol=1e-9)
    far = normalizer(torch.full((1, 4), 1e6))
    assert float(far.max()) == 10.0


# ------------------------------------------------------------------------------------------------ processes
def _gradients(rank: int, port: int, folder: str) -> None:
    """One of two processes that share a batch."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model, data = torch.nn.Linear(3, 2), torch.randn(8, 3)
    model(data[4 * rank : 4 * rank + 4]).square().mean().backward()
    ppo.average_gradients(list(model.parameters()))
    normalizer = ppo.Normalizer(3, torch.device("cpu"))
    normalizer.update(data[: 3 + 5 * rank] if rank else data[:3])
    found = {"gradient": model.weight.grad.tolist(), "mean": normalizer.mean.tolist()}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


def test_what_is_evaluated_is_a_running_average_of_the_actor() -> None:
    model = ppo.ActorCritic(3, 2, dataclasses.replace(ppo.PRESETS["cpu"], hidden=(4,)))
    seen = torch.randn(5, 3)
    assert torch.equal(model.averaged_mean(seen), model.mean(seen))
    bias = model.actor[-1].bias
    with torch.no_grad():
        bias.copy_(torch.tensor([1.0, -2.0]))
    model.average(0.75)
    assert model.averaged[-1].bias.tolist() == [0.25, -0.5]
    model.average(0.75)
    assert model.averaged[-1].bias.tolist() == [0.4375, -0.875]
    model.average(0.0)
    assert torch.equal(model.averaged_mean(seen), model.mean(seen))
    assert not any(parameter.requires_grad for parameter in model.averaged.parameters())


def test_two_processes_have_the_gradient_and_the_normaliser_of_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_gradients, args=(free_port(), str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    torch.manual_seed(0)
    model, data = torch.nn.Linear(3, 2), torch.randn(8, 3)
    model(data).square().mean().backward()
    assert model.weight.grad is not None
    assert first == second
    np.testing.assert_allclose(first["gradient"], model.weight.grad, rtol=1e-5)
    np.testing.assert_allclose(first["mean"], torch.cat([data[:3], data]).mean(0), rtol=1e-6)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _iterations(rank: int, port: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    learner = ppo.Learner(tiny(Path(folder)))
    learner.begin_episodes()
    learner.warm_up()
    told = [learner.iterate() for _ in range(2)]
    weights = torch.cat([p.detach().reshape(-1) for p in learner.model.parameters()])
    found = [float(weights.double().sum()), told[-1]["kl"], told[-1]["reward"], float(learner.observation.sum())]
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


def test_two_processes_learn_one_policy_from_different_episodes(tmp_path: Path) -> None:
    multiprocessing.spawn(_iterations, args=(free_port(), str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first[:3] == second[:3]
    assert first[3] != second[3]


# ------------------------------------------------------------------------------------------------ whole runs
@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = ppo.train(tiny(tmp_path_factory.mktemp("whole")))
    return folder


def progress(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    timing = ("seconds", "minutes")
    return [{k: v for k, v in json.loads(line).items() if not k.startswith(timing)} for line in lines]


def test_a_run_leaves_what_it_promises(whole: Path) -> None:
    rows = progress(whole)
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["steps"] == 4 * 8 * 16
    assert rows[0]["threshold"] == pytest.approx(0.15)
    assert rows[3]["threshold"] == pytest.approx(0.15 * (1 - 0.5 * 0.75))
    assert {"eval_success_once", "kl", "value_loss", "std"} <= set(rows[3])
    assert [path.name for path in ppo.checkpoints(whole / "checkpoints")] == ["000002", "000004"]
    run = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert run["args"]["env_id"] == "Scaffold-OpenDrawer-v0"
    assert {"versions", "hardware", "date", "command", "start_states"} <= set(run)


def test_a_resumed_run_goes_on_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    class Short(ppo.Learner):
        def iterate(self) -> dict[str, float]:
            if self.iteration == 3:
                raise KilledError
            numbers: dict[str, float] = super().iterate()
            return numbers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppo, "Learner", Short)
        with pytest.raises(KilledError):
            ppo.train(tiny(tmp_path))
    assert len(progress(tmp_path / "run")) == 3
    ppo.train(tiny(tmp_path, resume=True))
    assert progress(tmp_path / "run") == progress(whole)
    ours, theirs = (load_actor(folder / "policy.safetensors") for folder in (tmp_path / "run", whole))
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert torch.equal(mine[0], other[0])
        assert torch.equal(mine[1], other[1])


def test_a_missing_dashboard_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemExit, match=r"pip install 'scaffold-bench\[train\]' .*, or use --track none"):
        ppo.Tracker(tmp_path, tiny(tmp_path, track="tensorboard"), keep=0)


def test_curves_go_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    ppo.Tracker(tmp_path, tiny(tmp_path, track="tensorboard"), keep=0).write({"iteration": 1, "steps": 8, "kl": 0.1})
    assert list(tmp_path.glob("events.out.tfevents.*"))


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
    state = json.loads((ppo.checkpoints(folder / "checkpoints")[-1] / "state.json").read_text(encoding="utf-8"))
    assert len(state["plans"]) == 1
    assert {"start_states", "versions"} <= set(state)
    shutil.copy(plan_file("oracle-3"), plans)
    with pytest.raises(SystemExit, match="was trained with other plans; restore them"):
        ppo.train(dataclasses.replace(args, resume=True))


def test_a_damaged_checkpoint_is_noticed(whole: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "000004" / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged: its hash is not the recorded one"):
        ppo.train(tiny(tmp_path, resume=True))


def test_environments_must_share_out_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "world", lambda: (0, 3))
    with pytest.raises(ValueError, match="num_envs = 8 cannot be shared by 3 processes"):
        ppo.Learner(tiny(tmp_path))
    with pytest.raises(ValueError, match="averaging must be at least 0 and below 1"):
        ppo.Learner(tiny(tmp_path, averaging=1.0))
    with pytest.raises(ValueError, match="annealing must be above 0"):
        ppo.Learner(tiny(tmp_path, annealing=0.0))


def test_a_little_training_tracks_longer(tmp_path: Path) -> None:
    """Untrained, the drawer's plan is lost soon after it begins to pull; a minute of training goes on with it."""
    args = tiny(tmp_path, total_steps=30 * 64 * 32, num_envs=32, num_steps=64, hidden=(64, 64), final_threshold=1.0)
    args = dataclasses.replace(args, minibatches=8, grasp=0.0, initial_std=0.5, initial_finger_std=0.5)  # open hand
    learner = ppo.Learner(args)
    learner.begin_episodes()
    learner.warm_up()
    told = [learner.iterate() for _ in range(learner.iterations)]
    lengths = [numbers["episode_length"] for numbers in told if "episode_length" in numbers]
    third = len(lengths) // 3
    assert np.mean(lengths[-third:]) > np.mean(lengths[:third]) + 10
    assert all(math.isfinite(numbers["value_loss"]) for numbers in told)


# ------------------------------------------------------------------------------------------------ stored actors
def test_the_actor_that_is_stored_is_the_one_that_was_trained(whole: Path) -> None:
    args = tiny(whole.parent)
    learner = ppo.Learner(args)
    ppo.load_checkpoint(
        ppo.checkpoints(whole / "checkpoints")[-1], learner.model, learner.optimizer, learner.normalizer
    )
    observation, _ = learner.eval_envs.reset(seed=[0, 1])
    with torch.no_grad():
        base = learner.base_action(observation)
        assert base.abs().max() > 0.1
        expected = learner.model.averaged_mean(learner.normalizer(observation)) + base
    policy = ActorPolicy(whole / "policy.safetensors")
    task = learner.eval_envs.task

    class Told:
        spec, layout = task.spec, learner.eval_envs.observation_layout

    policy.reset(Told())  # type: ignore[arg-type]
    for row in range(2):
        np.testing.assert_allclose(policy.act(observation[row].numpy()), expected[row], atol=1e-5)
    facts = about(whole / "policy.safetensors")
    assert (facts["env_id"], facts["steps"], facts["seed"]) == (args.env_id, 4 * 8 * 16, 1)


def test_a_stored_actor_is_evaluated_by_its_path(whole: Path) -> None:
    reference = f"file:{whole / 'policy.safetensors'}"
    one, two = (evaluate_policy(reference, "drawer", states=2, trials=1, num_envs=n) for n in (1, 2))
    assert one.records == two.records
    assert one.manifest["policy_source"] == ActorPolicy(whole / "policy.safetensors").sha256()
    with pytest.raises(ValueError, match=r"takes 151 observations .*; Scaffold-Hammer-v0 has 172 and 7"):
        evaluate_policy(reference, "hammer", states=1, trials=1)


@pytest.mark.parametrize(
    ("change", "told"),
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
def test_what_is_no_actor_is_refused(tmp_path: Path, change: dict[str, torch.Tensor], told: str) -> None:
    from safetensors.torch import load_file, save_file

    path = tmp_path / "policy.safetensors"
    save_actor(path, [(torch.zeros(2, 3), torch.zeros(2))], torch.zeros(3), torch.ones(3), PlanFollowing(), {})
    load_actor(path)
    save_file({**load_file(path), **change}, path)
    with pytest.raises(ValueError, match=told):
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
    bare: Any = importlib.import_module("ppo_no_scaffold")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items() if name != "hidden"]
    bare.main([*words, "--hidden", "16", "16", "--runs", str(tmp_path)])
    [run] = tmp_path.iterdir()
    assert run.name == "drawer-no-scaffold-1"
    args = json.loads((run / "run.json").read_text(encoding="utf-8"))["args"]
    assert (args["wrist_plan"], args["lead"], args["grasp"], args["initial_std"]) == (False, 0, 0.0, 1.0)
    file = run / "policy.safetensors"
    assert ActorPolicy(file).environment == {"wrist_plan": False}
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
