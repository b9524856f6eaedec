"""What a child can be asked to do with the bus, one function for each thing.

A child may hold several endpoints, each under a name of its own; most hold one. Values that cross the pipe
are plain literals, so a received message becomes a tuple of its parts, and big payloads their length and
checksum.
"""

from __future__ import annotations

import os
import random
import zlib
from typing import TYPE_CHECKING, Any, Literal

import ipmb
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterable

Overflow = Literal["block", "error", "drop"]

#: The endpoints of this process, by the name the test gave them.
ends: dict[str, ipmb.Endpoint] = {}

MAIN = "main"


def pattern(seed: int, size: int) -> bytes:
    """Bytes that only this seed gives: both sides can make them, so content need not cross the pipe."""
    return random.Random(seed).randbytes(size)


def join(
    bus: str,
    label: Iterable[str] = (),
    *,
    name: str = MAIN,
    token: str = "",
    affinity: bool = True,
    users: Iterable[int | str] = (),
    timeout: float | None = 10.0,
) -> tuple[Any, bool]:
    """Join and return (id, whether it is controller)."""
    end = ipmb.join(
        bus, tuple(label), token=token, controller_affinity=affinity, users=users, timeout=timeout
    )
    ends[name] = end
    return end.id, end.is_controller


def leave(name: str = MAIN) -> None:
    ends.pop(name).close()


def close_half(which: str, name: str = MAIN) -> None:
    getattr(ends[name], which).close()


def is_controller(name: str = MAIN) -> bool:
    return ends[name].is_controller


def peers(name: str = MAIN) -> list[tuple[Any, tuple[str, ...], int]]:
    """Everyone else on the bus as (id, sorted label, pid)."""
    return [(peer.id, tuple(sorted(peer.label)), peer.pid) for peer in ends[name].peers()]


def stats(name: str = MAIN) -> dict[str, Any]:
    found = ends[name].stats()
    fields = "sent received skipped dropped expired redelivered waiting bytes_sent bytes_received"
    values = {field: getattr(found, field) for field in fields.split()}
    values |= {field: getattr(found, field) for field in ("duplicates", "refused", "shortages", "takeovers")}
    for field in ("dropped_by_reason", "refused_by_reason", "shortages_by_kind"):
        values[field] = dict(getattr(found, field))
    return values


def selector(to: str, mode: str, ttl: float | None) -> ipmb.Selector:
    make = ipmb.Selector.unicast if mode == "unicast" else ipmb.Selector.multicast
    return make(ipmb.LabelOp.parse(to), ttl=ttl)


def send(
    to: str,
    payload: Any,
    *,
    name: str = MAIN,
    mode: str = "unicast",
    ttl: float | None = 0,
    timeout: float | None = 5.0,
    overflow: Overflow = "block",
) -> int:
    message = ipmb.Message(selector(to, mode, ttl), payload)
    return ends[name].sender.send(message, timeout=timeout, overflow=overflow)


def send_pattern(to: str, seed: int, size: int, *, name: str = MAIN, **options: Any) -> int:
    return send(to, pattern(seed, size), name=name, **options)


def send_numbers(
    to: str,
    first: int,
    count: int,
    *,
    name: str = MAIN,
    size: int = 8,
    mode: str = "unicast",
    ttl: float | None = 0,
    timeout: float | None = 5.0,
    overflow: Overflow = "block",
) -> list[int]:
    """Send ``count`` messages that carry their number, of ``size`` bytes each; what each send returned."""
    where = selector(to, mode, ttl)
    sender = ends[name].sender
    return [
        sender.send(
            ipmb.Message(where, number.to_bytes(8, "little").ljust(size, b".")),
            timeout=timeout,
            overflow=overflow,
        )
        for number in range(first, first + count)
    ]


def send_until_error(
    to: str, size: int, *, name: str = MAIN, limit: int = 1_000_000, **options: Any
) -> tuple[int, str]:
    """Send numbers until one fails or finds nobody; (how many went, the name of the exception)."""
    for number in range(limit):
        try:
            reached = send_numbers(to, number, 1, name=name, size=size, **options)
        except ipmb.SendError as error:
            return number, type(error).__name__
        if reached == [0]:
            return number, ""
    return limit, ""


def plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def describe(message: ipmb.Message) -> tuple[Any, Any, tuple[str, ...], int, bool]:
    """(payload, sender's id, sender's sorted label, sender's pid, whether redelivered)."""
    sender = message.sender
    return (
        plain(message.payload),
        sender.id,
        tuple(sorted(sender.label)),
        sender.pid,
        message.redelivered,
    )


def recv(timeout: float | None = 5.0, *, name: str = MAIN) -> Any:
    return describe(ends[name].receiver.recv(timeout))


def recv_sum(timeout: float | None = 5.0, *, name: str = MAIN) -> tuple[int, int]:
    """Receive a big payload: (length, crc32)."""
    payload = plain(ends[name].receiver.recv(timeout).payload)
    return len(payload), zlib.crc32(payload)


def recv_numbers(count: int, timeout: float = 5.0, *, name: str = MAIN) -> list[tuple[int, bool]]:
    """Up to ``count`` numbered messages, each within ``timeout``: (number, redelivered)."""
    found = []
    receiver = ends[name].receiver
    for _ in range(count):
        try:
            message = receiver.recv(timeout)
        except ipmb.RecvTimeout:
            break
        found.append((int.from_bytes(message.payload[:8], "little"), message.redelivered))
    return found


def recv_all(quiet: float = 0.3, *, name: str = MAIN) -> list[Any]:
    """Receive whatever comes until nothing has come for ``quiet`` seconds; the payloads."""
    found = []
    while True:
        try:
            found.append(plain(ends[name].receiver.recv(quiet).payload))
        except ipmb.RecvTimeout:
            return found


def exit_now(code: int = 0) -> None:
    """End without any clean-up of Python's."""
    os._exit(code)


def request(to: str, payload: bytes, timeout: float, *, name: str = MAIN) -> Any:
    sender: Any = ends[name].sender
    return describe(sender.request(to, payload, timeout=timeout))


def wait_until_listed(identity: Any, *, name: str = MAIN, bound: float = 10.0) -> None:
    """Wait until an endpoint is among the peers this one sees."""
    until(lambda: identity in [peer.id for peer in ends[name].peers()], f"{identity} listed", bound=bound)


def version() -> tuple[int, str]:
    """The versions; also the way to have the bus imported and nothing joined."""
    found = ipmb.version()
    return found.protocol, found.package


def recv_is_pattern(seed: int, size: int, *, name: str = MAIN, timeout: float = 5.0) -> bool:
    return bool(plain(ends[name].receiver.recv(timeout).payload) == pattern(seed, size))
