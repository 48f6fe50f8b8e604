"""Plan files: thousands of plans in one ``.npz``, stored as waypoints, read without trusting a byte of them.

Plans of one shape (task, attachments, waypoint count) share arrays ``g<i>_keypoints`` (P, N, K, 3), ``g<i>_wrist``
(P, N, 6) and, if unevenly spaced, ``g<i>_times`` (P, N). A JSON header lists the groups and, plan by plan, the state
it was made for and where it came from.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from scaffold_bench.files import write_atomically
from scaffold_bench.plan import SCAFFOLD_VERSION, InvalidScaffoldError, Scaffold, Waypoints
from scaffold_bench.scaffolds.from_waypoints import frames_of, scaffold_from_waypoints
from scaffold_bench.spec import EPISODE_STEPS, MAX_HORIZON, WRIST_DIM, FloatArray

MAX_FILE_BYTES = 512 * 2**20
"""Uncompressed size above which a plan file is refused."""
MAX_MADE_BYTES = 2**31  # of all plans with a frame per control step
MAX_HEADER_BYTES = 64 * 2**20
MAX_KEYPOINTS = 64


class _Group(BaseModel, extra="forbid", strict=True, frozen=True):
    task: str = Field(max_length=200)
    attachments: tuple[str, ...] = Field(min_length=1, max_length=MAX_KEYPOINTS)
    waypoints: int = Field(ge=1, le=MAX_HORIZON + 1)
    timed: bool
    horizon: int = Field(default=EPISODE_STEPS, ge=1, le=MAX_HORIZON)


class _Plan(BaseModel, extra="forbid", strict=True):
    group: int = Field(ge=0)
    row: int = Field(ge=0)
    split: str = Field(max_length=50)
    state: int | None = Field(ge=0)
    valid: bool
    reason: str = Field(max_length=10_000)
    provenance: dict[str, str | int | float | bool]


class _Header(BaseModel, extra="forbid", strict=True):
    format: str
    version: int
    groups: list[_Group]
    plans: list[_Plan]


@dataclass(frozen=True)
class ScaffoldEntry:
    """One plan of a file and the start state it was made for.

    Attributes:
        scaffold: the plan. split, state: the frozen state; ``state`` is None for a state from no frozen set.
    """

    scaffold: Scaffold
    split: str
    state: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.scaffold, Scaffold):
            raise InvalidScaffoldError("scaffold", f"is {type(self.scaffold).__name__}, expected a Scaffold")
        if self.state is not None and (isinstance(self.state, bool) or int(self.state) != self.state or self.state < 0):
            raise InvalidScaffoldError("state", f"is {self.state!r}, expected an index or None")


class _Row(_Plan):
    task: str


class ScaffoldFile(Sequence[Scaffold]):
    """The plans of a file; each is interpolated and validated when it is first asked for, and kept from then on.

    ``entries`` lists task, split and state of every plan in order.
    """

    def __init__(self, groups: list[_Group], arrays: list[dict[str, FloatArray]], entries: list[_Row]) -> None:
        self._groups, self._arrays, self.entries = groups, arrays, entries
        self._made: dict[int, Scaffold] = {}  # plans are frozen, so all may have the same one

    def __len__(self) -> int:
        return len(self.entries)

    def with_states(self) -> list[ScaffoldEntry]:
        """Every plan with the state it was made for, ready for :func:`save_scaffolds`."""
        return [ScaffoldEntry(plan, row.split, row.state) for plan, row in zip(self, self.entries, strict=True)]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        if index in self._made:
            return self._made[index]
        entry = self.entries[index]
        group, arrays = self._groups[entry.group], self._arrays[entry.group]
        times = arrays["times"][entry.row] if group.timed else None
        keypoints, wrist = arrays["keypoints"][entry.row], arrays["wrist"][entry.row]
        waypoints = Waypoints(keypoints, wrist, group.attachments, times)
        try:
            made = scaffold_from_waypoints(
                entry.task, waypoints, entry.provenance, entry.valid, entry.reason, group.horizon
            )
        except InvalidScaffoldError as error:
            raise InvalidScaffoldError(f"plan {index}: {error.field}", error.reason) from None
        self._made[index] = made
        return made


def _coarse(scaffold: Scaffold) -> Waypoints:
    """The plan's waypoints if its frames are what they interpolate to, else every frame as a waypoint."""
    if (coarse := scaffold.waypoints) is not None and coarse.attachments == scaffold.attachments:
        keypoints, wrist = frames_of(coarse, scaffold.horizon)
        if np.array_equal(keypoints, scaffold.keypoints) and np.array_equal(wrist, scaffold.wrist):
            return coarse
    return Waypoints(scaffold.keypoints, scaffold.wrist, scaffold.attachments)


