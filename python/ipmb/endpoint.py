"""Joining a bus, and the endpoint that comes of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from ipmb import _core, loading, notices
from ipmb._core import Label, Receiver, Sender
from ipmb.membership import Membership, logger
from ipmb.message_box import accepted
from ipmb.users import uids
from ipmb.values import Options

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    # A bare `Endpoint` in an annotation is an `Endpoint[Any]`; before Python 3.13 only type checkers know of defaults.
    from typing_extensions import TypeForm
    from typing_extensions import TypeVar as _TypeVar

    from ipmb.message_box import MessageBox
    from ipmb.users import Users

    _T_co = _TypeVar("_T_co", covariant=True, default=Any)
else:
    _T_co = TypeVar("_T_co", covariant=True)

_T = TypeVar("_T")


#: How to join again: everything but the label, and the payload types.
Address = tuple[Options, Any]

#: An address may lead nowhere, and unpickling takes no timeout.
REJOIN_SECONDS: Final = 10.0


class Endpoint(Membership, tuple[Sender, Receiver[_T_co]], Generic[_T_co]):
    """One place on a bus: a sender and a receiver, with an id nobody else has.

    Type checkers know from `payloads` what it receives: `join(..., payloads=str | int)` is an `Endpoint[str | int]`.

    Made by `join`. It unpacks to `(sender, receiver)` and is a context manager that leaves the bus at its end. When
    nobody holds the endpoint or one of its halves any more, it leaves as well.

    Pickled it becomes an address, the bus's token included: whoever unpickles it joins the same bus with the same
    label, as an endpoint of its own. A pickled `Receiver` does the same; a pickled `Sender` only sends.

    Example:
        >>> import ipmb
        >>> with ipmb.join("com.example.endpoint", "earth") as (sender, receiver):
        ...     sender.send("earth", "hello me")
        ...     receiver.recv(timeout=5).payload
        1
        'hello me'
    """

    _native: _core.Endpoint[_T_co]

    def __new__(cls, core: _core.Endpoint[_T_co]) -> Self:
        """Wraps what the native join made; programs call `join`."""
        self = super().__new__(cls, (core.sender, core.receiver))
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

    def close(self) -> None:
        """Leaves the bus. A `recv` or `send` that waits in another thread raises `Closed`. Closing twice is fine."""
        self._leave()

    def __enter__(self) -> Self:
        self._native.__enter__()  # refuses when it is closed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._shown("Endpoint")

    def __reduce__(self) -> tuple[Any, ...]:
        """An address under which the other side joins anew: an endpoint of its own, never this one."""
        return self._native.__reduce__()


@overload
def join(
    identifier: Options,
    *,
    timeout: float | None = None,
    payloads: None = None,
) -> Endpoint[Any]: ...
@overload
def join(
    identifier: Options,
    *,
    timeout: float | None = None,
    payloads: MessageBox[_T],
) -> Endpoint[_T]: ...
@overload
def join(
    identifier: Options,
    *,
    timeout: float | None = None,
    payloads: TypeForm[_T],
) -> Endpoint[_T]: ...
@overload
def join(
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
def join(
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
def join(
    identifier: str,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,
    payloads: TypeForm[_T],
) -> Endpoint[_T]: ...
def join(
    identifier: str | Options,
    label: Label | str | Iterable[str] = (),
    *,
    token: str | bytes = "",
    controller_affinity: bool = True,
    users: Users = (),
    timeout: float | None = None,
    payloads: Any = None,
) -> Endpoint[Any]:
    """Joins a bus, and makes it when it is not there yet.

    Args:
        identifier: The name of the bus, 1 to 255 bytes in UTF-8 without NUL; or `Options`, beside which only
            `timeout` and `payloads` are given.
        label: What describes this endpoint: a `Label`, a string, or an iterable of strings.
        token: The shared secret, at most 1024 bytes. Empty: a bus without one, where all processes of the same user
            trust each other.
        controller_affinity: Whether this endpoint may play controller. With False it waits for a bus.
        users: Users of this machine that share the bus, by name or id; one's own and root always do. Name the same
            ones in all endpoints of the bus: they trust each other as processes of one user do.
        timeout: Seconds to wait, 0 or more; None waits for ever. A join takes a few round trips: with 0 it rarely
            succeeds, so give more.
        payloads: The payload types this receiver takes: one, a union such as `str | Position`, or a `MessageBox`. What
            it does not take is skipped and counted. None takes every built-in type and every class that is registered
            in this process.

    Returns:
        The `Endpoint`. From now on every later `send` by anyone on the bus sees it.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of its bounds.
        JoinTimeout: Nobody admitted us in time.
        VersionMismatch: The bus speaks another protocol version.
        TokenMismatch: The token is not the bus's, or it has other `users`.
        PermissionDenied: The bus belongs to another user, who is not one of `users`, or whose `users` we are not.
        JoinError: The bus is full, or the system refused something.

    Example:
        >>> import ipmb
        >>> with ipmb.join("com.example.join", ipmb.label("earth")) as (sender, receiver):
        ...     sender.send("mars", "anybody there?")
        0
    """
    options, takes = resolved(identifier, Options("", label, token, controller_affinity, users), payloads)
    return _joined(options, timeout, takes, payloads)


def _joined(
    options: Options,
    timeout: float | None,
    takes: list[bytes] | None,
    payloads: Any,
    *,
    receiving: bool = True,
) -> Endpoint[Any]:
    users = uids(options.users)
    loading.load()
    try:
        core = _core.join(
            options.identifier,
            options.label,
            options.token,
            options.controller_affinity,
            users,
            timeout,
            takes,
            (dataclasses.replace(options, label=(), users=tuple(users)), payloads),
            receiving,
        )
    finally:
        # Not before: the first join lengthens the table of descriptors, for which threads would have to wait.
        notices.start()
    logger.debug("joined %r as %#x with %r", core.identifier, core.id, core.label)
    return Endpoint(core)


def resolved(identifier: str | Options, beside: Options, payloads: Any) -> tuple[Options, list[bytes] | None]:
    """The arguments of `join`, here and in `ipmb.aio`: what to join, and the UUIDs of the types that are taken.

    `beside` has what was given beside the identifier, and none of its own.

    Raises:
        TypeError: One is given twice, or is no type of a payload.
    """
    if not isinstance(identifier, Options):
        options = dataclasses.replace(beside, identifier=identifier)
    elif beside == Options(""):
        options = identifier
    else:
        msg = "label, token, controller_affinity and users belong into the Options that were given"
        raise TypeError(msg)
    return options, None if payloads is None else accepted(payloads)


def rejoined(address: Address, label: Label, *, receiving: bool = True) -> Endpoint[Any]:
    """What a pickled `Endpoint` becomes: another endpoint, with the same label, on the same bus.

    Raises:
        JoinTimeout: Nobody admitted us within 10 seconds.
        JoinError: As for `join`.
    """
    options, payloads = address
    options = dataclasses.replace(options, label=label)
    takes = None if payloads is None else accepted(payloads)
    return _joined(options, REJOIN_SECONDS, takes, payloads, receiving=receiving)


def rejoined_sender(address: Address, label: Label) -> Sender:
    """What a pickled `Sender` becomes. Its endpoint takes no messages: nobody would read them."""
    return rejoined(address, label, receiving=False).sender


def rejoined_receiver(address: Address, label: Label) -> Receiver[Any]:
    """What a pickled `Receiver` becomes."""
    return rejoined(address, label).receiver
