"""A child that has joined a bus, with the roles as methods.

Tests read as what happens between endpoints: ``moon.send("earth", b"hello")``, ``earth.recv()``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import roles
from tests.support.wait import BOUND, until

if TYPE_CHECKING:
    from tests.support.child import Child, Pending


class Got(NamedTuple):
    """A received message, taken apart."""

    payload: Any
    id: Any
    label: tuple[str, ...]
    pid: int
    redelivered: bool


@dataclasses.dataclass
class Member:
    """An endpoint in a process of its own."""

    child: Child
    label: tuple[str, ...]
    id: Any
    was_controller: bool

    @classmethod
    def join(cls, child: Child, bus: str, *label: str, **options: Any) -> Member:
        wait = options.get("timeout") or 0.0
        identity, controller = child.call(roles.join, bus, label, bound=wait + BOUND, **options)
        return cls(child, label, identity, controller)

    @property
    def pid(self) -> int:
        return self.child.pid

    def send(self, to: str, payload: Any, **options: Any) -> int:
        wait = options.get("timeout") or 5.0
        return self.child.call(roles.send, to, payload, bound=wait + BOUND, **options)

    def send_numbers(self, to: str, first: int, count: int, bound: float = 30.0, **options: Any) -> list[int]:
        return self.child.call(roles.send_numbers, to, first, count, bound=bound, **options)

    def begin_send(self, to: str, payload: Any, **options: Any) -> Pending[int]:
        return self.child.begin(roles.send, to, payload, **options)

    def recv(self, timeout: float | None = 5.0) -> Got:
        return Got(*self.child.call(roles.recv, timeout, bound=(timeout or 0) + BOUND))

    def begin_recv(self, timeout: float | None = 30.0) -> Pending[Any]:
        return self.child.begin(roles.recv, timeout)

    def recv_numbers(self, count: int, timeout: float = 5.0, bound: float = 30.0) -> list[int]:
        """The numbers of the next ``count`` numbered messages, fewer if none comes for ``timeout``."""
        return [number for number, _ in self.child.call(roles.recv_numbers, count, timeout, bound=bound)]

    def recv_marked(self, count: int, timeout: float = 5.0, bound: float = 30.0) -> list[tuple[int, bool]]:
        """The same with whether each was redelivered."""
        return self.child.call(roles.recv_numbers, count, timeout, bound=bound)

    def recv_all(self, quiet: float = 0.3) -> list[Any]:
        return self.child.call(roles.recv_all, quiet, bound=30.0)

    def nothing_comes(self, wait: float = 0.1) -> None:
        self.child.post(roles.recv, wait).fails("RecvTimeout")

    def peers(self) -> list[tuple[Any, tuple[str, ...], int]]:
        return self.child.call(roles.peers)

    def peer_ids(self) -> set[Any]:
        return {peer[0] for peer in self.peers()}

    def stats(self) -> dict[str, Any]:
        return self.child.call(roles.stats)

    def is_controller(self) -> bool:
        return self.child.call(roles.is_controller)

    def leave(self) -> None:
        self.child.call(roles.leave)

    def stop(self) -> None:
        self.child.stop()

    def resume(self) -> None:
        self.child.resume()

    def kill(self) -> None:
        self.child.kill()


def controller_among(members: list[Member]) -> Member:
    """The living member that plays controller; waits for a takeover that is under way."""

    def found() -> list[Member]:
        return [one for one in members if one.child.alive and one.is_controller()]

    return until(found, "a controller")[0]
