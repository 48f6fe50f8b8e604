"""``submission.json``: what a method is, how it was evaluated, and the numbers that must follow from its records."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from scaffold_bench.records.codec import STRICT, problems_of
from scaffold_bench.submissions.planners import usual_track
from scaffold_bench.submissions.suite import FULL_SEEDS, FULL_STATES, FULL_TRIALS, SUITES
from scaffold_bench.submissions.text import check_link, check_name, check_text, plain

FORMAT = 1
"""Version of this file's format."""
SUBMISSION, RECORDS = "submission.json", "records.jsonl.gz"
MAX_SUBMISSION_BYTES = 2**18
MAX_ROWS = 100_000
"""Twice the full protocol; a submission with more is refused."""
MAX_SEEDS = 20
MAX_LISTED = 20
"""Problems of one kind that are listed."""
MAX_POLICY_BYTES = 64 * 2**20
"""Largest safetensors file, the same as the loader's."""
POLICY_FILE = r"policy/seed-(?:0|[1-9]\d?)/[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\.safetensors"

ZOO_POLICY = r"zoo:[a-z0-9][a-z0-9-]{0,59}"
"""Name of an actor that comes with the package."""

TRACK_NAMES = {
    "oracle": "Oracle plans",
    "pre-recorded": "Pre-recorded plans",
    "vlm-zero-shot": "VLM plans, zero-shot",
    "vlm-few-shot": "VLM plans, few-shot",
    "simulated-vlm": "Simulated VLM plans",
    "open": "Open track",
}
"""Where the plans come from, and what readers call it; methods are compared within a track."""
TRACKS = tuple(TRACK_NAMES)
BUILT_IN = ("reference", "plan-only", "plan-grasp", "random")
"""Policies of the package that learn nothing."""


class SubmissionError(ValueError):
    """A submission cannot be made or read.

    Args:
        problems: sentences that say what is wrong, with the remedy.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _prose(text: str) -> str:
    return check_text(text, newlines=True)


Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(check_name)]
Line = Annotated[str, Field(max_length=200), AfterValidator(check_text)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,59}$")]
Prose = Annotated[str, Field(max_length=4000), AfterValidator(_prose)]
Link = Annotated[str, Field(max_length=500), AfterValidator(check_link)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Numerics = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""Fingerprint of the bits that a machine computes."""
Count = Annotated[int, Field(ge=0, le=MAX_ROWS)]
Share = Annotated[float, Field(ge=0, le=1)]
T = TypeVar("T")
OfRuns = Annotated[list[T | None], Field(min_length=1, max_length=MAX_SEEDS)]
"""One entry for every run, null where it is not known."""


class Part(BaseModel):
    """No field may be missing in a new way, of another type, infinite or unknown."""

    model_config = STRICT | {"frozen": True}


class Method(Part):
    """Who made what."""

    name: Name
    authors: Annotated[list[Name], Field(min_length=1, max_length=50)]
    links: Annotated[list[Link], Field(max_length=10)]
    description: Prose


class Protocol(Part):
    """Which episodes were run. ``training_seeds`` has one entry per run, null for a policy that was not trained."""

    preset: Literal["full", "quick"]
    split: Literal["eval"]
    tasks: Annotated[list[Word], Field(min_length=1, max_length=20)]
    states: Annotated[int, Field(ge=1, le=FULL_STATES)]
    trials: Annotated[int, Field(ge=1, le=100)]
    training_seeds: OfRuns[Annotated[int, Field(ge=0, lt=2**63)]]

    @property
    def rows(self) -> int:
        """Episodes in all."""
        return len(self.tasks) * len(self.training_seeds) * self.states * self.trials

    @model_validator(mode="after")
    def _sensible(self) -> Protocol:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("names a task twice")
        if None in self.training_seeds and len(self.training_seeds) > 1:
            raise ValueError("has several runs of a policy that was not trained; submit one")
        if len(set(self.training_seeds)) < len(self.training_seeds):
            raise ValueError("names a training seed twice")
        if self.rows > MAX_ROWS:
            raise ValueError(f"has {self.rows} episodes, more than {MAX_ROWS}")
        return self


class Plans(Part):
    """Where the plans came from: the planner, the hash of its files, and the hash of all plans in the records."""

    provider: Line
    file_sha256: Sha256 | None
    set_sha256: Sha256


