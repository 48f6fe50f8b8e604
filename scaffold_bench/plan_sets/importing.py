"""Reads plans that were made elsewhere, from JSON or NPZ files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scaffold_bench.envs.episodes import check_plan
from scaffold_bench.envs.start_states import STATES_PER_SPLIT
from scaffold_bench.plan import InvalidScaffoldError, Waypoints
from scaffold_bench.registration import get_task
from scaffold_bench.scaffolds import ScaffoldEntry, scaffold_from_waypoints
from scaffold_bench.spec import WRIST_DIM

MAX_IMPORT_BYTES = 256 * 2**20


def import_plans(path: Path) -> list[ScaffoldEntry]:
    """Read plans that were made elsewhere from a JSON or an NPZ file.

    JSON: a list of objects with ``task``, ``split``, ``state``, ``keypoints`` (N, K, 3), ``wrist`` (N, 6),
    ``attachments`` (K names) and optionally ``provenance``. NPZ: arrays ``task``, ``split``, ``state`` (P,),
    ``keypoints`` (P, N, K, 3), ``wrist`` (P, N, 6) and ``attachments`` (K,), all plans of one shape. N evenly
    spaced waypoints, from 2 to the number of frames; metres, radians, world frame.

    Raises:
        InvalidScaffoldError: a plan is invalid or does not fit its task; the message has its number.
        ValueError: there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}; give an existing .json or .npz file")
    if path.stat().st_size > MAX_IMPORT_BYTES:
        raise InvalidScaffoldError(path.name, f"is larger than {MAX_IMPORT_BYTES >> 20} MiB")
    rows = _json_rows(path) if path.suffix == ".json" else _npz_rows(path)
    entries: list[ScaffoldEntry] = []
    seen: set[tuple[str, str, int | None]] = set()
    for number, row in enumerate(rows):
        try:
            entry = _imported(row)
            key = (entry.scaffold.task, entry.split, entry.state)
            if key in seen:
                raise InvalidScaffoldError("state", f"has two plans for {key[0]}, split {key[1]}, state {key[2]}")
            seen.add(key)
            entries.append(entry)
        except InvalidScaffoldError as error:
            raise InvalidScaffoldError(f"plan {number}: {error.field}", error.reason) from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidScaffoldError(
                f"plan {number}", f"lacks a field or has one of the wrong type ({error})"
            ) from None
    return entries


def _json_rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidScaffoldError(path.name, f"is not JSON ({str(error)[:200]})") from None
    if not isinstance(rows, list):
        raise InvalidScaffoldError(path.name, "is not a list of plans")
    return rows


def _npz_rows(path: Path) -> list[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_IMPORT_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_IMPORT_BYTES >> 20} MiB")
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in ("task", "split", "state", "keypoints", "wrist", "attachments")}
        count = len(arrays["keypoints"])
        attachments = [str(name) for name in arrays.pop("attachments")]
        if any(len(array) != count for array in arrays.values()):
            raise ValueError("arrays of different lengths")
    except Exception as error:  # noqa: BLE001  # zipfile and numpy raise many kinds on damaged input
        raise InvalidScaffoldError(
            path.name, f"is not an NPZ file of plans ({type(error).__name__}: {error})"
        ) from None
    return [{name: array[row] for name, array in arrays.items()} | {"attachments": attachments} for row in range(count)]


def _imported(row: Mapping[str, Any]) -> ScaffoldEntry:
    points, wrists = np.asarray(row["keypoints"]), np.asarray(row["wrist"])
    if points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind not in "fiu":
        raise InvalidScaffoldError("keypoints", f"has shape {points.shape}, expected (waypoints, keypoints, 3)")
    if wrists.shape != (len(points), WRIST_DIM) or wrists.dtype.kind not in "fiu":
        raise InvalidScaffoldError("wrist", f"has shape {wrists.shape}, expected ({len(points)}, {WRIST_DIM})")
    spec = get_task(str(row["task"])).spec
    if not 2 <= len(points) <= spec.horizon + 1:
        raise InvalidScaffoldError("keypoints", f"has {len(points)} waypoints, expected 2 to {spec.horizon + 1}")
    if str(row["split"]) not in ("train", "eval"):
        raise InvalidScaffoldError("split", f"is {str(row['split'])[:40]!r}, expected train or eval")
    waypoints = Waypoints(points, wrists, tuple(str(name) for name in row["attachments"]))
    given = dict(row.get("provenance") or {})
    facts = {**given, "provider": "imported"} | ({"made_by": given["provider"]} if "provider" in given else {})
    plan = scaffold_from_waypoints(spec.name, waypoints, facts, horizon=spec.horizon)
    state = np.asarray(row["state"])
    if state.ndim or state.dtype.kind not in "iu" or not 0 <= int(state) < STATES_PER_SPLIT:
        raise InvalidScaffoldError("state", f"is {str(row['state'])[:40]}, expected 0 to {STATES_PER_SPLIT - 1}")
    return ScaffoldEntry(check_plan(plan, spec), str(row["split"]), int(state))
