"""Joining a bus from an event loop, and the endpoint that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, overload

import anyio

from ipmb import _core, loading, notices, timeouts
from ipmb.aio.closing import CLOSED, Closing
from ipmb.aio.readiness import Lines, readable
from ipmb.aio.receiver import Receiver
from ipmb.aio.sender import Sender
from ipmb.endpoint import resolved
from ipmb.membership import Membership, logger
from ipmb.users import uids
from ipmb.values import Options

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import TypeForm
    from typing_extensions import TypeVar as _TypeVar

    from ipmb._core import Label
    from ipmb.message_box import MessageBox
    from ipmb.users import Users

    _T_co = _TypeVar("_T_co", covariant=True, default=Any)
else:
    _T_co = TypeVar("_T_co", covariant=True)

_T = TypeVar("_T")


class Endpoint(Membership, tuple[Sender, Receiver[_T_co]], Generic[_T_co]):
    """One place on a bus, as `ipmb.Endpoint` is, whose halves are awaited.

    Made by `join`. It unpacks to `(sender, receiver)` and is an asynchronous context manager that leaves the bus at its
    end. It belongs to one event loop, and is not pickled: an `ipmb.Endpoint` is, or its identifier.

    Example:
        >>> import asyncio, ipmb.aio
        >>> async def main():
        ...     async with await ipmb.aio.join("com.example.aio.endpoint", "earth") as (sender, receiver):
        ...         await sender.send("earth", "hello me")
        ...         print((await receiver.recv(timeout=5)).payload)
        >>> asyncio.run(main())
        hello me
    """

    _native: _core.Endpoint[_T_co]

    def __new__(cls, core: _core.Endpoint[_T_co]) -> Self:
        """Wraps what the native join made; programs call `join`."""
        lines = Lines()
        self = super().__new__(cls, (Sender(core.sender, lines), Receiver(core.receiver, lines)))
        self._native = core
        return self

    @property
    def sender(self) -> Sender:
        """The half that sends."""
        return self[0]

    @property
    def receiver(self) -> Receiver[_T_co]:
        """The half that receives."""
        return self[1]

    def close(self) -> Closing:
        """Leaves the bus. A call that waits in another task raises `Closed`. It may be awaited, and need not be."""
        self._leave()
        return CLOSED

    async def __aenter__(self) -> Self:
        self._native.__enter__()  # refuses when it is closed
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._shown("aio.Endpoint")

    def __reduce__(self) -> NoReturn:
        msg = "an aio.Endpoint belongs to its event loop: pickle an ipmb.Endpoint, or its identifier, and join there"
        raise TypeError(msg)


@overload
async def join(
    identifier: Options, *, timeout: float | None = None, payloads: None = None
) -> Endpoint[Any]: ...
@overload
async def join(
    identifier: Options, *, timeout: float | None = None, payloads: MessageBox[_T]
) -> Endpoint[_T]: ...
@overload
async def join(
    identifier: Options, *, timeout: float | None = None, payloads: TypeForm[_T]
) -> Endpoint[_T]: ...
@overload
async def join(
    identifier: str,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,
    payloads: None = None,
) -> Endpoint[Any]: ...
@overload
async def join(
    identifier: str,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,
    payloads: MessageBox[_T],
) -> Endpoint[_T]: ...
@overload
async def join(
    identifier: str,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,
    payloads: TypeForm[_T],
) -> Endpoint[_T]: ...
async def join(
    identifier: str | Options,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,  # a timeout of its own error, as without an event loop
    payloads: Any = None,
) -> Endpoint[Any]:
    """Joins a bus, and makes it when it is not there yet. Cancelled, it has left nothing behind.

    Args:
        identifier: As for `ipmb.join`, and so are the others.
        label: What describes this endpoint.
        token: The shared secret.
        controller_affinity: Whether this endpoint may play controller.
        users: Users of this machine that share the bus.
        timeout: Seconds to wait, 0 or more; None waits for ever. A join takes a few round trips: with 0 it rarely
            succeeds, so give more.
        payloads: The payload types this receiver takes.

    Returns:
        The `Endpoint`. From now on every later `send` by anyone on the bus sees it.

    Raises:
        JoinTimeout, VersionMismatch, TokenMismatch, PermissionDenied, JoinError: As for `ipmb.join`.
        TypeError, ValueError: An argument is of the wrong type or out of its bounds.

    Example:
        >>> import asyncio, ipmb.aio
        >>> async def main():
        ...     async with await ipmb.aio.join("com.example.aio.join", "earth", timeout=5) as (
        ...         sender,
        ...         receiver,
        ...     ):
        ...         print(await sender.send("mars", "anybody there?"))
        >>> asyncio.run(main())
        0
    """
    options, takes = resolved(identifier, Options("", label, token, controller_affinity, users), payloads)
    seconds = timeouts.seconds(timeout)
    loading.load()
    joining = _core.begin_join(
        options.identifier,
        options.label,
        options.token,
        options.controller_affinity,
        uids(options.users),
        takes,
        None,
    )
    notices.start()
    core: _core.Endpoint[Any] | None = None
    try:
        with anyio.move_on_after(seconds):
            while core is None:
                await readable(joining)
                core = joining.poll()
        if core is None:
            core = joining.poll(last=True)
    finally:
        joining.close()
    assert core is not None
    logger.debug("joined %r as %#x with %r", core.identifier, core.id, core.label)
    return Endpoint(core)
