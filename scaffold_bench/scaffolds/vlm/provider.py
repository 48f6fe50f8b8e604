"""The planner of the paper: keypoints in the picture, lifted by depth, then waypoints for them and for the hand."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from scaffold_bench.control import wrist_rotation
from scaffold_bench.plan import PLAN_WAYPOINTS, CameraView, InvalidScaffoldError, Scaffold, ScaffoldRequest, Waypoints
from scaffold_bench.scaffolds.from_waypoints import check_waypoints, failed_scaffold, scaffold_from_waypoints
from scaffold_bench.scaffolds.lifting import LiftingError, lift
from scaffold_bench.scaffolds.vlm import prompting
from scaffold_bench.scaffolds.vlm.answers import AnswerError, read_keypoints, read_trajectory
from scaffold_bench.scaffolds.vlm.model import PRICES, Account, Budget, GeminiModel, Query, VlmError, VlmModel
from scaffold_bench.scaffolds.vlm.prompting import Example
from scaffold_bench.spec import FloatArray

Read = TypeVar("Read")
SIMULATED = "simulated-vlm"
"""How the stand-in signs its answers; its plans are called by that name whoever asked."""


class PlanningFailedError(Exception):
    """No plan can be made; the message says why."""


@dataclass(frozen=True)
class Keypoints:
    """Keypoints at the start of an episode.

    Attributes:
        positions: (K, 3) world, metres. attachments: the body of each, or ``"world"``.
    """

    positions: FloatArray
    attachments: tuple[str, ...]


class VlmProvider:
    """Plans by asking a vision-language model twice.

    A plan that cannot be made is returned as an invalid one with its reason; nothing is raised.

    Args:
        model: whom to ask; Gemini by default.
        name: the model's name.
        waypoints: number N asked for.
        temperature: of both questions (paper: 0.5).
        thinking_budget: tokens of thought for the second question (paper: 1000); None for the model's default.
        code_execution: whether the model may run code for the second question (paper: yes).
        budget: attempts and seconds per plan.
        examples: plans that succeeded, by task, shown with the second question.
        shots: how many of them are shown; drawn for every state anew (paper: 3 of the 10 best).
        prices: dollars per million input and output tokens, by model.
        seed: of the drawing of examples.
        label: the provider's name in provenance.
    """

    privileged = False
    sees = True

    def __init__(
        self,
        model: VlmModel | None = None,
        name: str = "gemini-2.5-flash",
        waypoints: int = PLAN_WAYPOINTS,
        temperature: float = 0.5,
        thinking_budget: int | None = 1000,
        code_execution: bool = True,
        budget: Budget | None = None,
        examples: Mapping[str, Sequence[Example]] | None = None,
        shots: int = 0,
        prices: Mapping[str, tuple[float, float]] = PRICES,
        seed: int = 0,
        label: str = "vlm",
    ) -> None:
        check_waypoints(waypoints)
        if not (math.isfinite(temperature) and temperature >= 0):
            raise ValueError(f"temperature must be a number of at least 0, got {temperature}")
        if shots and examples is None:
            raise ValueError(f"shots={shots} needs examples: plans that succeeded; see 'scaffold-bench plans examples'")
        self.model, self.name, self.waypoints = model or GeminiModel(), name, waypoints
        self.temperature, self.thinking_budget, self.code_execution = temperature, thinking_budget, code_execution
        self.budget, self.examples, self.shots = budget or Budget(), dict(examples or {}), shots
        self.prices, self.seed, self.label = prices, seed, label
        self._sleep: Callable[[float], None] = time.sleep

    def check(self) -> None:
        """Find out whether there is a model to ask.

        Raises:
            VlmError: there is none, and what to do.
        """
        if callable(check := getattr(self.model, "check", None)):
            check()

    def plan(self, request: ScaffoldRequest, keypoints: Keypoints | None = None) -> Scaffold:
        """The plan that both questions give; only the second one is asked for given keypoints."""
        account = Account(time.monotonic())
        facts: dict[str, Any] = {
            "provider": self.label,
            "model": self.name,
            "waypoints": self.waypoints,
            "temperature": self.temperature,
            "thinking_budget": "default" if self.thinking_budget is None else self.thinking_budget,
            "code_execution": self.code_execution,
            "prompts": prompting.version(),
        }

        def known() -> dict[str, Any]:
            """What is known of the plan so far; whoever answered as the stand-in is called by that name."""
            spent = account.facts(self.prices)
            simulated = {"provider": SIMULATED} if spent["answered_by"] == SIMULATED else {}
            return {**facts, **spent, **simulated}

        try:
            view = request.view
            if view is None:
                raise PlanningFailedError(
                    "there is no picture to plan from: batched environments have no camera; make a plan file with "
                    "'scaffold-bench plans make' and train on that"
                )
            image = png(view.rgb)
            if keypoints is None:
                keypoints = self._find_keypoints(request, view, image, account, facts)
            examples = self._examples_for(request)
            facts["shots"] = len(examples)
            waypoints = self._find_trajectory(request, view, image, keypoints, examples, account)
            return scaffold_from_waypoints(request.task, waypoints, known(), horizon=request.horizon)
        except (PlanningFailedError, InvalidScaffoldError) as error:
            return failed_scaffold(request, str(error), known())

    def plan_with_keypoints(
        self, request: ScaffoldRequest, positions: FloatArray, attachments: tuple[str, ...]
    ) -> Scaffold:
        """The second question only, for keypoints (K, 3) that somebody else found on the bodies ``attachments``."""
        return self.plan(request, Keypoints(positions, attachments))

    # --------------------------------------------------------------------------------------------- questions
    def _find_keypoints(
        self, request: ScaffoldRequest, view: CameraView, image: bytes, account: Account, facts: dict[str, Any]
    ) -> Keypoints:
        def read(text: str) -> Keypoints:
            height, width = view.depth.shape
            places = read_keypoints(text, request.keypoint_names)
            lifted = []
            for name in request.keypoint_names:
                u, v = places[name]
                try:
                    lifted.append(lift(view, (u * width, v * height), request.bodies))
                except LiftingError as error:
                    raise AnswerError(f"{name!r}: {error}") from None
                u, v = lifted[-1].pixel
                facts[f"pixel/{name}"] = f"{u:.0f},{v:.0f}"
            return Keypoints(np.stack([one.position for one in lifted]), tuple(one.body for one in lifted))

        query = Query("keypoints", prompting.keypoint_prompt(request), image, self.name, self.temperature, None, False)
        return self._ask(query, read, account)

    def _find_trajectory(
        self,
        request: ScaffoldRequest,
        view: CameraView,
        image: bytes,
        keypoints: Keypoints,
        examples: Sequence[Example],
        account: Account,
    ) -> Waypoints:
        origin = keypoints.positions[0]
        hand = hand_of(request, request.wrist)
        prompt = prompting.trajectory_prompt(request, view, keypoints.positions, hand, self.waypoints, examples)

        def read(text: str) -> Waypoints:
            paths, hands = read_trajectory(
                text, request.keypoint_names, self.waypoints, keypoints.positions - origin, hand - origin
            )
            waypoints = Waypoints(paths + origin, wrists_of(request, hands + origin), keypoints.attachments)
            try:
                scaffold_from_waypoints(request.task, waypoints, {}, horizon=request.horizon)
            except InvalidScaffoldError as error:
                raise AnswerError(str(error)) from None
            return waypoints

        query = Query(
            "trajectory", prompt, image, self.name, self.temperature, self.thinking_budget, self.code_execution
        )
        return self._ask(query, read, account)

    def _examples_for(self, request: ScaffoldRequest) -> Sequence[Example]:
        """Those to show, never one of the very state that is planned for.

        Raises:
            PlanningFailedError: they are for other keypoints.
        """
        own = request.state if request.split == "train" else None
        known = [one for one in self.examples.get(request.task, ()) if one.state is None or one.state != own]
        if not self.shots or not known:
            return ()
        if any(len(one.places) != len(request.keypoint_names) for one in known):
            raise PlanningFailedError(f"the examples for {request.task} have another number of keypoints")
        rng = np.random.default_rng([self.seed, 0 if request.state is None else request.state + 1])
        return [known[index] for index in rng.permutation(len(known))[: self.shots]]

    def _ask(self, query: Query, read: Callable[[str], Read], account: Account) -> Read:
        """Ask until an answer can be read or the budget is spent.

        Raises:
            PlanningFailedError: it is; names the last reason.
        """
        reason, broken, asked, refused = "", 0, 0, 0
        while asked < self.budget.attempts:
            left = self.budget.seconds - (time.monotonic() - account.began)
            if left <= 0:
                reason = f"{self.budget.seconds:g} s are over; {reason or 'nothing was answered'}"
                break
            account.questions += 1
            try:
                # a refused answer that was kept is passed over, so that a retry asks for one that is not known
                answer = self.model.ask(replace(query, attempt=refused), min(self.budget.timeout, left))
                asked += not answer.kept
                account.add(answer)
                return read(answer.text)
            except AnswerError as error:
                refused += 1
                reason = f"{query.purpose}: {error}"
                account.failures.append(f"answer ({query.purpose})")
            except VlmError as error:
                account.add(error)
                asked += 1
                if error.kind == "missing" and refused >= self.budget.attempts:
                    account.questions -= 1
                    break  # a replay of a plan that failed: its own reason stands
                reason = f"{query.purpose}: {error.kind}: {error}"
                account.failures.append(f"{error.kind} ({query.purpose})")
                if not error.retryable:
                    break
                if error.kind not in ("blocked", "empty") and asked < self.budget.attempts:
                    broken += 1
                    left = self.budget.seconds - (time.monotonic() - account.began)
                    self._sleep(max(0.0, min(self.budget.pause(broken), left)))
        raise PlanningFailedError(reason)


# ------------------------------------------------------------------------------------------------------- the hand
def hand_of(request: ScaffoldRequest, wrist: FloatArray) -> FloatArray:
    """Where a held object would sit (3,) for a wrist (6,): what a planner calls the hand."""
    return np.asarray(wrist[:3] + wrist_rotation(wrist[3:]) @ np.asarray(request.grasp_point))


def wrists_of(request: ScaffoldRequest, hands: FloatArray) -> FloatArray:
    """Wrists (N, 6) for hands (N, 3): the first is where the hand is, the others are turned as the task's hand is."""
    turn = np.asarray(request.hand_turn)
    positions = hands - wrist_rotation(turn) @ np.asarray(request.grasp_point)
    wrists = np.concatenate([positions, np.broadcast_to(turn, positions.shape)], axis=1)
    wrists[0] = request.wrist
    return wrists


def example_of(scaffold: Scaffold, request: ScaffoldRequest, count: int) -> Example:
    """A plan in the words of the second question.

    Args:
        request: what the plan was made for. count: number N of waypoints shown.
    """
    frames = np.linspace(0, len(scaffold.wrist) - 1, count).round().astype(int)
    keypoints = scaffold.keypoints[frames].astype(np.float64)
    hands = np.stack([hand_of(request, wrist) for wrist in scaffold.wrist[frames].astype(np.float64)])
    origin = keypoints[0, 0].copy()
    return Example(keypoints[0] - origin, hands[0] - origin, keypoints - origin, hands - origin)


def png(rgb: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()
