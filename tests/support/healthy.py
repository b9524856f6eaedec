"""Roles of a pair that is well while others stand still: round trips in turns with one on another bus."""

from __future__ import annotations

import time

from tests.support import roles, streams


def ping_in_turns(to: list[str], names: list[str], seconds: float, piece: float) -> list[list[float]]:
    """For so long, a piece of time for each of the endpoints of this process in turn, which talks to each of ``to`` in
    turn; the times of all round trips, of each endpoint and turn apart: [first, second, first, second, ...].
    """
    found = []
    over = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < over:
        peer = to[turn % len(to)]
        found += [streams.ping(peer, 0, name=name, seconds=piece) for name in names]
        turn += 1
    return found


def join_both(buses: list[str], label: str) -> None:
    """Join each of the buses, under its number as name."""
    for number, bus in enumerate(buses):
        roles.join(bus, (label,), name=str(number))
