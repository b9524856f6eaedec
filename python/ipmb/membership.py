"""What an endpoint knows of itself and of its bus, for both faces: this never waits, so it needs no `await`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ipmb.presence import Watch

if TYPE_CHECKING:
    from ipmb import _core
    from ipmb._core import EndpointInfo, Label
    from ipmb.values import Stats

logger: Final = logging.getLogger("ipmb")


class Membership:
    """The part of `ipmb.Endpoint` and `ipmb.aio.Endpoint` that is the same."""

    _native: _core.Endpoint[Any]

    @property
    def id(self) -> int:
        """The id of this endpoint, which nobody else has as long as the bus lives."""
        return self._native.id

    @property
    def label(self) -> Label:
        """The label it joined with."""
        return self._native.label

    @property
    def identifier(self) -> str:
        """The name of the bus."""
        return self._native.identifier

    @property
    def is_controller(self) -> bool:
        """Whether this endpoint plays controller now."""
        return self._native.is_controller

    @property
    def closed(self) -> bool:
        """Whether this endpoint has left the bus: it was closed, or both of its halves were."""
        return self._native.closed

    def peers(self) -> list[EndpointInfo]:
        """Everybody on the bus but this endpoint.

        Raises:
            Closed: The endpoint has left the bus.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.peers", "earth") as earth, ipmb.join("com.example.peers", "moon"):
            ...     [peer.label for peer in earth.peers()]
            [label('moon')]
        """
        return self._native.peers()

    def watch(self) -> Watch:
        """Who joins and who leaves from now on, for `for` and for `async for`; see `Watch`.

        Raises:
            Closed: The endpoint has left the bus.
            OSError: This process has too many open files.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.watch", "earth") as earth, earth.watch() as watch:
            ...     with ipmb.join("com.example.watch", "moon"):
            ...         watch.get(timeout=5).kind
            ...     watch.get(timeout=5).reason
            'joined'
            'closed'
        """
        return Watch(self._native.watch())

    def stats(self) -> Stats:
        """What this endpoint has counted since it joined.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.stats") as endpoint:
            ...     endpoint.sender.send("nobody", b"lost")
            ...     endpoint.stats().dropped_by_reason["no_route"]
            0
            1
        """
        return self._native.stats()

    def _leave(self) -> None:
        already = self.closed
        self._native.close()
        if not already and self.closed:
            logger.debug("left %r, where it was %#x with %r", self.identifier, self.id, self.label)

    def _shown(self, name: str) -> str:
        closed = ", closed" if self.closed else ""
        return f"<{name} {self.id:#x} {self.label!r} on {self.identifier!r}{closed}>"
