"""The planner ``simulated-vlm`` and the server on the command line."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from scaffold_bench.plan_sets.make import make_plans, requests
from scaffold_bench.plan_sets.statistics import plan_distances
from scaffold_bench.scaffolds import load_scaffolds, resolve_provider
from scaffold_bench.synthetic_planner import SimulatedPlanner, provider


def test_its_name_leads_to_it_and_its_options_are_checked() -> None:
    planner = resolve_provider("simulated-vlm?waypoints=7&seed=3")
    assert (planner.waypoints, planner.seed, planner.label) == (7, 3, "simulated-vlm")  # type: ignore[attr-defined]
    for name, told in (
        ("simulated-vlm?shots=3", "shots=3 needs examples"),
        ("simulated-vlm?waypoints=x", "invalid literal"),
        ("simulated-vlm?model=gemini", "cannot make the planner"),
    ):
        with pytest.raises(ValueError, match=told):
            resolve_provider(name)


@pytest.mark.rendering
def test_a_plan_set_is_made_from_pictures_and_labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    two = functools.partial(SimulatedPlanner, states={"eval": range(2)})
    monkeypatch.setattr(provider, "SimulatedPlanner", two)
    out = tmp_path / "plans.npz"
    make_plans("simulated-vlm?errors=0", ["sponge"], "eval", 2, out)
    for state, plan in enumerate(load_scaffolds(out)):
        assert plan.valid, plan.reason
        assert plan.provenance["provider"] == plan.provenance["answered_by"] == "simulated-vlm"
        assert "usd" not in plan.provenance  # nothing was paid, so nothing is claimed
        at_start, along = plan_distances(plan, state, "eval")
        assert at_start < 0.035  # the surface that is seen is 3 cm off the sponge's middle
        assert along < 0.05
    assert list((tmp_path / "cache" / "scaffold_bench" / "pictures").glob("sponge-*.npz"))


def test_it_is_blind_without_a_camera() -> None:
    [(_, request)] = requests("hammer", "eval", [0])
    assert "no picture to plan from" in resolve_provider("simulated-vlm").plan(request).reason


def test_the_server_on_the_command_line_answers() -> None:
    command = [sys.executable, "-u", "-m", "scaffold_bench", "fake-gemini", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, contextlib.ExitStack() as last:
        last.callback(server.kill)
        assert server.stdout is not None
        told = ""
        while "Ctrl-C" not in told:
            line = server.stdout.readline()
            assert line, "the server ended before it listened"
            told += line
        found = re.search(r"http://127\.0\.0\.1:\d+", told)
        assert found is not None
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(f"{found[0]}/v1beta/models", data=b"{}"), timeout=10)
        assert json.loads(error.value.read())["error"]["code"] == 404
