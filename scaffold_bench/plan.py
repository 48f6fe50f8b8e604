"""The plan: a coarse one as waypoints, one with a frame per control step, what a planner is asked and what it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scaffold_bench.spec import EPISODE_STEPS, MAX_HORIZON, PALM_POINT, WORLD, WRIST_DIM, FloatArray, StartState

PLAN_WAYPOINTS = 20
"""Waypoints N of a plan before interpolation (paper, 3.2)."""

SCAFFOLD_VERSION = 1
"""Version of the plan's meaning and file format; a plan of another version is refused."""
MAX_KEYPOINT_STEP = 0.15
"""Largest credible keypoint move between two frames, metres (ours): 9 m/s, faster than any hand swings."""
MAX_WRIST_STEP = 0.10
"""Largest credible wrist move between two frames, metres (ours): 6 m/s."""
MAX_WRIST_TURN = 0.5
"""Largest credible wrist turn per Euler axis between two frames, radians (ours): 30 rad/s."""
MAX_START_GAP, MAX_START_TURN = 0.5, 1.2
"""Largest credible gap between a plan's first wrist and the hand, metres and radians per angle (ours): a plan recorded
for another start state of the task passes, one in other units or axes does not."""
MAX_KEYPOINT_REACH = 2.5
"""Largest credible distance of a keypoint from the origin of the body it sits on, metres (ours): more than the diagonal
of a fridge's door, so that every point of a surface a camera sees is within it."""
MAX_REASON_LENGTH = 2000
"""Characters kept of the reason why a plan could not be made."""
WORKSPACE = 5.0
"""Plans must stay within this distance of the scene's origin, metres (ours)."""


