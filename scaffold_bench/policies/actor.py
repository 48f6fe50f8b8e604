"""Trained policies: how an actor is stored, loaded and played.

An actor is a safetensors file: the layers of a multilayer perceptron with ELUs, the mean and standard deviation of the
observations it was trained on, the settings of the base action it adds to, and a few facts in the header. Nothing in
it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from scaffold_bench.files import ZOO, actor_files, hash_of_files, write_atomically
from scaffold_bench.policies.base import Episode
from scaffold_bench.policies.plan_following import PlanFollowing
from scaffold_bench.spec import FloatArray

OBSERVATION_CLIP = 10.0
"""Normalised observations are clipped to this many standard deviations."""
MAX_BYTES, MAX_LAYERS = 64 * 2**20, 8


def save_actor(
    path: Path,
    layers: Sequence[tuple[torch.Tensor, torch.Tensor]],
    mean: torch.Tensor,
    std: torch.Tensor,
    base: PlanFollowing,
    about: Mapping[str, Any],
) -> None:
    """Write an actor.

    Args:
        layers: weight (out, in) and bias (out,) of every layer. mean, std: (D,) of the observations.
        base: the action that the network's output is added to.
        about: facts for the header: ``env_id`` and whatever else is worth knowing.
    """
    tensors = {"mean": mean, "std": std, "base": torch.tensor([float(base.lead), base.grasp])}
    for index, (weight, bias) in enumerate(layers):
        tensors |= {f"{index}.weight": weight, f"{index}.bias": bias}
    raw = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"about": json.dumps(about)})
    write_atomically(path, raw)


def stored_policy(reference: str) -> ActorPolicy:
    """The policy for ``zoo:NAME`` or ``file:PATH``.

    Raises:
        ValueError: there is no such policy; names those there are.
    """
    kind, _, name = reference.partition(":")
    if kind == "file":
        return ActorPolicy(Path(name))
    known = sorted(path.name for path in ZOO.iterdir() if path.is_dir()) if ZOO.is_dir() else []
    if name not in known:
        raise ValueError(f"there is no policy {reference!r}; the zoo has {', '.join(known) or 'none'}")
    return ActorPolicy(ZOO / name)


class ActorPolicy:
    """Plays the mean action of a stored actor.

    Args:
        path: a file, or a folder with a file for each task.

    Raises:
        ValueError: there is no such file, or it holds no actor.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise ValueError(f"there is no policy at {self.path}")
        self._loaded: dict[Path, Actor] = {}

    def files(self) -> list[Path]:
        """The files of the policy."""
        return actor_files(self.path)

    @property
    def environment(self) -> dict[str, bool]:
        """Settings of the environment it was trained in: without the wrist's plan, if its files say so."""
        free = {about(file).get("wrist_plan") is False for file in self.files()}
        if len(free) > 1:
            raise ValueError(f"{self.path} mixes policies with and without the wrist's plan; keep them in two folders")
        return {"wrist_plan": False} if True in free else {}

    def sha256(self) -> str:
        """Hash of all its files."""
        return hash_of_files(self.files())

    def reset(self, episode: Episode) -> None:
        """Begin an episode.

        Raises:
            ValueError: the actor is for another task.
        """
        file = self.path / f"{episode.spec.name}.safetensors" if self.path.is_dir() else self.path
        if file not in self._loaded:
            self._loaded[file] = load_actor(file)
        self._actor = self._loaded[file]
        size = max(piece.stop for piece in episode.layout.values())
        inputs, outputs = len(self._actor.mean), len(self._actor.layers[-1][1])
        if (inputs, outputs) != (size, episode.spec.action_dim):
            raise ValueError(
                f"{file} takes {inputs} observations and gives {outputs} actions; {episode.spec.id} has {size} and "
                f"{episode.spec.action_dim}"
            )
        self._layout = episode.layout

    @torch.no_grad()
    def act(self, observation: FloatArray) -> FloatArray:
        """The mean action (A,) for an observation (D,)."""
        actor, seen = self._actor, torch.from_numpy(np.asarray(observation, dtype=np.float32))
        x = ((seen - actor.mean) / actor.std).clamp(-OBSERVATION_CLIP, OBSERVATION_CLIP)
        for weight, bias in actor.layers[:-1]:
            x = torch.nn.functional.elu(torch.mv(weight, x) + bias)
        weight, bias = actor.layers[-1]
        base = actor.base(seen[None], self._layout, len(bias))[0]
        action: FloatArray = (torch.mv(weight, x) + bias + base).numpy()
        return action


@dataclass(frozen=True)
class Actor:
    """A stored actor, as float32; see :func:`save_actor`."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    mean: torch.Tensor
    std: torch.Tensor
    base: PlanFollowing


def load_actor(path: Path) -> Actor:
    """Read a stored actor.

    Raises:
        ValueError: the file is missing, too large, no safetensors file or no actor.
    """
    if not path.is_file():
        raise ValueError(f"there is no policy at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES // 2**20} MiB and no actor")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file ({error})") from error
    count = (len(tensors) - 3) // 2
    wanted = {"mean", "std", "base", *(f"{i}.{part}" for i in range(count) for part in ("weight", "bias"))}
    if not 1 <= count <= MAX_LAYERS or set(tensors) != wanted:
        raise ValueError(f"{path} holds no actor; it has the tensors {sorted(tensors)[:6]}")
    layers = [(tensors[f"{index}.weight"], tensors[f"{index}.bias"]) for index in range(count)]
    size = len(tensors["mean"])
    for weight, bias in layers:
        if weight.ndim != 2 or weight.shape != (len(bias), size):
            raise ValueError(f"{path} holds no actor: a layer of {tuple(weight.shape)} does not fit {size} inputs")
        size = len(bias)
    if tensors["std"].shape != tensors["mean"].shape or not bool((tensors["std"] > 0).all()):
        raise ValueError(f"{path} holds no actor: its standard deviations do not fit")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ValueError(f"{path} holds no actor: a number is not finite")
    if tensors["base"].shape != (2,):
        raise ValueError(f"{path} holds no actor: its base action has not two settings")
    lead, grasp = tensors["base"].tolist()
    try:
        base = PlanFollowing(int(lead), grasp)
    except ValueError as error:
        raise ValueError(f"{path} holds no actor: {error}") from error
    return Actor(layers, tensors["mean"], tensors["std"], base)


def about(path: Path) -> dict[str, Any]:
    """The facts in a stored actor's header; none if it has no readable one."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError, ValueError, RecursionError):
        return {}  # load_actor says what is wrong with it
    return facts if isinstance(facts, dict) else {}
