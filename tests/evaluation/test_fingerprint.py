"""A machine's fingerprint is a constant of the machine, and changes with how it computes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from scaffold_bench.evaluation.fingerprint import numerics

CODE = "from scaffold_bench.evaluation.fingerprint import numerics; print(numerics())"


def fingerprint(**environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return run.stdout.strip()


def test_it_is_the_same_in_every_process_with_any_number_of_threads() -> None:
    assert len(numerics()) == 16
    assert fingerprint(OMP_NUM_THREADS="2") == numerics()


def test_other_bits_give_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "elu", lambda values: torch.nextafter(values, values + 1))
    assert numerics.__wrapped__() != numerics()


def test_asking_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    numerics.__wrapped__()
    assert torch.get_num_threads() == before
