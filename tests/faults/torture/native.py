"""Trials that are Rust programs: test binaries of the crates, driven by what they print.

Such a program gets ``IPMB_PROGRESS=1``, ``IPMB_COUNT``, ``IPMB_SEED`` and, to replay, ``IPMB_CASE``. It prints on its
standard output, among whatever else it has to say:

    progress <done> <total>
    figure <name> = <value>         the name may have spaces
    case <text>                     something was violated; as IPMB_CASE, the text makes it run again

and ends with 0 when nothing was violated.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from tests.faults.torture.record import ROOT
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Lines of a failed program that are worth reading.
TAIL = 60


class Native(Trial):
    """A program that is built and started by ``command``, from the project's root."""

    def __init__(
        self,
        name: str,
        *,
        title: str,
        unit: str,
        ci: int,
        demand: int,
        command: Sequence[str],
        env: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.unit = unit
        self.ci = ci
        self.demand = demand
        self.command = command
        self.env = env or {}

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        env = {"IPMB_PROGRESS": "1", "IPMB_COUNT": str(count), "IPMB_SEED": str(seed), **self.env}
        if case is not None and case.get("case"):
            env["IPMB_CASE"] = str(case["case"])
        program = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # cargo and what it started end together
        )
        try:
            return self._follow(program, count, tell)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            assert program.stdout is not None
            program.stdout.close()
            program.wait()

    def _follow(self, program: subprocess.Popen[str], count: int, tell: Tell) -> Figures:
        figures: Figures = {}
        tail: deque[str] = deque(maxlen=TAIL)
        case = ""
        done = 0
        assert program.stdout is not None
        for line in program.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "progress":
                done = int(rest.split()[0])
                if not tell(done):
                    return {self.unit: done, **figures}
            elif word == "figure":
                name, equals, value = rest.partition(" = ")
                if not equals:
                    name, _, value = rest.rpartition(" ")
                figures[name] = int(value) if value.lstrip("-").isdigit() else value
            else:
                if word == "case":
                    case = case or rest
                tail.append(line.rstrip())
        code = program.wait()
        if code != 0 or case:
            raise Violation({"case": case}, f"{' '.join(self.command)} ended with {code}\n" + "\n".join(tail))
        return {self.unit: done or count, **figures}
