"""Checks what this machine can do, and says how to fix what it cannot."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MESA_MINIMUM = "24.3"
_RENDER_PROBE = """
import sapien, sapien.render
sapien.render.set_log_level("off")
scene = sapien.Scene([sapien.physx.PhysxCpuSystem(), sapien.render.RenderSystem({device})])
camera = scene.add_camera("probe", 16, 16, 1.0, 0.1, 10.0)
scene.update_render()
camera.take_picture()
print("picture", camera.get_picture("Color").shape)
"""


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        state: "ok", "missing" (optional) or "broken" (required).
        fix: what to do about it; empty if nothing.
    """

    name: str
    state: str
    found: str
    fix: str = ""


def diagnose() -> list[Check]:
    """Run every check; this takes a few seconds."""
    # the package cannot be installed on an older Python
    python = Check("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    return [python, *_packages(), _physics(), _mesa(), _rendering(), _cuda(), _gpu_physics(), _api_key()]


def _packages() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    checks = []
    for package, minimum in (("mani_skill", "3.0.1"), ("sapien", "3.0.3"), ("gymnasium", "1.1"), ("torch", "2.5")):
        try:
            found = version(package)
        except PackageNotFoundError:
            checks.append(Check(package, "broken", "not installed", "pip install scaffold-bench"))
            continue
        fix = "" if _at_least(found, minimum) else f"pip install '{package}>={minimum}'"
        checks.append(Check(package, "broken" if fix else "ok", found, fix))
    return checks


def _at_least(found: str, minimum: str) -> bool:
    """Whether a version, of which only the leading numbers count, is not older than another."""
    numbers, wanted = ([int(part) for part in re.findall(r"\d+", text)] for text in (found, minimum))
    return numbers[: len(wanted)] >= wanted


def _run_python(code: str) -> tuple[bool, str]:
    """Run code in another process, because a broken driver may crash it; whether it worked, and its last line."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, type(error).__name__
    lines = (run.stdout + run.stderr).strip().splitlines()
    return run.returncode == 0, lines[-1] if lines else f"exit code {run.returncode}"


def _physics() -> Check:
    works, said = _run_python("import sapien.physx as p; s = p.PhysxCpuSystem(); s.step(); print('steps')")
    if works:
        return Check("CPU physics", "ok", "SAPIEN steps")
    return Check("CPU physics", "broken", said, "pip install --force-reinstall 'sapien>=3.0.3'")


def mesa_version() -> str | None:
    """Version of Mesa's Vulkan drivers from the package manager, or None if they are not installed."""
    for command in (
        ["dpkg-query", "-W", "-f", "${Version}", "mesa-vulkan-drivers"],
        ["rpm", "-q", "--qf", "%{VERSION}", "mesa-vulkan-drivers"],
    ):
        with suppress(OSError, subprocess.TimeoutExpired):
            run = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
            if run.returncode == 0 and run.stdout:
                return run.stdout.strip()
    return None


def _mesa() -> Check:
    found = mesa_version()
    if found is None:
        needed = "needed for pictures on a machine without a GPU"
        return Check("Mesa", "missing", "no mesa-vulkan-drivers package", needed)
    if _at_least(found, MESA_MINIMUM):
        return Check("Mesa", "ok", found)
    old = f"{found}, older than {MESA_MINIMUM}"
    return Check("Mesa", "missing", old, "sudo scripts/install_vulkan.sh (Debian 12: backports)")


def can_render() -> tuple[bool, str]:
    """Whether SAPIEN can take a picture on this machine, and the last line that it printed."""
    import torch

    device = '"cuda"' if torch.cuda.is_available() else '"cpu"'
    return _run_python(_RENDER_PROBE.format(device=device))


def _rendering() -> Check:
    works, said = can_render()
    if works:
        return Check("Vulkan rendering", "ok", "SAPIEN takes pictures")
    remedy = "install a GPU driver, or Mesa >= 24.3: sudo scripts/install_vulkan.sh; only pictures need it"
    return Check("Vulkan rendering", "missing", said, remedy)


def _cuda() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("CUDA", "ok", torch.cuda.get_device_name())
    remedy = "optional: install a CUDA build of torch on a machine with a GPU"
    return Check("CUDA", "missing", "torch sees no GPU", remedy)


def _gpu_physics() -> Check:
    libraries = sorted((Path.home() / ".sapien" / "physx").glob("*/libPhysXGpu_64.so"))
    if libraries:
        return Check("GPU physics library", "ok", libraries[-1].parent.name)
    remedy = "optional: SAPIEN fetches it on first use of physx_cuda"
    return Check("GPU physics library", "missing", "not downloaded", remedy)


def _api_key() -> Check:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if os.environ.get(name):
            return Check("Gemini API key", "ok", f"{name} is set")
    return Check("Gemini API key", "missing", "not set", "only for VLM planners: export GEMINI_API_KEY=...")
