"""Makes a submission from finished evaluations, one run for each training seed."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from scaffold_bench.files import ZOO, actor_files, hash_of_files
from scaffold_bench.metrics import summarize_runs
from scaffold_bench.records.codec import to_json
from scaffold_bench.records.episode import EpisodeRecord, followed_plans_hash, record_line
from scaffold_bench.records.folder import RUN_SETTINGS, EvaluationError
from scaffold_bench.records.run import read_manifest, read_records
from scaffold_bench.submissions.model import (
    BUILT_IN,
    FORMAT,
    RECORDS,
    SUBMISSION,
    Submission,
    SubmissionError,
    check_submission,
)
from scaffold_bench.submissions.planners import usual_track, without_folders
from scaffold_bench.submissions.rows import Row
from scaffold_bench.submissions.suite import CURRENT, FULL_SEEDS, FULL_STATES, FULL_TRIALS, SPLIT, SUITES
from scaffold_bench.submissions.tensors import facts_of
from scaffold_bench.submissions.validate import Report, validate


@dataclass(frozen=True)
class About:
    """What no run knows about its method.

    Attributes:
        name: the method's name on the board; the policy's by default.
        authors: who made it.
        links: http or https addresses: paper, code.
        description: a few sentences.
        track: oracle, pre-recorded, vlm-zero-shot, vlm-few-shot, simulated-vlm or open; by default the one of
            the planner's name, open for a plan file.
        training_seeds: one for each run; by default what the policies' files say.
        training_steps: environment steps of one training seed, all tasks together.
        training_hours: hours that they took.
        training_hardware: on what.
        vlm_model: the vision-language model that planned.
        vlm_cost_usd: what its answers cost.
    """

    name: str = ""
    authors: tuple[str, ...] = ("anonymous",)
    links: tuple[str, ...] = ()
    description: str = ""
    track: str = ""
    training_seeds: tuple[int, ...] = ()
    training_steps: int | None = None
    training_hours: float | None = None
    training_hardware: str = ""
    vlm_model: str = ""
    vlm_cost_usd: float | None = None


MANIFEST_KEYS = {*RUN_SETTINGS, "date", "hardware", "policy", "policy_source", "source"} - {"environment"}
"""What a manifest must say to become a submission; the environment is there only if it is not the usual one."""


@dataclass(frozen=True)
class Finished:
    """A finished evaluation in a folder: its records are in the suite's order; ``policy_files`` are those of its stored
    actor, and ``facts`` what they say about their training."""

    path: Path
    manifest: dict[str, Any]
    records: list[EpisodeRecord]
    policy_files: list[Path]
    facts: list[dict[str, Any]]

    @property
    def kind(self) -> str:
        """What acted, as :class:`~scaffold_bench.submissions.model.Policy` says it."""
        policy = self.manifest["policy"]
        return policy if policy in BUILT_IN else "actor" if policy.startswith(("zoo:", "file:")) else "foreign"


def prepare(run_dirs: Sequence[str | Path], out: str | Path, about: About | None = None) -> Report:
    """Make a submission.

    Args:
        run_dirs: folders that ``scaffold-bench evaluate --out`` wrote, one for each training seed.
        out: the folder to make, or an archive if the name ends in ``.zip``.
        about: what the runs do not know.

    Returns:
        The report of :func:`validate` on what was written.

    Raises:
        SubmissionError: a run is not finished, runs do not belong together, or something is not as it must be; nothing
            is written then.
    """
    if not run_dirs:
        raise SubmissionError("there are no runs; give the folders that 'evaluate --out' wrote")
    target = Path(out)
    if target.exists():
        raise SubmissionError(f"{target} exists; choose another --out or delete it")
    runs = [load_run(Path(path)) for path in run_dirs]
    _check_alike(runs)
    return _write(target, _files(runs, about or About()))


def load_run(path: Path) -> Finished:
    """Read a finished evaluation.

    Raises:
        SubmissionError: it is none, or it is not finished.
    """
    try:
        manifest, records = read_manifest(path), read_records(path)
        if missing := MANIFEST_KEYS - manifest.keys():
            raise KeyError(", ".join(sorted(missing)))
        expected = len(manifest["tasks"]) * manifest["states"] * manifest["trials"]
        files = _policy_files(manifest["policy"])
    except EvaluationError as error:
        raise SubmissionError(str(error)) from None
    except (KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SubmissionError(
            f"{path} is no finished evaluation ({reason}); give a folder that 'evaluate --out' wrote"
        ) from None
    if len(records) != expected:
        raise SubmissionError(f"{path} has {len(records)} of {expected} episodes; run its command again to finish it")
    order = {task: place for place, task in enumerate(SUITES[CURRENT].env_ids)}
    records.sort(key=lambda record: (order.get(record.task, len(order)), record.state, record.trial))
    return Finished(path, manifest, records, files, [facts_of(file) for file in files])


def _policy_files(policy: str) -> list[Path]:
    """The safetensors files of a stored policy as a manifest names it; none for another."""
    kind, _, name = policy.partition(":")
    if kind not in ("zoo", "file"):
        return []
    path = ZOO / name if kind == "zoo" else Path(name)
    files = actor_files(path)
    if not files or not all(file.is_file() for file in files):
        raise SubmissionError(f"there are no policy files at {path}; run this where the evaluation ran")
    return files


def _check_alike(runs: Sequence[Finished]) -> None:
    """Refuse runs that are not one method's: raises SubmissionError, which names what differs."""
    first = runs[0].manifest
    for run in runs:
        different = [name for name in RUN_SETTINGS if run.manifest.get(name) != first.get(name)]
        if run.kind != runs[0].kind:
            different.append("policy")
        if different:
            raise SubmissionError(
                f"{run.path} and {runs[0].path} differ in {', '.join(different)}; evaluate all training seeds alike"
            )
        if run.manifest["split"] != SPLIT:
            raise SubmissionError(f"{run.path} is of the split {run.manifest['split']}; evaluate with --split {SPLIT}")
        if run.policy_files and hash_of_files(run.policy_files) != run.manifest["policy_source"]:
            raise SubmissionError(f"{run.path}: the policy's files are not those that were evaluated; evaluate again")


