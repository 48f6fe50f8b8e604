"""Plans made earlier, looked up by start state or reused for another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scaffold_bench.plan import InvalidScaffoldError, Scaffold, ScaffoldRequest
from scaffold_bench.scaffolds.storage import ScaffoldFile, load_scaffolds
from scaffold_bench.scaffolds.variants import request_rng

KEPT = Path(__file__).resolve().parents[1] / "plans"
"""Plan sets that ship with the package: ``<name>.npz``."""


def kept_sets() -> list[str]:
    """Names of the plan sets that ship with the package."""
    return sorted(file.stem for file in KEPT.glob("*.npz"))


def plan_file(name: str | Path) -> Path:
    """The file of a kept plan set, or a path.

    Raises:
        ValueError: there is neither; names the kept sets.
    """
    if Path(name).is_file():
        return Path(name)
    kept = KEPT / f"{name}.npz"
    if str(name) in kept_sets():
        return kept
    raise ValueError(f"there is no plan file {str(name)!r}; the package has the sets {', '.join(kept_sets())}")


class RecordedProvider:
    """Serves the plans of a file for the states they were made for.

    Args:
        path: a file written by :func:`save_scaffolds`.

    Raises:
        InvalidScaffoldError: the file is not a valid plan file.
    """

    privileged = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: ScaffoldFile = load_scaffolds(self.path)
        self._rows: dict[tuple[str, str, int | None], int] = {
            (entry.task, entry.split, entry.state): row
            for row, entry in enumerate(self._file.entries)
            if entry.state is not None
        }
        if len(self._rows) < sum(entry.state is not None for entry in self._file.entries):
            raise InvalidScaffoldError(self.path.name, "has two plans for the same task, split and state")

    def files(self) -> list[Path]:
        """The plan files that are read."""
        return [self.path]

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        """The plan recorded for the request's task, split and state.

        Raises:
            LookupError: the file has none.
        """
        row = self._rows.get((request.task, request.split, request.state))
        if row is None:
            where = "a state from no frozen set" if request.state is None else f"state {request.state}"
            raise LookupError(f"{self.path.name} has no plan for {request.task}, split {request.split}, {where}")
        plan: Scaffold = self._file[row]
        return plan


class ReusedProvider:
    """Plans of the training states, used for whatever state there is: the paper's pre-recorded baseline.

    It shows what planning for the situation is worth. Every start state gets one of the task's valid training plans,
    always the same one.

    Args:
        path: a plan file with plans for the split "train".
    """

    privileged = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = load_scaffolds(self.path)
        self._rows: dict[str, list[int]] = {}
        for row, entry in enumerate(self._file.entries):
            if entry.split == "train" and entry.valid:
                self._rows.setdefault(entry.task, []).append(row)

    def files(self) -> list[Path]:
        """The plan files that are read."""
        return [self.path]

    def plan(self, request: ScaffoldRequest) -> Scaffold:
        """One of the task's training plans.

        Raises:
            LookupError: the file has none.
        """
        rows = self._rows.get(request.task)
        if not rows:
            raise LookupError(f"{self.path.name} has no valid training plan for {request.task}")
        row = rows[int(request_rng(request, "reused").integers(len(rows)))]
        plan: Scaffold = self._file[row]
        state = self._file.entries[row].state
        facts = {**plan.provenance, "reused_from": "train" if state is None else f"train {state}"}
        return replace(plan, provenance=facts)
