"""What the kernel says about a process, read from /proc.

The tests judge the bus by what the kernel counts (descriptors, threads, mappings, context switches), not by
what the bus says of itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.wait import BOUND, until


def descriptors(pid: int) -> dict[int, str]:
    """Every open descriptor of ``pid`` and what it leads to, e.g. ``socket:[123]``."""
    found = {}
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue  # closed between listing and reading, as the one of our own listing is
    return found


def is_bus_handle(target: str) -> bool:
    """Whether a descriptor that leads to ``target`` may be of the bus: runners open no such kinds."""
    return target.startswith(("socket:", "/memfd:", "anon_inode:[event"))


def threads(pid: int) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def mappings(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


def status(pid: int, tid: int | None = None) -> dict[str, str]:
    """The fields of ``/proc/PID/status``, or of one thread of it."""
    path = f"/proc/{pid}/status" if tid is None else f"/proc/{pid}/task/{tid}/status"
    lines = Path(path).read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def resident_kib(pid: int) -> int:
    """Anonymous and shared resident memory in KiB; pages of the program's own files do not count."""
    fields = status(pid)
    return int(fields["RssAnon"].split()[0]) + int(fields["RssShmem"].split()[0])


def switches(pid: int) -> int:
    """Context switches of all threads of ``pid`` since they started, voluntary or not."""
    total = 0
    for tid in threads(pid):
        try:
            fields = status(pid, tid)
        except (FileNotFoundError, ProcessLookupError):  # that thread has ended since the list was read
            continue
        total += int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
    return total


def cpu_ticks(pid: int) -> int:
    """User and system time of the whole process in clock ticks."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def state(pid: int, tid: int | None = None) -> str:
    """One letter: R running, S asleep, T stopped, Z dead but not yet collected; X when it is gone."""
    path = f"/proc/{pid}/stat" if tid is None else f"/proc/{pid}/task/{tid}/stat"
    try:
        return Path(path).read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def wait_asleep(pid: int, *, bound: float = BOUND) -> None:
    """Wait until every thread of ``pid`` sleeps and has not run for a while (20 ms, five looks)."""
    seen: list[int] = []

    def quiet() -> bool:
        now = switches(pid)
        asleep = all(state(pid, tid) == "S" for tid in threads(pid))
        if not asleep or (seen and seen[-1] != now):
            seen.clear()
        if asleep:
            seen.append(now)
        return len(seen) >= 5

    until(quiet, f"process {pid} asleep", bound=bound, every=0.005)


def wait_all_asleep(pid: int, *, bound: float = BOUND) -> None:
    """The same for a process that looks up now and then: every thread sleeps, five times in a row."""
    looks = 0

    def asleep() -> bool:
        nonlocal looks
        looks = looks + 1 if all(state(pid, tid) == "S" for tid in threads(pid)) else 0
        return looks >= 5

    until(asleep, f"process {pid} asleep", bound=bound, every=0.005)


def wait_stopped(pid: int, *, bound: float = BOUND) -> None:
    """Wait until every thread of ``pid`` has taken its stop signal."""
    until(
        lambda: all(state(pid, tid) == "T" for tid in threads(pid)),
        f"process {pid} stopped",
        bound=bound,
    )


@dataclass(frozen=True)
class UnixSocket:
    """A line of /proc/net/unix."""

    inode: int
    listening: bool
    name: bytes  #: without the leading NUL of an abstract name; empty when unnamed


def unix_sockets() -> list[UnixSocket]:
    found = []
    for line in Path("/proc/net/unix").read_bytes().splitlines()[1:]:
        fields = line.split(None, 7)
        name = fields[7] if len(fields) > 7 else b""
        found.append(
            UnixSocket(
                int(fields[6]),
                bool(int(fields[3], 16) & 0x10000),
                name.removeprefix(b"@"),
            )
        )
    return found


RENDEZVOUS = re.compile(rb"ipmb/[0-9a-f]{64}")
OWN_NAME = re.compile(rb"ipmb/[0-9a-f]{32}/[0-9a-f]{16}")


def listening_names(pid: int) -> list[bytes]:
    """The abstract names ``pid`` holds a listening socket of."""
    held = set(descriptors(pid).values())
    return [one.name for one in unix_sockets() if one.listening and f"socket:[{one.inode}]" in held]


def rendezvous_name(pid: int) -> bytes:
    """The name on which the bus that ``pid`` is controller of (or may become) is met."""
    names = [name for name in listening_names(pid) if RENDEZVOUS.fullmatch(name)]
    assert len(names) == 1, f"one rendezvous name expected of process {pid}: {listening_names(pid)}"
    return names[0]


def own_name(pid: int) -> bytes:
    """The name on which the one endpoint of ``pid`` takes channels."""
    names = [name for name in listening_names(pid) if OWN_NAME.fullmatch(name)]
    assert len(names) == 1, f"one own name expected of process {pid}: {listening_names(pid)}"
    return names[0]
