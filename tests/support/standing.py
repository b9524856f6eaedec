"""Members of a bus whose controller stands still: they change their mind so often that the queue to it is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import roles
from tests.support.wait import until

if TYPE_CHECKING:
    import ipmb

#: More than a queue holds by the kernel's default, which is some 280 packets; each time is two.
TIMES = 250

_watches: list[ipmb.Watch] = []


def change_its_mind() -> int:
    """Lets a message wait for a moment, many times: who waits for newcomers says so to the controller, and who does not
    any more says that. How many have expired."""
    end = roles.ends[roles.MAIN]
    for _ in range(TIMES):
        assert end.sender.send("nobody", 0, ttl=0.002) == 0
        until(lambda: end.stats().waiting == 0, "its time is over", every=0.0005)
    return end.stats().expired


def begin_to_watch() -> None:
    """From now on it wants to hear who joins and leaves."""
    _watches.append(roles.ends[roles.MAIN].watch())


def next_event(timeout: float = 60.0) -> tuple[str, tuple[str, ...]]:
    """What the watch tells next: what has happened, and to whom."""
    event = _watches[-1].get(timeout=timeout)
    return event.kind, tuple(sorted(event.label))
