"""Roles of floods: who presses, who takes, and how late what is wanted comes."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import ipmb
from tests.support import runner

_ends: dict[str, ipmb.Endpoint] = {}


def join(bus: str, label: str) -> None:
    _ends["end"] = ipmb.join(bus, label, timeout=10.0)


def join_for_text(bus: str) -> None:
    _ends["end"] = ipmb.join(bus, "sink", timeout=10.0, payloads=str)


def nothing() -> None:
    """The call that ends those that go on until the next one."""


def press(to: str, payload: bytes) -> int:
    """Send as much as goes, until the next call comes; how many went."""
    sender, count = _ends["end"].sender, 0
    batch = [payload] * 1000
    while not runner.called_again():
        try:
            count += sender.send_many(to, batch, timeout=0.1)
        except ipmb.SendTimeout as error:
            count += error.delivered
    return count


def _watch_pauses(pauses: list[float], end: threading.Event) -> None:
    last = time.monotonic()
    while not end.wait(0.005):
        now = time.monotonic()
        pauses.append(now - last)
        last = now


def take_until_called() -> dict[str, Any]:
    """Receive the times that others send as text, in calls of 0.1 s; how late they came, and who was held up."""
    receiver = _ends["end"].receiver
    late: list[float] = []
    calls: list[float] = []
    pauses: list[float] = []
    end = threading.Event()
    watching = threading.Thread(target=_watch_pauses, args=(pauses, end))
    watching.start()
    while not runner.called_again():
        begin = time.monotonic()
        with contextlib.suppress(ipmb.RecvTimeout):
            late.append(time.monotonic() - float(receiver.recv(0.1).payload))
        calls.append(time.monotonic() - begin)
    end.set()
    watching.join()
    return {"late": late, "longest call": max(calls), "longest pause": max(pauses)}


def take_all(limit: int, seconds: float) -> tuple[int, float]:
    """Receive up to ``limit`` in one call, again for so long; how many, and for how long another thread stood still."""
    receiver, count = _ends["end"].receiver, 0
    pauses: list[float] = []
    end = threading.Event()
    watching = threading.Thread(target=_watch_pauses, args=(pauses, end))
    watching.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        count += len(receiver.recv_many(limit, 10.0))
    end.set()
    watching.join()
    return count, max(pauses)


def work_until_called(limit: int, seconds: float) -> list[float]:
    """Receive up to ``limit`` at once and spend ``seconds`` on each; how late the times among them came."""
    receiver = _ends["end"].receiver
    late: list[float] = []
    while not runner.called_again():
        for message in receiver.recv_many(limit, 10.0):
            if isinstance(message.payload, float) and message.payload:
                late.append(time.monotonic() - message.payload)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
    return late
