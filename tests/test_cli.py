"""The command line: what it prints, writes and answers to mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaffold_bench import doctor
from scaffold_bench.doctor import Check
from scaffold_bench.evaluation import read_records
from scaffold_bench.registration import task_ids, task_names
from scaffold_bench.version import __version__

Answer = tuple[int, str, str]


# ------------------------------------------------------------------------------------------------ doctor and tasks
def test_doctor_reports_every_check(command_line: Callable[..., Answer]) -> None:
    code, out, _ = command_line("doctor")
    assert code == 0
    for name in ("Python", "mani_skill", "sapien", "gymnasium", "torch", "CPU physics", "Mesa", "Vulkan rendering"):
        assert name in out
    for name in ("CUDA", "GPU physics library", "Gemini API key", __version__):
        assert name in out
    assert "BROKEN" not in out


@pytest.mark.parametrize(("state", "code", "mark"), [("ok", 0, "ok"), ("missing", 0, "--"), ("broken", 1, "BROKEN")])
def test_doctor_fails_for_what_is_broken_only(
    command_line: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, state: str, code: int, mark: str
) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda: [Check("sun", "ok", "shines"), Check("moon", state, "new", "wait")])
    answer, out, _ = command_line("doctor")
    assert answer == code
    (line,) = (line for line in out.splitlines() if "moon" in line)
    assert mark in line
    assert "wait" in line


def test_doctor_names_the_remedy_for_an_old_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.9" if name == "mani_skill" else "99.0.0")
    found = {check.name: check for check in doctor._packages()}
    assert (found["mani_skill"].state, found["mani_skill"].fix) == ("broken", "pip install 'mani_skill>=3.0.1'")
    assert {check.state for name, check in found.items() if name != "mani_skill"} == {"ok"}


def test_doctor_does_not_print_the_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "very-secret")
    check = doctor._api_key()
    assert check.state == "ok"
    assert "very-secret" not in repr(check)


def test_tasks_lists_all_eight(command_line: Callable[..., Answer]) -> None:
    code, out, _ = command_line("tasks")
    assert code == 0
    for env_id, name in zip(task_ids(), task_names(), strict=True):
        (line,) = (line for line in out.splitlines() if env_id in line)
        assert name in line
    assert len(task_ids()) == 8


def test_the_module_is_the_command_and_reads_no_input() -> None:
    # stdin is closed: reading from it would fail
    command = f"exec 0<&-; exec {sys.executable} -m scaffold_bench tasks"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert all(env_id in run.stdout for env_id in task_ids())


def test_help_names_the_commands(command_line: Callable[..., Answer]) -> None:
    code, out, _ = command_line("--help")
    assert code == 0
    for command in ("doctor", "tasks", "evaluate", "view"):
        assert command in out


def test_a_closed_pipe_is_no_disaster() -> None:
    command = f"{sys.executable} -m scaffold_bench tasks | true"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.stderr == ""


# ------------------------------------------------------------------------------------------------ evaluate
def test_evaluate_writes_three_files_and_prints_the_scores(command_line: Callable[..., Answer], tmp_path: Path) -> None:
    command = ("evaluate", "--policy", "reference", "--tasks", "hammer, Scaffold-OpenDrawer-v0", "--out", "here/run")
    code, out, _ = command_line(*command, "--states", "1", "--trials", "2")
    assert code == 0
    folder = tmp_path / "here" / "run"
    assert {path.name for path in folder.iterdir()} == {"records.jsonl", "manifest.json", "summary.json"}
    keys = [record.key for record in read_records(folder / "records.jsonl")]
    assert keys == [(task, 0, trial) for task in ("hammer", "drawer") for trial in (0, 1)]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == ["scaffold-bench", *command, "--states", "1", "--trials", "2"]
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["mean_success_once"] == 1
    assert "here/run" in out
    for task in ("hammer", "drawer"):
        (line,) = (line for line in out.splitlines() if f" {task} " in line)
        assert "100.0" in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tasks", "hamer"], "there is no task 'hamer'; did you mean 'hammer'?"),
        (["--tasks", " , "], "there are no tasks to evaluate"),
        (["--policy", "refrence"], "there is no policy 'refrence'; use reference, plan-only, plan-grasp, random"),
        (["--policy", "no_such_module:Policy"], "cannot load the policy 'no_such_module:Policy'"),
        (["--states", "0"], "states must be between 1 and 100, got 0"),
        (["--trials", "-1"], "trials must be at least 1, got -1"),
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["--scaffolds", "plans.npz"], "scaffolds='plans.npz' is neither a planner nor an existing plan file"),
        (["--out", "taken.txt"], "cannot write to taken.txt (File exists); choose another --out"),
        (["--out", "full"], "full is not empty and holds no evaluation; choose another --out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_answered_in_one_line(
    command_line: Callable[..., Answer], tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "taken.txt").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    before = sorted(tmp_path.rglob("*"))
    defaults = {"--policy": "plan-only", "--tasks": "hammer", "--states": "1", "--out": "run"}
    defaults[arguments[0]] = arguments[1]
    code, out, err = command_line("evaluate", *(word for pair in defaults.items() for word in pair))
    assert code == 2
    assert out == ""
    assert err.startswith("scaffold-bench: ")
    assert told in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [["evaluate", "--preset", "fast"], ["evaluate", "--split", "fresh"], ["evaluate", "--nonsense"], ["fly"], ["view"]],
    ids=" ".join,
)
def test_words_the_parser_does_not_know_end_in_exit_code_2(
    command_line: Callable[..., Answer], arguments: list[str]
) -> None:
    code, _, err = command_line(*arguments)
    assert code == 2
    assert err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["view", "hamer"], "there is no task 'hamer'"),
        (["view", "hammer", "--scaffolds", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_view_answers_mistakes_in_one_line(
    command_line: Callable[..., Answer], arguments: list[str], told: str
) -> None:
    code, _, err = command_line(*arguments)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_debugging_shows_where_it_went_wrong(
    command_line: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCAFFOLD_BENCH_DEBUG", "1")
    with pytest.raises(ValueError, match="there is no task 'hamer'"):
        command_line("evaluate", "--tasks", "hamer")


def test_an_interrupt_is_answered_with_how_to_go_on(
    command_line: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scaffold_bench.evaluation.evaluate", interrupted)
    code, _, err = command_line("evaluate")
    assert (code, err) == (130, "interrupted; run the same command again to resume\n")


def test_without_a_renderer_there_are_plots_and_a_word_why(
    command_line: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "can_render", lambda: (False, "no device"))
    code, _, err = command_line(
        "evaluate", "--policy", "plan-only", "--tasks", "drawer", "--states", "1", "--video", "3", "--out", "run"
    )
    assert code == 0
    assert "no Vulkan driver, so no videos (no device); run 'scaffold-bench doctor' for the fix" in err
    assert (tmp_path / "run" / "plots" / "drawer-000.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "run" / "videos").exists()
    assert not (tmp_path / "run" / "plots" / "drawer-001.png").exists()  # one state, one plot
