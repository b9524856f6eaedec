"""Programs that a test starts as a user would: one that ends by itself, or one that Ctrl-C ends with all its kin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]


def python(
    *words: str | Path, seconds: float, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this interpreter with these words to its end, which has to come in time; what it said is kept as text."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@contextmanager
def interrupted(
    command: Sequence[str], env: Mapping[str, str] | None = None
) -> Iterator[tuple[int, IO[str]]]:
    """A program in a session of its own: its number and what it says; afterwards Ctrl-C, which has to end them all."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        yield run.pid, run.stdout
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
        said = run.stdout.read()
        assert run.wait(60) != 0, said
    until(lambda: not _group_lives(run.pid), "all of it, and what tidies up after it, is gone")


def _group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True
