"""The line that says what was measured on: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def cpu() -> str:
    """The processor's name as the kernel knows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model", "cpu model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    """Which state of the repository, with a plus where files have been changed since; empty outside of one."""
    try:
        head, changes = (
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changes else head


def describe() -> dict[str, str | int]:
    """Processor, cores, kernel, Python, commit."""
    return {
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": commit(),
    }


def line() -> str:
    found = describe()
    return f"{found['cpu']}, {found['cores']} cores, {found['kernel']}, {found['python']}"


def load() -> str:
    """How busy the machine was meanwhile: a figure of a busy machine is worth less."""
    one, five, _ = os.getloadavg()
    return f"load average {one:.2f} over the last minute, {five:.2f} over the last five, this run included"