def _files(runs: Sequence[Finished], about: About) -> dict[str, bytes]:
    """The submission's files by name."""
    seeds = _seeds(runs, about)
    packed: dict[str, bytes] = {}
    stored = []
    named = {run.manifest["policy"] for run in runs}
    ships = len(named) == 1 and all(name.startswith("zoo:") for name in named)  # then a name and a hash will do
    for index, run in enumerate(runs):
        for file in [] if ships else run.policy_files:
            name, raw = f"policy/seed-{index}/{file.name}", file.read_bytes()
            packed[name] = raw
            stored.append({"path": name, "sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)})
    lines = _lines(runs, seeds)
    packed[RECORDS] = gzip.compress(lines, 9, mtime=0)
    submission = _submission(runs, about, seeds, stored, lines)
    text = to_json(submission.model_dump(), indent=1, ensure_ascii=False)
    return {SUBMISSION: f"{text}\n".encode(), **packed}


def _lines(runs: Sequence[Finished], seeds: Sequence[int | None]) -> bytes:
    """All rows by task, training seed, state and trial."""
    by_task: dict[str, list[str]] = {}
    for index, (run, seed) in enumerate(zip(runs, seeds, strict=True)):
        for record in run.records:
            row = Row(**vars(record), seed_index=index, training_seed=seed)
            by_task.setdefault(record.task, []).append(record_line(row))
    return "".join(line for lines in by_task.values() for line in lines).encode("ascii")


def _seeds(runs: Sequence[Finished], about: About) -> list[int] | list[None]:
    """The training seed of each run: as given, else as the policies' files say, else none for what learns nothing;
    raises SubmissionError if they are needed and not known."""
    given, kind = about.training_seeds, runs[0].kind
    if given and (len(given) != len(runs) or kind in BUILT_IN):
        raise SubmissionError(
            f"there are {len(given)} training seeds for {len(runs)} runs of a policy of the kind {kind}; give one for "
            "each run of a trained policy"
        )
    if given:
        return list(given)
    stored = [{fact.get("seed") for fact in run.facts} for run in runs]
    if all(len(seeds) == 1 and all(type(seed) is int for seed in seeds) for seeds in stored):
        return [seed for seeds in stored for seed in seeds]
    if len(runs) == 1 and kind != "actor":
        return [None]
    raise SubmissionError("the training seeds of the runs are not known; give them with --training-seeds")


def _cost(runs: Sequence[Finished], name: str) -> float | None:
    """What the policies' files say their training took: summed over a run's files, mean over the runs."""
    numbers: list[list[Any]] = [[fact.get(name) for fact in run.facts] for run in runs]
    known = all(of_run and all(isinstance(number, int | float) for number in of_run) for of_run in numbers)
    return mean(float(sum(of_run)) for of_run in numbers) if known else None


def version_words(versions: Mapping[str, str]) -> dict[str, str]:
    """Versions as a submission holds them: words without spaces."""
    return {name: text.replace(" ", "-") for name, text in versions.items()}


def machine_line(hardware: Mapping[str, Any]) -> str:
    """A machine, as manifests describe it, in one line."""
    return f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['system']} {hardware['machine']}"


def _submission(
    runs: Sequence[Finished], about: About, seeds: Sequence[int | None], stored: list[dict[str, Any]], lines: bytes
) -> Submission:
    """What ``submission.json`` says; raises SubmissionError if something given is not as it must be."""
    manifest, suite = runs[0].manifest, SUITES[CURRENT]
    tasks = [task for task in suite.env_ids if suite.env_ids[task] in manifest["tasks"]]
    if len(tasks) < len(manifest["tasks"]):
        raise SubmissionError(f"{runs[0].path} has tasks that suite {CURRENT} has not; evaluate with --tasks all")
    enough = len(runs) >= FULL_SEEDS or list(seeds) == [None]
    size = (len(tasks), manifest["states"], manifest["trials"])
    full = size == (len(suite.env_ids), FULL_STATES, FULL_TRIALS) and enough
    planner = without_folders(manifest["scaffolds"])
    steps, minutes = _cost(runs, "steps"), _cost(runs, "minutes")
    hours = about.training_hours if about.training_hours is not None or minutes is None else round(minutes / 60, 3)
    reference = manifest["policy"]
    return check_submission(
        {
            "format": FORMAT,
            "method": {
                "name": about.name or Path(reference.rpartition(":")[2]).stem,
                "authors": list(about.authors),
                "links": list(about.links),
                "description": about.description,
            },
            "track": about.track or usual_track(planner),
            "suite": CURRENT,
            "env_ids": {task: suite.env_ids[task] for task in tasks},
            "protocol": {
                "preset": "full" if full else "quick",
                "split": manifest["split"],
                "tasks": tasks,
                "states": manifest["states"],
                "trials": manifest["trials"],
                "training_seeds": list(seeds),
            },
            "backend": manifest["backend"],
            "environment": manifest.get("environment", {}),
            "start_states": manifest["start_states"],
            "plans": {
                "provider": planner,
                "file_sha256": manifest["plans"],
                "set_sha256": followed_plans_hash(record for run in runs for record in run.records),
            },
            "policy": {
                "kind": runs[0].kind,
                "reference": f"file:{Path(reference[5:]).name}" if reference.startswith("file:") else reference,
                "checkpoints": [run.manifest["policy_source"] for run in runs],
                "files": stored,
            },
            "training": {
                "steps": about.training_steps if about.training_steps is not None or steps is None else round(steps),
                "wall_clock_hours": hours,
                "hardware": about.training_hardware,
            },
            "vlm": {"model": about.vlm_model, "cost_usd": about.vlm_cost_usd} if about.vlm_model else None,
            "evaluated": {
                "versions": version_words(manifest["versions"]),
                "commits": [run.manifest["source"]["commit"] for run in runs],
                "numerics": [run.manifest.get("numerics") for run in runs],
                "dirty": any(run.manifest["source"]["dirty"] for run in runs),
                "hardware": machine_line(manifest["hardware"]),
                "date": max(run.manifest["date"] for run in runs),
            },
            "records": {"rows": lines.count(b"\n"), "sha256": hashlib.sha256(lines).hexdigest()},
            "aggregates": summarize_runs([run.records for run in runs]),
        }
    )


def _write(target: Path, files: dict[str, bytes]) -> Report:
    """Write the files under another name, check them, and rename them; raises SubmissionError if they are not valid."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".submission-") as folder:
        partial = Path(folder) / target.name
        if target.suffix == ".zip":
            _write_archive(partial, files)
        else:
            for name, raw in files.items():
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                (partial / name).write_bytes(raw)
        report = validate(partial)
        if report.problems:
            raise SubmissionError(*report.problems)
        os.replace(partial, target)
    report.path = target
    return report


def _write_archive(path: Path, files: dict[str, bytes]) -> None:
    """A zip archive without dates, so that equal submissions have equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(info, raw)
