"""Plans made earlier, looked up by start state."""

from __future__ import annotations

from pathlib import Path

from scaffold_bench.scaffolds.storage import load_scaffolds
from scaffold_bench.types import InvalidScaffoldError, Scaffold, ScaffoldRequest


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
        self._file = load_scaffolds(self.path)
        self._rows: dict[tuple[str, str, int | None], int] = {
            (entry.task, entry.split, entry.state): row
            for row, entry in enumerate(self._file.entries)
            if entry.state is not None
        }

        if len(self._rows) < sum(entry.state is not None for entry in self._file.entries):
            raise InvalidScaffoldError(self.path.name, "has two plans for the same task, split and state")

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
