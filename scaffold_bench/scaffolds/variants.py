"""Planners made of other planners: with noise, or with keypoints from one and trajectories from another."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.plan import InvalidScaffoldError, Planner, Scaffold, ScaffoldRequest, Waypoints
from scaffold_bench.scaffolds.from_waypoints import failed_scaffold, scaffold_from_waypoints

SETTLED = 1.0 / 19.0
"""Share of an episode after which a correction of the hand's path is complete: the first of twenty waypoints."""


def request_rng(request: ScaffoldRequest, salt: str) -> np.random.Generator:
    """A generator that depends on nothing but the episode's start, so that a plan can be made again."""
    digest = hashlib.sha256(f"{salt}|{request.task}|{request.split}|{request.state}".encode())
    if request.state is None:
        digest.update(np.asarray(request.wrist, dtype=np.float64).tobytes())
    return np.random.default_rng(int.from_bytes(digest.digest()[:8], "little"))


def waypoints_of(plan: Scaffold) -> Waypoints:
    """A plan's waypoints; every frame is one if it was not made from fewer."""
    return plan.waypoints or Waypoints(plan.keypoints, plan.wrist, plan.attachments)


def files_of(provider: Any) -> list[Path]:
    """The plan files that a planner reads."""
    return list(provider.files()) if callable(getattr(provider, "files", None)) else []


def plan_files_hash(provider: Any) -> str | None:
    """SHA-256 of the plan file that a planner reads, or of the hashes of several; None without any."""
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(provider)]
    if len(hashes) < 2:
        return hashes[0] if hashes else None
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


class _Wrapper:
    """What planners around other planners share."""

    def __init__(self, *parts: Planner) -> None:
        self._parts = parts
        self.privileged = any(part.privileged for part in parts)
        self.sees = any(getattr(part, "sees", False) for part in parts)

    def files(self) -> list[Path]:
        """The plan files that are read."""
        return [file for part in self._parts for file in files_of(part)]


class NoisyProvider(_Wrapper):
    """Gaussian noise on another planner's plans.

    Every keypoint gets an offset of its own, which it keeps (an error of detection), and every waypoint after the first
    gets noise of its own (an error of planning); the hand moves with the mean of both, so that it stays with what it
    holds. The same start always gets the same noise.

    Args:
        provider: makes the plans. sigma: standard deviation per axis of both, metres.
        flip: "x", "y" or "" (none): the axis along which all motion is mirrored, the error vision-language models make
            most often (paper, 4.2).
        seed: another seed, other noise.
    """

    def __init__(self, provider: Planner, sigma: float = 0.0, flip: str = "", seed: int = 0) -> None:
        if not 0.0 <= sigma <= 1.0:
            raise ValueError(f"noise must be between 0 and 1 m, got {sigma}")
        if flip not in ("", "x", "y"):
            raise ValueError(f"flip must be x or y, got {flip!r}")
        super().__init__(provider)
        self.provider, self.sigma, self.flip, self.seed = provider, sigma, flip, seed
        self.depth: int = 1 + getattr(provider, "depth", 0)  # noise upon noise is drawn anew

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        """The other planner's plan with noise."""
        plan = self.provider.plan(request)
        if not plan.valid:
            return plan
        coarse = waypoints_of(plan)
        keypoints, wrist = (np.array(values, dtype=np.float64) for values in (coarse.keypoints, coarse.wrist))
        if self.flip:
            axis = "xy".index(self.flip)
            for path in (keypoints, wrist[:, :3]):
                path[..., axis] = 2 * path[0, ..., axis] - path[..., axis]
        rng = request_rng(request, f"noise {self.seed}" + (f" {self.depth}" if self.depth > 1 else ""))
        count, points, _ = keypoints.shape
        detection = rng.normal(0.0, self.sigma, (1, points, 3))
        planning = rng.normal(0.0, self.sigma, (count, points, 3))
        planning[0] = 0.0
        keypoints += detection + planning
        wrist[1:, :3] += (detection + planning).mean(axis=1)[1:]
        layer = f"{self.sigma:g}" + (f",flip={self.flip}" if self.flip else "") + f",seed={self.seed}"
        below = plan.provenance.get("noise")
        facts = {**plan.provenance, "noise": f"{below}; {layer}" if below else layer}
        return _made(request, Waypoints(keypoints, wrist, coarse.attachments, coarse.times), facts)


class MixedProvider(_Wrapper):
    """Keypoints from one planner, trajectories from another (paper, Fig. 7).

    A trajectory planner that can plan for given keypoints (``plan_with_keypoints``) is asked to; the motions of any
    other are moved to where the keypoints are, the hand with the first of them.

    Args:
        keypoints: says where the keypoints are at the start. trajectory: says how they move.
    """

    def __init__(self, keypoints: Planner, trajectory: Planner) -> None:
        super().__init__(keypoints, trajectory)
        self.keypoints, self.trajectory = keypoints, trajectory

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        """A plan from both; invalid if one of them has none."""
        found = self.keypoints.plan(request)
        if not found.valid:
            return found
        with_keypoints = getattr(self.trajectory, "plan_with_keypoints", None)
        if with_keypoints is not None:
            made: Scaffold = with_keypoints(request, found.keypoints[0].astype(np.float64), found.attachments)
            return replace(made, provenance={**made.provenance, **_origins(found, made)})
        plan = self.trajectory.plan(request)
        if not plan.valid:
            return plan
        coarse = waypoints_of(plan)
        shift = found.keypoints[0].astype(np.float64) - plan.keypoints[0]
        wrist = np.array(coarse.wrist, dtype=np.float64)
        share = np.linspace(0.0, 1.0, len(wrist)) if coarse.times is None else np.asarray(coarse.times)
        wrist[:, :3] += np.minimum(share / SETTLED, 1.0)[:, None] * shift[0]
        facts = {**_origins(found, plan), "waypoints": len(wrist)}
        return _made(request, Waypoints(coarse.keypoints + shift, wrist, found.attachments, coarse.times), facts)


def _origins(keypoints: Scaffold, trajectory: Scaffold) -> dict[str, Any]:
    """Who made the halves of a mix."""
    return {
        "provider": "mix",
        "keypoints": str(keypoints.provenance.get("provider", "?")),
        "trajectory": str(trajectory.provenance.get("provider", "?")),
    }


def _made(request: ScaffoldRequest, waypoints: Waypoints, facts: dict[str, Any]) -> Scaffold:
    """The plan, or an invalid one if noise made it one."""
    try:
        return scaffold_from_waypoints(request.task, waypoints, facts, horizon=request.horizon)
    except InvalidScaffoldError as error:
        return failed_scaffold(request, str(error), facts)
