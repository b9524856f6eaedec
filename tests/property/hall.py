"""Two processes that show each other values, and what "equal" means for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.property import mirror

if TYPE_CHECKING:
    import ipmb
    from tests.conftest import Spawn
    from tests.support.member import Member


class Hall(NamedTuple):
    """This process's endpoint, and another process that sends everything back."""

    end: ipmb.Endpoint
    mirror: Member
    spawn: Spawn

    def reflected(self, value: Any) -> tuple[Any, Any]:
        """What the other process saw, and what came back."""
        assert self.end.sender.send("mirror", value, timeout=10.0) == 1
        seen, back = self.end.receiver.recv(20.0).payload
        return seen, back


def same(sent: Any, got: Any) -> bool:
    """Equal, with the same types all the way down."""
    match sent:
        case np.ndarray():
            return (
                type(got) is np.ndarray
                and (got.dtype, got.shape) == (sent.dtype, sent.shape)
                and (mirror.order(got), mirror.raw(got)) == (mirror.order(sent), mirror.raw(sent))
                and not got.flags.writeable
                and got.__array_interface__["data"][0] % 64 == 0
            )
        case np.generic():
            return (
                type(got) is type(sent)
                and got.dtype == sent.dtype
                and np.asarray(got).tobytes() == np.asarray(sent).tobytes()
            )
        case list():
            return type(got) is list and len(got) == len(sent) and all(map(same, sent, got))
        case dict():
            return (
                type(got) is dict
                and list(got) == list(sent)
                and all(same(sent[key], got[key]) for key in sent)
            )
        case mirror.Frame():
            return type(got) is mirror.Frame and all(
                same(value, getattr(got, name)) for name, value in vars(sent).items()
            )
        case _:
            return type(got) is type(sent) and bool(got == sent)


def expected(value: Any) -> Any:
    """What the other process has to see: what is here, but guarded."""

    def guarded(found: Any) -> Any:
        if isinstance(found, list) and found[:1] == ["ndarray"]:
            return ["ndarray", True, *found[2:]]
        return [guarded(one) for one in found] if isinstance(found, list) else found

    return guarded(mirror.facts(value))


def check(hall: Hall, value: Any) -> None:
    """It arrives equal, there and back."""
    seen, back = hall.reflected(value)
    assert same(value, back), (value, back)
    assert seen == expected(value)