class PolicyFile(Part):
    """A safetensors file of the submission."""

    path: Annotated[str, Field(pattern=f"^{POLICY_FILE}$")]
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=MAX_POLICY_BYTES)]

    @property
    def seed_index(self) -> int:
        """The training run it comes from."""
        return int(self.path.split("/")[1].removeprefix("seed-"))


class Policy(Part):
    """What acted.

    ``kind``: a policy of the package without learning, an actor, or code from elsewhere, which is named by
    ``reference`` and never run unasked. An actor is stored in ``files``, or comes with the package if the reference is
    ``zoo:NAME``. ``checkpoints``: for each run the hash that its manifest has.
    """

    kind: Literal["reference", "plan-only", "plan-grasp", "random", "actor", "foreign"]
    reference: Line
    checkpoints: OfRuns[Sha256]
    files: Annotated[list[PolicyFile], Field(max_length=20 * MAX_SEEDS)]

    @property
    def can_be_had(self) -> bool:
        """Whether the actor is here, or comes with the package."""
        return bool(self.files) or re.fullmatch(ZOO_POLICY, self.reference) is not None


class Training(Part):
    """What learning cost, summed over all tasks of one training seed."""

    steps: Annotated[int, Field(ge=0, le=10**15)] | None
    wall_clock_hours: Annotated[float, Field(ge=0, le=10**6)] | None
    hardware: Line


class Vlm(Part):
    """The vision-language model that planned, and what its answers cost."""

    model: Annotated[Line, Field(min_length=1)]
    cost_usd: Annotated[float, Field(ge=0, le=10**9)] | None


class Evaluated(Part):
    """Where the records come from. ``commits`` has one entry per run, null outside a checkout, and ``numerics`` the
    fingerprint of the bits that the run's machine computes, null if unknown; ``dirty`` says that a run had changes that
    are in no commit."""

    versions: Annotated[dict[Word, Word], Field(min_length=1, max_length=20)]
    commits: OfRuns[Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]]
    numerics: OfRuns[Numerics]
    dirty: bool
    hardware: Line
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Records(Part):
    """The records: how many, and the SHA-256 of the unpacked lines."""

    rows: Annotated[int, Field(ge=1, le=MAX_ROWS)]
    sha256: Sha256


class Score(Part):
    """A mean and its 95 % interval."""

    mean: Share
    low: Share
    high: Share


class TaskScores(Part):
    """Scores of one task; lengths in metres, forces in newtons."""

    task: Word
    episodes: Count
    states: Count
    success_once: Score
    success_at_end: Score
    tracking_error: float
    tracked_fraction: Share
    tips_in_contact: float
    grip_force: float
    failures: Annotated[dict[Word, Count], Field(max_length=10)]
    seeds: Count
    causes: Annotated[dict[Line, Count], Field(max_length=20)]


class Aggregates(Part):
    """What :func:`scaffold_bench.metrics.summarize_runs` makes of the records."""

    tasks: Annotated[dict[Word, TaskScores], Field(min_length=1, max_length=20)]
    mean_success_once: Score
    interquartile_mean_success_once: Score
    mean_success_at_end: Score


class Submission(Part):
    """The whole of ``submission.json``. ``environment`` has settings other than the usual ones, as ``wrist_plan``."""

    format: Literal[1]
    method: Method
    track: Literal["oracle", "pre-recorded", "vlm-zero-shot", "vlm-few-shot", "simulated-vlm", "open"]
    suite: Annotated[int, Field(ge=1, le=1000)]
    env_ids: Annotated[dict[Word, Word], Field(min_length=1, max_length=20)]
    protocol: Protocol
    backend: Literal["physx_cpu", "physx_cuda"]
    environment: Annotated[dict[Word, bool], Field(max_length=10)]
    start_states: Annotated[dict[Word, Sha256], Field(min_length=1, max_length=20)]
    plans: Plans
    policy: Policy
    training: Training
    vlm: Vlm | None
    evaluated: Evaluated
    records: Records
    aggregates: Aggregates


