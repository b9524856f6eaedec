"""The interpreter ends while daemon threads wait in the bus: at once, without a word, and with code 0."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import blocking, proc
from tests.support.child import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The promise is 2 s for everything from the last line of the program.
SECONDS = 2.0


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that are killed after the test if they still run."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for program in started:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    "waits",
    [*((one,) for one in blocking.ALL), blocking.ALL],
    ids=lambda waits: " and ".join(waits) if len(waits) == 1 else "all at once",
)
def test_exit_while_daemon_threads_wait(
    programs: list[subprocess.Popen[str]], bus: str, waits: tuple[str, ...]
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.support.blocking", bus, *waits],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    programs.append(program)
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == "waiting\n"
    proc.wait_all_asleep(program.pid)
    program.stdin.write("end\n")
    program.stdin.flush()
    begin = float(program.stdout.readline())
    _, errors = program.communicate(timeout=20)
    assert time.monotonic() - begin < SECONDS
    assert (program.returncode, errors) == (0, "")


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 0.4])
def test_exit_while_daemon_threads_work(bus: str, seconds: float) -> None:
    """None of them is told of the end by an error, and none comes back into an interpreter that is gone."""
    command = [sys.executable, "-m", "tests.support.busy", bus, str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
