"""The demonstration: earth and moon talk, the process that plays controller is killed, and they go on.

Every endpoint is a process of its own that reports what it does as lines of JSON on its standard output; this process
only starts them, kills one, shows what they report, and counts. It is not on the bus itself, so what is shown is what
happened between the others.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import ipmb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

PERIOD = 0.01
SHOWN = 25  # every so many messages
PATIENCE = 20.0
SORTED = 0.03  # seconds in which reports of different processes are put in order
COLOURS = {"sun": "yellow", "earth": "blue", "moon": "magenta", "mars": "red"}


# The processes. Each is what a user would write, and a report beside each step.


def _report(event: str, **details: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **details}), flush=True)


def _sun(identifier: str) -> None:
    """Joins first and so plays controller; nobody talks to it."""
    with ipmb.join(identifier, "sun", timeout=10) as endpoint:
        _report("joined", controller=endpoint.is_controller)
        for _ in endpoint.receiver:
            pass


def _earth(identifier: str) -> None:
    """Receives until somebody says goodbye (None)."""
    with ipmb.join(identifier, "earth", timeout=10) as endpoint:
        controller = endpoint.is_controller
        _report("joined", controller=controller)
        for message in endpoint.receiver:
            if message.payload is None:
                break
            _report("received", text=message.payload, sender=next(iter(message.sender.label)))
            if endpoint.is_controller and not controller:
                controller = True
                _report("controller")
        _report("left", received=endpoint.stats().received - 1)


def _moon(identifier: str, seconds: float) -> None:
    """Sends as long as it is told to, then says goodbye."""
    with ipmb.join(identifier, "moon", timeout=10) as endpoint:
        controller = endpoint.is_controller
        _report("joined", controller=controller)
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            number += 1
            reached = endpoint.sender.send("earth", f"hello world {number}", timeout=10)
            _report("sent", reached=reached)
            if endpoint.is_controller and not controller:
                controller = True
                _report("controller")
            time.sleep(PERIOD)
        endpoint.sender.send("earth", None, timeout=10)
        _report("left", sent=number)


def _mars(identifier: str) -> None:
    """Joins after the takeover, says one thing and leaves."""
    with ipmb.join(identifier, "mars", timeout=10) as endpoint:
        _report("joined", controller=endpoint.is_controller)
        _report("sent", reached=endpoint.sender.send("earth", "hello from a newcomer", timeout=10))
    _report("left", sent=1)


ROLES: dict[str, Callable[..., None]] = {"sun": _sun, "earth": _earth, "moon": _moon, "mars": _mars}


# The one who watches.

_Entry = tuple[float, int, str, dict[str, Any]]
"""When it was, a number that makes it unique, who, and what."""


@dataclass
class _Show:
    """What the processes have reported so far."""

    console: Console
    identifier: str
    reports: queue.PriorityQueue[_Entry] = field(default_factory=queue.PriorityQueue)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    children: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    texts: dict[str, list[str]] = field(default_factory=lambda: {"moon": [], "mars": []})
    sent: dict[str, int] = field(default_factory=lambda: {"moon": 0, "mars": 0})
    unreached: int = 0
    receipts: list[float] = field(default_factory=list)
    controller: str | None = None
    joined: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    def start(self, role: str, *arguments: str) -> None:
        """Starts a process and waits until it has joined."""
        command = [sys.executable, "-m", "ipmb.demo", role, self.identifier, *arguments]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 # our own module
        self.children[role] = child
        assert child.stdout is not None
        threading.Thread(target=self._read, args=(role, child.stdout), daemon=True).start()
        self.wait(lambda: role in self.joined | self.ended)
        if role not in self.joined:
            msg = f"{role} did not join"
            raise RuntimeError(msg)

    def _read(self, role: str, lines: IO[str]) -> None:
        for line in lines:
            self.enqueue(role, json.loads(line))
        self.enqueue(role, {"event": "ended", "at": time.monotonic()})

    def enqueue(self, role: str, report: dict[str, Any]) -> None:
        self.reports.put((report["at"], next(self.numbers), role, report))

    def say(self, role: str, text: str, at: float | None = None) -> None:
        since = (time.monotonic() if at is None else at) - self.started
        self.console.print(f"[dim]{since:6.2f} s[/]  [{COLOURS[role]}]{role:<6}[/] {text}", highlight=False)

    def wait(self, done: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Takes in reports until `done`, or until nothing comes of it."""
        deadline = time.monotonic() + patience
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, SORTED))
            before = time.monotonic() - SORTED
            # The oldest first, and only what no slower pipe can still overtake.
            while not self.reports.empty() and self.reports.queue[0][0] < before:
                at, _, role, report = self.reports.get()
                self._take(at, role, report)
        return True

    def _take(self, at: float, role: str, report: dict[str, Any]) -> None:
        match report["event"]:
            case "joined":
                self.joined.add(role)
                plays = ", and plays controller" if report["controller"] else ""
                self.say(role, f"joined as process {self.children[role].pid}{plays}", at)
                if report["controller"]:
                    self.controller = role
            case "sent":
                self.sent[role] += 1
                self.unreached += report["reached"] != 1
            case "received":
                self.receipts.append(at)
                self.texts[report["sender"]].append(report["text"])
                if report["sender"] != "moon" or len(self.texts["moon"]) % SHOWN == 1:
                    self.say("earth", f"[dim]{report['sender']} says:[/] {report['text']}", at)
            case "controller":
                self.controller = role
                self.say(role, "[bold]plays controller now[/]", at)
            case "killed":
                self.say(role, f"[bold red]killed[/] with kill -9 {self.children[role].pid}", at)
            case "left":
                self.left.add(role)
                self.say(role, "left", at)
            case "ended":
                self.ended.add(role)

    def kill_controller(self) -> float:
        role = self.controller or "sun"
        victim = self.children[role]
        self.controller = None
        at = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.enqueue(role, {"event": "killed", "at": at})
        return at

    def longest_silence(self, since: float) -> float:
        """The longest time earth heard nothing, from just before `since`."""
        before = [at for at in self.receipts if at < since][-1:]
        times = [*before, *(at for at in self.receipts if at >= since)]
        return max((b - a for a, b in itertools.pairwise(times)), default=float("inf"))

    def verdict(self, killed: float) -> Iterator[tuple[bool, str]]:
        """What was seen, and whether it is as promised."""
        expected = [f"hello world {number}" for number in range(1, self.sent["moon"] + 1)]
        after = sum(at > killed for at in self.receipts)
        silence = self.longest_silence(killed) * 1000
        yield (
            after > 0,
            f"{after} messages arrived after the controller was killed, longest silence {silence:.0f} ms",
        )
        yield self.controller is not None, f"{self.controller or 'nobody'} took the role over"
        yield self.texts["mars"] == ["hello from a newcomer"], "a newcomer could join and talk after that"
        whole = self.texts["moon"] == expected and not self.unreached
        count = len(self.texts["moon"])
        yield whole, f"moon sent {len(expected)}, earth received {count}: each once, in order, none lost"

    def stop(self) -> None:
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def run(seconds: float) -> int:
    """Runs the demonstration. Returns 0 only if the talk went on and nothing was lost."""
    from rich.console import Console  # noqa: PLC0415 # the children need no rich

    console = Console()
    show = _Show(console, f"demo.solar.{os.getpid()}")
    console.rule("[bold]ipmb[/]: earth and moon talk, the controller is killed, the talk goes on")
    try:
        show.start("sun")
        show.start("earth")
        show.start("moon", str(seconds))
        begun = time.monotonic()
        show.wait(lambda: False, seconds / 3)
        killed = show.kill_controller()
        show.wait(lambda: show.controller is not None)
        show.wait(lambda: False, max(0.0, begun + seconds * 2 / 3 - time.monotonic()))
        show.start("mars")
        show.wait(lambda: {"moon", "earth"} <= show.ended, seconds + PATIENCE)
    except RuntimeError as error:
        console.print(f"[bold red]NO [/] {error}", highlight=False)
        return 1
    finally:
        show.stop()
    console.rule()
    good = True
    for holds, text in show.verdict(killed):
        good &= holds
        console.print("[green]yes[/]" if holds else "[bold red]NO [/]", text, highlight=False)
    return 0 if good else 1


if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:3], *(float(argument) for argument in sys.argv[3:]))