def contradictions(submission: Submission) -> list[str]:
    """What a submission's parts say against each other and against its suite, one sentence each."""
    suite, protocol, policy = SUITES.get(submission.suite), submission.protocol, submission.policy
    if suite is None:
        return [f"suite {submission.suite} is unknown; this release knows {', '.join(map(str, SUITES))}"]
    if unknown := [task for task in protocol.tasks if task not in suite.env_ids]:
        return [f"suite {submission.suite} has no task {', '.join(unknown)}; its tasks are {', '.join(suite.env_ids)}"]
    wanted = {
        "env_ids": (submission.env_ids, {task: suite.env_ids[task] for task in protocol.tasks}),
        "start_states": (submission.start_states, {task: suite.start_states[task] for task in protocol.tasks}),
        "protocol.tasks": (protocol.tasks, [task for task in suite.env_ids if task in protocol.tasks]),
    }
    found = [
        f"{name} are not those of suite {submission.suite}, in its order; evaluate with a release that has it"
        for name, (declared, expected) in wanted.items()
        if declared != expected
    ]
    trained = policy.kind == "actor" or protocol.training_seeds != [None]
    full = (protocol.states, protocol.trials) == (FULL_STATES, FULL_TRIALS) and protocol.tasks == [*suite.env_ids]
    if protocol.preset == "full" and not (full and (not trained or len(protocol.training_seeds) >= FULL_SEEDS)):
        found.append(
            f"protocol.preset is full, which means all {len(suite.env_ids)} tasks x {FULL_STATES} states x "
            f"{FULL_TRIALS} trials x {FULL_SEEDS} training seeds; mark the submission quick"
        )
    if protocol.training_seeds == [None] and (policy.kind == "actor" or submission.training.steps):
        found.append("protocol.training_seeds is null for a policy that was trained; give the seeds")
    for name, entries in (
        ("policy.checkpoints", policy.checkpoints),
        ("evaluated.commits", submission.evaluated.commits),
        ("evaluated.numerics", submission.evaluated.numerics),
    ):
        if len(entries) != len(protocol.training_seeds):
            found.append(f"{name} must have one entry for every training seed")
    if policy.kind in BUILT_IN and policy.reference != policy.kind:
        found.append(f'policy.reference must be "{policy.kind}", as its kind is')
    if policy.kind == "actor" and not re.fullmatch(rf"{ZOO_POLICY}|file:[^/\\]+", policy.reference):
        found.append("policy.reference of an actor must be zoo:NAME or file:NAME")
    if bool(policy.files) and policy.kind != "actor":
        found.append(f"policy.files are given for a policy of the kind {policy.kind}; only an actor has files")
    if policy.files and {file.seed_index for file in policy.files} != set(range(len(protocol.training_seeds))):
        found.append("policy.files must be given for every training seed or for none")
    paths = [file.path for file in policy.files]
    if len({path.lower() for path in paths}) < len(paths):
        found.append("policy.files names a file twice")
    if submission.records.rows != protocol.rows:
        found.append(f"records.rows is {submission.records.rows}, the protocol makes {protocol.rows}")
    if submission.track.startswith("vlm-") and submission.vlm is None:
        found.append(f"vlm is missing; the track {submission.track} needs the model")
    if submission.track == "oracle" and usual_track(submission.plans.provider) != "oracle":
        found.append(f'the track is oracle, the plans come from "{plain(submission.plans.provider)}"')
    return found


def parse_submission(raw: bytes) -> Submission:
    """Read ``submission.json``.

    Raises:
        SubmissionError: not JSON as it should be, or not a submission; names every field at fault.
    """
    try:
        data = json.loads(raw.decode("utf-8"), parse_float=_shortest, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise SubmissionError(f"{SUBMISSION} is nested too deeply; make it with 'submit prepare'") from None
    except ValueError as error:
        raise SubmissionError(f"{SUBMISSION} is not readable ({plain(error, 200)}); fix it") from None
    return check_submission(data)


def check_submission(data: Any) -> Submission:
    """A submission from what JSON held.

    Raises:
        SubmissionError: names every field at fault.
    """
    try:
        return Submission.model_validate(data)
    except ValidationError as error:
        raise SubmissionError(*(f"{SUBMISSION}: {problem}" for problem in plain_problems(error))) from None
    except RecursionError:
        raise SubmissionError(f"{SUBMISSION} is nested too deeply; make it with 'submit prepare'") from None


def plain_problems(error: ValidationError) -> list[str]:
    """What is wrong, field by field, without the values, which may be long or hostile."""
    found = problems_of(error)[:MAX_LISTED]
    return [f"{plain(place, 120) or 'the file'} {plain(reason, 200)}" for place, reason in found]


def _shortest(digits: str) -> float:
    """A number, if no shorter text means the same: so every changed digit changes the number."""
    number = float(digits)
    if repr(number) != digits:
        raise ValueError(f"the number {digits[:40]} should be written {number!r}")
    return number


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema of ``submission.json``."""
    made = Submission.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
