"""Trials that are Rust programs: test binaries of the crates, driven by what they print.

Such a program gets ``IPMB_PROGRESS=1``, ``IPMB_COUNT``, ``IPMB_SEED`` and, to replay, ``IPMB_CASE``. It prints on its
standard output, among whatever else it has to say:

    progress <done> <total>
    figure <name> = <value>         the name may have spaces
    case <text>                     something was violated; as IPMB_CASE, the text makes it run again

and ends with 0 when nothing was violated. One that tells of no progress has done nothing, whatever it ends with; only
where it replays a case there is none to tell of.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from tests.faults.torture.record import ROOT
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Lines of a failed program that are worth reading.
TAIL = 60

#: Seconds without a line, after which it is looked whether to go on.
TICK = 0.5


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
        means: str,
        command: Sequence[str],
        env: dict[str, str] | None = None,
        whole: bool = False,
    ) -> None:
        self.name = name
        self.whole = whole
        self.title = title
        self.unit = unit
        self.ci = ci
        self.demand = demand
        self.means = means
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
            start_new_session=True,  # cargo and what it started end together
        )
        self.doing = "getting ready"
        try:
            return self._follow(program, tell, replays="IPMB_CASE" in env)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            assert program.stdout is not None
            program.stdout.close()
            program.wait()

    def _follow(self, program: subprocess.Popen[bytes], tell: Tell, *, replays: bool) -> Figures:
        figures: Figures = {}
        tail: deque[str] = deque(maxlen=TAIL)
        case = ""
        done = 0
        assert program.stdout is not None
        for line in lines(program.stdout.fileno()):
            word, _, rest = line.strip().partition(" ")
            if not word or word == "progress":
                if word:
                    done = int(rest.split()[0])
                    self.doing = ""
                if not tell(done):
                    if case:
                        raise self._violation(case, "was ended", tail)
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
            raise self._violation(case, f"ended with {code}", tail)
        if not done and not replays:
            raise Violation({}, f"{' '.join(self.command)} did nothing\n" + "\n".join(tail))
        return {self.unit: done, **figures}

    def _violation(self, case: str, how: str, tail: Iterable[str]) -> Violation:
        return Violation({"case": case}, "\n".join([f"{' '.join(self.command)} {how}", *tail]))


def lines(source: int) -> Iterator[str]:
    """What comes out of a pipe; an empty line whenever there has been nothing for a moment."""
    rest = b""
    while True:
        if not select.select([source], [], [], TICK)[0]:
            yield ""
            continue
        chunk = os.read(source, 1 << 16)
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in (whole if chunk else [*whole, rest]))
        if not chunk:
            return
