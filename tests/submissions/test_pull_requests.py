"""What continuous integration says about a pull request that changes submissions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from synthetic import edited, make_submission

ROOT = Path(__file__).parents[2]
FOLDER = "leaderboard/submissions"


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one submission, ``old``."""
    path = tmp_path / "repository"
    (path / FOLDER).mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    make_submission(tmp_path / "a").rename(path / FOLDER / "old")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "base")
    return path


@pytest.fixture
def propose(repository: Path, tmp_path: Path) -> Callable[[], tuple[int, str, dict[str, str]]]:
    """Commit what was changed and check it: exit code, last line, reports by name."""

    def propose() -> tuple[int, str, dict[str, str]]:
        base = git(repository, "rev-parse", "HEAD")
        git(repository, "add", "-A")
        git(repository, "commit", "-qm", "proposed")
        reports = tmp_path / "reports"
        script = [sys.executable, str(ROOT / "scripts" / "check_submissions.py"), "--repository", str(repository)]
        run = subprocess.run(
            [*script, "--base", base, "--reports", str(reports)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        told = {path.name: path.read_text() for path in sorted(reports.glob("*"))}
        return run.returncode, (run.stdout + run.stderr).strip(), told

    return propose


Propose = Callable[[], tuple[int, str, dict[str, str]]]


def test_a_new_submission_is_checked_and_reported(repository: Path, propose: Propose, tmp_path: Path) -> None:
    make_submission(tmp_path / "b").rename(repository / FOLDER / "new")
    code, said, reports = propose()
    assert (code, said.startswith("1 submissions checked, 0 with problems")) == (0, True)
    assert list(reports) == ["1.md"]
    assert reports["1.md"].startswith("# <code>new</code>: valid")


def test_a_wrong_submission_fails_with_its_report(repository: Path, propose: Propose, tmp_path: Path) -> None:
    make_submission(tmp_path / "b").rename(repository / FOLDER / "good")
    make_submission(tmp_path / "c").rename(repository / FOLDER / "wrong")
    with edited(repository / FOLDER / "wrong") as told:
        told["records"]["sha256"] = "00" * 32
    code, said, reports = propose()
    assert (code, "2 submissions checked, 1 with problems" in said) == (1, True)
    assert "<code>good</code>: valid" in reports["1.md"]
    assert "<code>wrong</code>: not valid: 1 problem" in reports["2.md"]


def test_nobody_gives_a_badge_to_themselves(repository: Path, propose: Propose) -> None:
    (repository / FOLDER / "old" / "verification.json").write_text("{}")
    code, _, reports = propose()
    assert code == 1
    assert "only maintainers write it" in reports["1.md"]


def test_nobody_gives_a_badge_to_their_archive(repository: Path, propose: Propose) -> None:
    (repository / FOLDER / "old.zip.verification.json").write_text("{}")
    code, _, reports = propose()
    assert code == 1
    assert "only maintainers write it" in reports["1.md"]


def test_nobody_deletes_another_s_submission(repository: Path, propose: Propose) -> None:
    git(repository, "rm", "-rq", f"{FOLDER}/old")
    code, _, reports = propose()
    assert code == 1
    assert "old is deleted" in reports["1.md"]


def test_the_folder_cannot_be_replaced_by_a_link(repository: Path, propose: Propose) -> None:
    git(repository, "rm", "-rq", FOLDER)
    (repository / "leaderboard").mkdir(exist_ok=True)
    (repository / FOLDER).symlink_to("/etc")
    code, said, _ = propose()
    assert code == 1
    assert "leaderboard/submissions must stay a folder" in said


def test_a_strange_name_is_only_a_name(repository: Path, propose: Propose, tmp_path: Path) -> None:
    make_submission(tmp_path / "b").rename(repository / FOLDER / "$(touch owned)\n<b>")
    code, _, reports = propose()
    assert code == 0
    assert "<b>" not in reports["1.md"]
    assert not list(repository.rglob("owned"))


def test_other_changes_need_no_report(repository: Path, propose: Propose) -> None:
    (repository / "README.md").write_text("hello")
    code, said, reports = propose()
    assert (code, said.startswith("0 submissions checked"), reports) == (0, True, {})


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_can_do_no_harm(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets" not in text
    assert set(workflow[True]) <= {"push", "pull_request"}  # YAML reads "on" as a truth value
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")  # names from a pull request would become commands
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_the_checker_comes_from_the_branch_that_is_merged_into() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "submission.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    inputs = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    checkouts = {given["path"]: given["ref"] for given in inputs}
    assert checkouts == {
        "trusted": "${{ github.event.pull_request.base.sha }}",
        "proposed": "${{ github.event.pull_request.head.sha }}",
    }
    for step in job["steps"]:
        assert "proposed/" not in step.get("run", "")
