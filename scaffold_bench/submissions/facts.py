"""What a submission says, as names and texts in the order in which reports and pages show them; nothing is escaped."""

from __future__ import annotations

from scaffold_bench.submissions.model import Submission

NOT_GIVEN = "not given"


def protocol_line(submission: Submission) -> str:
    """What was run: ``8 tasks × 100 states × 1 trial (quick), physx_cpu, suite 1``."""
    protocol = submission.protocol
    counts = {"task": len(protocol.tasks), "state": protocol.states, "trial": protocol.trials}
    size = " × ".join(f"{number} {name}{'s' * (number != 1)}" for name, number in counts.items())
    preset = "" if protocol.preset == "full" else f" ({protocol.preset})"
    return f"{size}{preset}, {submission.backend}, suite {submission.suite}"


def settings(submission: Submission) -> str:
    """Settings of the environment that are not the usual ones: who reads a score should see them."""
    return ", ".join(f"{name} {'on' if value else 'off'}" for name, value in submission.environment.items())


def training_seeds(submission: Submission) -> str:
    """The training seeds of its runs."""
    seeds = [str(seed) for seed in submission.protocol.training_seeds if seed is not None]
    return ", ".join(seeds) or "none (it does not learn)"


def count(number: int | None) -> str:
    """A large number for people, ``2.1 M``."""
    if number is None:
        return "–"
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return str(number)


def costs(submission: Submission) -> dict[str, str]:
    """What learning and planning cost."""
    training, vlm = submission.training, submission.vlm
    hours, dollars = training.wall_clock_hours, None if vlm is None else vlm.cost_usd
    found = {
        "training steps": NOT_GIVEN if training.steps is None else count(training.steps),
        "wall-clock hours": NOT_GIVEN if hours is None else f"{hours:.3g}",
        "training hardware": training.hardware,
        "vision-language model": "" if vlm is None else vlm.model,
        "cost of its answers, USD": "" if dollars is None else f"{dollars:.2f}",
    }
    return {name: text for name, text in found.items() if text}


def evaluation(submission: Submission) -> dict[str, str]:
    """How, with what, when and where it was evaluated."""
    policy, evaluated = submission.policy, submission.evaluated
    commits = ", ".join(sorted({commit or "none" for commit in evaluated.commits}))
    found = {
        "protocol": protocol_line(submission),
        "training seeds": training_seeds(submission),
        "policy": policy.reference if policy.reference == policy.kind else f"{policy.kind}: {policy.reference}",
        "environment": settings(submission),
        "plans": submission.plans.provider,
        "commits": f"{commits} with local changes" if evaluated.dirty else commits,
        "versions": ", ".join(f"{name} {version}" for name, version in evaluated.versions.items()),
        "evaluated on": evaluated.hardware,
        "date": evaluated.date,
    }
    return {name: text for name, text in found.items() if text}