def save_scaffolds(path: str | Path, entries: Sequence[ScaffoldEntry]) -> None:
    """Write plans to a file; an existing file is replaced in one step.

    Args:
        path: the ``.npz`` file.
        entries: each plan with the split and the state it was made for, e.g.
            ``[ScaffoldEntry(env.unwrapped.scaffold, "eval", 3)]``.

    Raises:
        InvalidScaffoldError: something else than entries.
        OSError: the file cannot be written.
    """
    groups: dict[_Group, list[Waypoints]] = {}
    plans = []
    for entry in entries:
        if not isinstance(entry, ScaffoldEntry):
            raise InvalidScaffoldError(
                "entries", f"holds {type(entry).__name__}, expected ScaffoldEntry(plan, split, state)"
            )
        scaffold = entry.scaffold
        coarse = _coarse(scaffold)
        group = _Group(
            task=scaffold.task,
            attachments=coarse.attachments,
            waypoints=len(coarse.wrist),
            timed=coarse.times is not None,
            horizon=scaffold.horizon,
        )
        alike = groups.setdefault(group, [])
        plans.append(
            _Plan(
                group=list(groups).index(group),
                row=len(alike),
                split=entry.split,
                state=None if entry.state is None else int(entry.state),
                valid=scaffold.valid,
                reason=scaffold.reason,
                provenance=dict(scaffold.provenance),
            )
        )
        alike.append(coarse)
    header = _Header(format="scaffold_bench plans", version=SCAFFOLD_VERSION, groups=list(groups), plans=plans)
    members = {"header": np.frombuffer(header.model_dump_json().encode(), dtype=np.uint8)}
    for index, (group, made) in enumerate(groups.items()):
        for name in ("keypoints", "wrist", "times") if group.timed else ("keypoints", "wrist"):
            members[f"g{index}_{name}"] = np.stack([getattr(one, name) for one in made]).astype("<f4")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)  # type: ignore[arg-type]  # numpy types savez's keywords as bool
    write_atomically(Path(path), buffer.getvalue())


def load_scaffolds(path: str | Path) -> ScaffoldFile:
    """Read a plan file.

    Raises:
        InvalidScaffoldError: the file is missing, damaged, too large, of another version, or inconsistent; names the
            field and the reason.
    """
    name = Path(path).name
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if sum(sizes.values()) > MAX_FILE_BYTES or sizes.get("header.npy", 0) > MAX_HEADER_BYTES:
                raise InvalidScaffoldError(name, f"unpacks to more than {MAX_FILE_BYTES >> 20} MiB")
            members = {}
            for member, size in sizes.items():
                # a member that claims less than it holds is cut here and fails to parse
                with archive.open(member) as stream:
                    members[member] = np.lib.format.read_array(io.BytesIO(stream.read(size)), allow_pickle=False)
        header = _Header.model_validate_json(bytes(np.ascontiguousarray(members.pop("header.npy"), dtype=np.uint8)))
    except InvalidScaffoldError:
        raise
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "header"
        raise InvalidScaffoldError(f"{name}: {where}", first["msg"]) from None
    except Exception as error:  # noqa: BLE001  # zipfile and numpy raise many kinds on damaged input
        raise InvalidScaffoldError(name, f"is not a readable plan file ({type(error).__name__}: {error})") from None
    if header.format != "scaffold_bench plans":
        raise InvalidScaffoldError(f"{name}: format", f"is {header.format!r}")
    if header.version != SCAFFOLD_VERSION:
        raise InvalidScaffoldError(f"{name}: version", f"is {header.version}, this release reads {SCAFFOLD_VERSION}")
    arrays = [_group_arrays(name, index, group, members) for index, group in enumerate(header.groups)]
    entries, taken, made = [], set(), 0
    for number, plan in enumerate(header.plans):
        if plan.group >= len(arrays) or plan.row >= len(arrays[plan.group]["wrist"]):
            raise InvalidScaffoldError(f"{name}: plan {number}", "points outside the file's arrays")
        group = header.groups[plan.group]
        made += 4 * (group.horizon + 1) * (3 * len(group.attachments) + WRIST_DIM)
        if (plan.group, plan.row) in taken or made > MAX_MADE_BYTES:
            raise InvalidScaffoldError(f"{name}: plan {number}", "is there twice, or one more than fits into memory")
        taken.add((plan.group, plan.row))
        entries.append(_Row.model_construct(task=group.task, **vars(plan)))
    return ScaffoldFile(header.groups, arrays, entries)


def _group_arrays(name: str, index: int, group: _Group, members: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The arrays of a group, refused unless their shapes are what the header says."""
    tail = {"keypoints": (group.waypoints, len(group.attachments), 3), "wrist": (group.waypoints, WRIST_DIM)}
    if group.timed:
        tail["times"] = (group.waypoints,)
    arrays = {}
    for column, shape in tail.items():
        array = members.get(f"g{index}_{column}.npy")
        if array is None or array.dtype != np.dtype("<f4") or array.ndim < 1 or array.shape[1:] != shape:
            raise InvalidScaffoldError(
                f"{name}: g{index}_{column}", f"is missing or not float32 of shape (plans, {shape})"
            )
        arrays[column] = array
    if len({len(array) for array in arrays.values()}) != 1:
        raise InvalidScaffoldError(f"{name}: group {index}", "has arrays of different lengths")
    return arrays
