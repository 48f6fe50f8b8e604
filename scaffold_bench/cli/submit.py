"""``scaffold-bench submit prepare | validate | verify``."""

from __future__ import annotations

import secrets
from pathlib import Path

import tyro

from scaffold_bench.cli.console import say
from scaffold_bench.files import write_atomically
from scaffold_bench.submissions import About

app = tyro.extras.SubcommandApp()


@app.command
def prepare(
    run_dirs: tyro.conf.Positional[tuple[Path, ...]], out: Path, about: tyro.conf.OmitArgPrefixes[About]
) -> None:
    """Make a submission from finished evaluations.

    Args:
        run_dirs: folders that ``evaluate --out`` wrote, one for each training seed.
        out: the folder to make, or an archive if the name ends in .zip.
        about: what the runs do not know.
    """
    from scaffold_bench.submissions import prepare as make

    report = make(run_dirs, out, about)
    for note in report.notes:
        say(f"note: {note}")
    say(f"made {out} and checked it; read it through, then open a pull request (docs/submit.md)")


@app.command
def validate(submission: tyro.conf.Positional[Path], report: Path | None = None) -> None:
    """Check a submission: schema, hashes, every episode once, recomputed numbers. Runs nothing of it.

    Args:
        submission: folder or archive.
        report: a Markdown file to write.
    """
    from scaffold_bench.metrics.columns import SUCCESS_ONCE
    from scaffold_bench.submissions import markdown
    from scaffold_bench.submissions import validate as check

    found = check(submission)
    if report is not None:
        write_atomically(report, markdown(found))
    for problem in found.problems:
        say(f"wrong: {problem}")
    for note in found.notes:
        say(f"note: {note}")
    if not found.ok:
        raise SystemExit(1)
    assert found.aggregates is not None
    say(f"valid: mean success once {SUCCESS_ONCE.text(found.aggregates.mean_success_once)} %, badge {found.badge}")


@app.command
def verify(
    submission: tyro.conf.Positional[Path],
    sample: int = 50,
    seed: int | None = None,
    plans: str | None = None,
    allow_foreign_code: bool = False,
) -> None:
    """Run a random sample of a submission's episodes again and compare bit for bit; writes verification.json.

    Args:
        submission: folder or archive.
        sample: number of episodes.
        seed: of the draw; unpredictable by default.
        plans: the planner's name with the paths of its files, if it reads some that do not ship with the package.
        allow_foreign_code: also run a policy that is code from elsewhere. Read it first.
    """
    from scaffold_bench.evaluation.verify import verify as run

    drawn = secrets.randbits(62) if seed is None else seed
    found = run(submission, sample, seed=drawn, allow_foreign_code=allow_foreign_code, plans=plans)
    say(
        f"{found.identical} of {found.sampled} episodes have the same bits, {found.same_outcome} the same outcome "
        f"(seed {found.sample_seed})"
    )
    for difference in found.differences:
        place = f"{difference.task}, seed {difference.seed_index}, state {difference.state}, trial {difference.trial}"
        say(f"differs: {place}: {', '.join(difference.fields)}")
    if found.other_processor:
        say(
            f"note: {found.other_processor} of the {found.sampled} came from another kind of processor or an "
            "unknown one, whose last bits may differ; verify on a machine with the same evaluated.numerics"
        )
    if found.identical < found.sampled:
        raise SystemExit(1)
