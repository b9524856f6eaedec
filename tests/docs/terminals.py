"""Terminals as a page has them: commands are run in them as a reader would, and what is seen is compared.

A `console` block is what happens in one terminal; blocks of the same title go on in the same one. Its lines are

    $ python worker.py      a command. What was started here before has to be at its end by then.
    ^C                      Ctrl-C
    anything else           what is seen: of the command above, or of the one that still runs

What is seen is compared with the page whole lines at a time, and waited for, with a bound. `...` in a line stands for
any characters, a line of nothing else for any lines. The numbers 4200 to 4299 stand for the ids of processes: whatever
is seen at the place of the first one is meant by all that follow, in commands too, so that a page can say `kill -9
4201`. A program that still runs has shown what the page says so far; one that has ended, exactly what the page says.

Everything has to have ended at the end of the page: programs, and whatever they started.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.page import PageError
from tests.support import compiled

if TYPE_CHECKING:
    from tests.docs.page import Page

#: Seconds in which something has to be seen, or to end. A reader would have given up long before.
PATIENCE = 30.0

SPECIAL = re.compile(r"(\.\.\.|\b42\d\d\b)")
MAKEFILE = Path(__file__).parents[2] / "Makefile"
#: What a shell says of a program that a signal ended.
ENDED_BY = {-signal.SIGKILL: "Killed\n", -signal.SIGTERM: "Terminated\n"}


class Program:
    """A command that runs in the directory, and what it has shown so far."""

    def __init__(self, command: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=directory,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(directory),
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",  # as at a terminal: what is printed is seen
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "PKG_CONFIG_PATH": str(compiled.PREFIX / "lib" / "pkgconfig"),
                "LD_LIBRARY_PATH": str(compiled.PREFIX / "lib"),
                "NODE_PATH": str(MAKEFILE.parent / ".build" / "node_modules"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._seen = ""
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._seen += line
                    self._changed.notify_all()
        status = self._process.wait()
        with self._changed:
            self._seen += ENDED_BY.get(status, "")
            self._ended = True
            self._changed.notify_all()

    @property
    def seen(self) -> str:
        with self._changed:
            return self._seen

    def await_match(self, wanted: re.Pattern[str], *, end: bool, patience: float) -> re.Match[str] | None:
        """Waits until all that was seen is what is wanted, and with `end` until the program is over, too."""
        deadline = time.monotonic() + patience
        with self._changed:
            while True:
                match = wanted.fullmatch(self._seen)
                if (match and not end) or self._ended:
                    return match
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None

    @property
    def ended(self) -> bool:
        with self._changed:
            return self._ended

    def interrupt(self) -> None:
        """Ctrl-C: to everything that was started here."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """The end, whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join()


class Terminals:
    """All terminals of one run of a page."""

    def __init__(self, directory: Path, patience: float = PATIENCE) -> None:
        self._directory = directory
        self._patience = patience
        self._running: dict[str, Program] = {}
        self._expected: dict[str, str] = {}
        self._pids: dict[str, str] = {}
        self.commands: list[str] = []

    def play(self, where: str, terminal: str, text: str) -> None:
        """One block: runs its commands and compares what is seen."""
        for part in re.split(r"^(?=\$ |\^C$)", text, flags=re.MULTILINE):
            head, _, output = part.partition("\n")
            if head == "^C":
                if terminal not in self._running:
                    msg = f"{where}: ^C where nothing runs"
                    raise PageError(msg)
                self._running[terminal].interrupt()
            elif head.startswith("$ "):
                self._end(where, terminal)
                self._start(where, terminal, head.removeprefix("$ "))
            else:
                output = part
            if output:
                if terminal not in self._running:
                    msg = f"{where}: nothing runs that could show {output!r}"
                    raise PageError(msg)
                self._expected[terminal] += output
                self._compare(where, terminal, end=False)

    def _start(self, where: str, terminal: str, command: str) -> None:
        self.commands.append(command)
        if command.startswith("make "):  # what CI runs itself
            target = command.split()[1]
            if not re.search(rf"^{re.escape(target)}:", MAKEFILE.read_text(), re.MULTILINE):
                msg = f"{where}: the Makefile has no {target}"
                raise PageError(msg)
            return
        command = SPECIAL.sub(lambda found: self._pids.get(found[0], found[0]), command)
        self._running[terminal] = Program(command, self._directory)
        self._expected[terminal] = ""

    def _compare(self, where: str, terminal: str, *, end: bool) -> None:
        program, expected = self._running[terminal], self._expected[terminal]
        match = program.await_match(self._pattern(expected), end=end, patience=self._patience)
        if match:
            self._pids |= {f"42{name[-2:]}": pid for name, pid in match.groupdict().items() if pid}
        seen = program.seen
        if match is None or ("Traceback" in seen and "Traceback" not in expected):
            state = "over" if program.ended else "still running"
            msg = f"{where}: in {terminal!r} the page shows\n{expected}\nand there is ({state})\n{seen}"
            raise PageError(msg)

    def _end(self, where: str, terminal: str) -> None:
        if terminal in self._running:
            self._compare(where, terminal, end=True)
            program = self._running.pop(terminal)
            over = program.ended
            program.kill()
            if not over:
                msg = f"{where}: what was started in {terminal!r} still runs: let it end, or end it with ^C"
                raise PageError(msg)

    def _pattern(self, expected: str) -> re.Pattern[str]:
        """What is expected, as an expression in which what was bound already is written out."""
        named: set[str] = set()
        text = ""
        for line in expected.splitlines():
            if line.strip() == "...":
                text += r"(?:.*\n)*?"
                continue
            for part in SPECIAL.split(line):
                if part == "...":
                    text += r".*?"
                elif not SPECIAL.fullmatch(part):
                    text += re.escape(part)
                elif part in self._pids:
                    text += re.escape(self._pids[part])
                elif part in named:
                    text += f"(?P=pid{part[2:]})"
                else:
                    named.add(part)
                    text += rf"(?P<pid{part[2:]}>\d+)"
            text += r"\n"
        return re.compile(text)

    def finish(self, where: str) -> None:
        """The end of the page: everything has ended, and shown no more than it should."""
        for terminal in list(self._running):
            self._end(where, terminal)

    def kill(self) -> None:
        """Whatever happened: nothing is left."""
        for program in self._running.values():
            program.kill()


def run(page: Page, directory: Path, patience: float = PATIENCE) -> None:
    """Follows a page from its first to its last line: types its files, runs its commands."""
    terminals = Terminals(directory, patience)
    files: dict[str, str] = {}
    try:
        for block in page.blocks:
            where = f"{page.name}:{block.line}"
            if block.is_file:
                (directory / block.title).write_text(block.text)
                files[block.title] = block.text
            elif block.language == "console":
                terminals.play(where, block.title or "terminal", block.text)
        terminals.finish(f"{page.name}:{page.lines}")
    finally:
        terminals.kill()
    for name in files:
        module = name.removesuffix(".py")
        imported = any(
            re.search(rf"^(?:import|from) {module}\b", text, re.MULTILINE) for text in files.values()
        )
        if not imported and not any(
            re.search(rf"(?<![\w.]){name}\b", command) for command in terminals.commands
        ):
            msg = f"{page.name}: nothing runs {name}"
            raise PageError(msg)