class InvalidScaffoldError(ValueError):
    """A plan was refused. ``field`` names the part at fault, ``reason`` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"invalid scaffold: {field}: {reason}")
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.reason)


@dataclass(frozen=True)
class CameraView:
    """What a calibrated RGB-D camera sees at the start of an episode.

    Camera axes are OpenCV's: x to the right, y down, z forward; pixel (u, v) is column u and row v, and a pixel's
    centre is at (u + 0.5, v + 0.5).

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32, metres along the optical axis; 0 where nothing was hit.
        body: (H, W) int16 index into the request's ``bodies``, -1 elsewhere: what a tracker of the objects would
            report. Keypoints are attached by it; it is never shown to a model.
        intrinsics: (3, 3) camera matrix, pixels.
        camera_to_world: (4, 4) pose of the camera.
    """

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    body: npt.NDArray[np.int16]
    intrinsics: FloatArray
    camera_to_world: FloatArray


@dataclass(frozen=True)
class Waypoints:
    """A coarse plan: N waypoints before interpolation.

    Attributes:
        keypoints: (N, K, 3) planned keypoint positions.
        wrist: (N, 6) planned wrist joints.
        attachments: the body each of the K keypoints sits on, or ``"world"``.
        times: optional (N,) fractions of the episode in [0, 1]; evenly spaced when None.
    """

    keypoints: FloatArray
    wrist: FloatArray
    attachments: tuple[str, ...]
    times: FloatArray | None = None


def _frozen(array: npt.ArrayLike, name: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float32]:
    """Return a read-only float32 copy of ``array``, or refuse it."""
    try:
        raw = np.asarray(array)
        if raw.dtype.kind not in "fiu":
            raise TypeError
        # float64 first, so that a value beyond float32's range is seen as too large rather than as infinite
        wide = raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidScaffoldError(name, "is not an array of numbers") from None
    if wide.ndim != len(shape) or any(s is not None and s != d for s, d in zip(shape, wide.shape, strict=True)):
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise InvalidScaffoldError(name, f"has shape {wide.shape}, expected {wanted}")
    if not np.isfinite(wide).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(wide))[0])
        raise InvalidScaffoldError(name, f"is not finite at index {index}")
    copy = np.clip(wide, -1e30, 1e30).astype(np.float32)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class Scaffold:
    """A plan for one episode: where every keypoint and the wrist should be at each of its T + 1 frames.

    Frozen and validated on construction; arrays are read-only float32 copies.

    Attributes:
        task: the task's name, e.g. ``"hammer"``.
        keypoints: (T + 1, K, 3) planned keypoint positions, metres, world frame; frame 0 is the start, T the task's
            horizon.
        wrist: (T + 1, 6) planned wrist joints.
        attachments: the body each keypoint sits on, or ``"world"``.
        provenance: who made it and how: provider, model, prompt hash, waypoints, ... (JSON-like, small).
        valid: False marks a plan that could not be made; ``reason`` says why. Its arrays hold the hand still.
        reason: empty for a valid plan.
        version: the meaning of the fields, :data:`SCAFFOLD_VERSION`.

    Raises:
        InvalidScaffoldError: wrong shape or length, a non-finite number, a place outside the workspace, a jump
            larger than physically possible, or an unknown version. Names the field and the reason.
    """

    task: str
    keypoints: npt.NDArray[np.float32]
    wrist: npt.NDArray[np.float32]
    attachments: tuple[str, ...]
    provenance: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    valid: bool = True
    reason: str = ""
    version: int = SCAFFOLD_VERSION
    waypoints: Waypoints | None = None
    """The coarse plan the frames were interpolated from, if known; lets a file hold the plan in little space."""

    def __post_init__(self) -> None:
        if self.version != SCAFFOLD_VERSION:
            raise InvalidScaffoldError("version", f"is {self.version!r}, this release reads {SCAFFOLD_VERSION}")
        attachments = tuple(self.attachments) if isinstance(self.attachments, list | tuple) else ()
        if not attachments or not all(isinstance(name, str) and name for name in attachments):
            raise InvalidScaffoldError("attachments", "must name a body (or 'world') for every keypoint")
        provenance = {
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in (self.provenance or {}).items()
        }
        for key, value in provenance.items():
            if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
                raise InvalidScaffoldError("provenance", f"{key!r} is neither text nor a finite number")
        object.__setattr__(self, "reason", self.reason[:MAX_REASON_LENGTH])
        keypoints = _frozen(self.keypoints, "keypoints", (None, len(attachments), 3))
        if not 2 <= len(keypoints) <= MAX_HORIZON + 1:
            raise InvalidScaffoldError("keypoints", f"has {len(keypoints)} frames, expected 2 to {MAX_HORIZON + 1}")
        wrist = _frozen(self.wrist, "wrist", (len(keypoints), WRIST_DIM))
        object.__setattr__(self, "attachments", attachments)
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "wrist", wrist)
        object.__setattr__(self, "provenance", provenance)
        for name, positions in (("keypoints", keypoints), ("wrist", wrist[:, None, :3])):
            if float(np.abs(positions).max()) > WORKSPACE:
                raise InvalidScaffoldError(name, f"leaves the workspace of {WORKSPACE} m around the origin")
        _refuse_jumps("keypoints", np.linalg.norm(np.diff(keypoints, axis=0), axis=-1), MAX_KEYPOINT_STEP, "m")
        _refuse_jumps("wrist", np.linalg.norm(np.diff(wrist[:, None, :3], axis=0), axis=-1), MAX_WRIST_STEP, "m")
        _refuse_jumps("wrist", np.abs(np.diff(wrist[:, 3:], axis=0)), MAX_WRIST_TURN, "rad")

    @classmethod
    def failed(
        cls,
        task: str,
        num_keypoints: int,
        wrist: FloatArray,
        reason: str,
        provenance: Mapping[str, str | int | float | bool] | None = None,
        horizon: int = EPISODE_STEPS,
    ) -> Scaffold:
        """An invalid plan: the hand stays at ``wrist`` (6,), the keypoints are at the origin of the world."""
        frames = horizon + 1
        return cls(
            task=task,
            keypoints=np.zeros((frames, num_keypoints, 3), np.float32),
            wrist=np.tile(np.asarray(wrist, np.float32), (frames, 1)),
            attachments=(WORLD,) * num_keypoints,
            provenance=provenance or {},
            valid=False,
            reason=reason,
        )

    @property
    def num_keypoints(self) -> int:
        """Number K of keypoints."""
        return len(self.attachments)

    @property
    def horizon(self) -> int:
        """Control steps T that it plans for."""
        return len(self.wrist) - 1

    @property
    def sha256(self) -> str:
        """Hash of what the plan says (not of its provenance)."""
        digest = hashlib.sha256(f"{self.version}|{self.task}|{'|'.join(self.attachments)}|{self.valid}".encode())
        digest.update(self.keypoints.tobytes())
        digest.update(self.wrist.tobytes())
        return digest.hexdigest()


def _refuse_jumps(name: str, steps: FloatArray, limit: float, unit: str) -> None:
    """Raise if any entry of ``steps`` (T, ...) exceeds ``limit``."""
    if steps.size and float(steps.max()) > limit * (1 + 1e-5):
        frame = int(np.unravel_index(int(steps.argmax()), steps.shape)[0])
        raise InvalidScaffoldError(
            name,
            f"jumps by {float(steps.max()):.3g} {unit} between frames {frame} and {frame + 1}, more than the "
            f"{limit} {unit} that is physically possible",
        )


@dataclass(frozen=True)
class ScaffoldRequest:
    """What a planner on a real robot could know at the start of an episode.

    Attributes:
        task: the task's name.
        instruction: the sentence to carry out.
        keypoint_names: the K keypoints a plan must contain, in order.
        wrist: (6,) current wrist joints.
        state: index of the frozen state, or None for a state that is not from a frozen set.
        horizon: control steps T to plan for.
        split: "train", "eval" or "fresh".
        bodies: names a keypoint may be attached to.
        keypoint_hints: what each keypoint is, in words. motion_hint: what to know about the motion, in words.
        hand_turn: (3,) wrist angles the task's hand is usually held at. grasp_point: (3,) where a held object sits in
            the hand frame, metres.
        view: what the task's camera sees; None unless the planner declares ``sees = True``.
    """

    task: str
    instruction: str
    keypoint_names: tuple[str, ...]
    wrist: FloatArray
    state: int | None
    split: str
    bodies: tuple[str, ...]
    horizon: int = EPISODE_STEPS
    keypoint_hints: tuple[str, ...] = ()
    motion_hint: str = ""
    hand_turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grasp_point: tuple[float, float, float] = PALM_POINT
    view: CameraView | None = None


@dataclass(frozen=True)
class PrivilegedRequest(ScaffoldRequest):
    """A request that also carries the simulator's truth; only oracles may ask for one.

    Attributes:
        start: the exact start state.
        reference: makes the task's hand-specified plan with about N waypoints for that start.
    """

    start: StartState = field(kw_only=True)
    reference: Callable[[int], Waypoints] = field(kw_only=True)


class Planner(Protocol):
    """Anything that makes plans. It never holds an environment.

    A planner that needs pictures also has ``sees = True``; its requests carry a :class:`CameraView`.
    """

    privileged: bool
    """Whether :meth:`plan` must be given a :class:`PrivilegedRequest`."""

    def plan(self, request: Any) -> Scaffold:
        """Return the plan for one episode."""
        ...


ScaffoldProvider = Planner
"""Old name."""
