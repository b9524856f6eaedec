"""How a process gets the descriptors of a queue: from the process that starts it, or from one that it finds by address.

While a process is started (`multiprocessing.Process` under spawn or forkserver) the descriptors go with it, as those of
multiprocessing's own queues do: nobody has to be asked, and whoever started it may be gone before it runs.

Everywhere else (a pipe, a bus, a task for a pool) a queue travels as an address: a bus of its own, and the token
without which nobody gets onto that. Whoever has pickled or unpickled one is there as a *holder*, with a thread that
hands the descriptors out, and leaves when it has closed its queue. So an address is good as long as one of them holds
the queue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from ipmb import errors
from ipmb.endpoint import join

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipmb.endpoint import Endpoint

logger: logging.Logger = logging.getLogger("ipmb")

#: Seconds to look for a holder that answers.
SEEK_SECONDS = 10.0
#: Seconds to look while there is no holder at all: one may be about to become it.
NOBODY_SECONDS = 1.0
#: Seconds that one holder gets to answer. It may be stopped, or die.
ANSWER_SECONDS = 1.0
#: Seconds from one look to the next while there is no holder.
_LOOK_SECONDS = 0.02

_HOLDER = "holder"
_SEEKER = "seeker"


class Address(NamedTuple):
    """What a queue is pickled as.

    Attributes:
        name: What no other queue has.
        token: The secret of its bus.
        bound: How many items it takes; 0 is without bound.
    """

    name: str
    token: str
    bound: int

    @classmethod
    def new(cls, bound: int) -> Address:
        """One that nobody has and nobody can guess."""
        return cls(os.urandom(8).hex(), os.urandom(16).hex(), bound)

    @property
    def bus(self) -> str:
        """The identifier of its bus."""
        return f"ipmb.queue.{self.name}"

    def __repr__(self) -> str:
        # The token is a secret: it stays out of tracebacks.
        return f"Address({self.name!r})"


def for_child(descriptors: Sequence[int]) -> tuple[Any, ...] | None:
    """The descriptors as they go with a process that is being started right now; None when none is."""
    # Without that module nobody is starting one.
    context = sys.modules.get("multiprocessing.context")
    if context is None or context.get_spawning_popen() is None:
        return None
    from multiprocessing.reduction import DupFd  # noqa: PLC0415 # loaded only where used

    return tuple(DupFd(number) for number in descriptors)


class Holder:
    """This process as one that hands out the descriptors of a queue, until nobody has this object any more."""

    def __init__(self, address: Address, find: Callable[[str], Sequence[int] | None]) -> None:
        """Gets onto the queue's bus; `find` gives the descriptors of a queue by name, if it is open here."""
        endpoint = join(address.bus, _HOLDER, token=address.token, timeout=SEEK_SECONDS, payloads=bytes)
        # The thread knows the endpoint and not this object, which would never go away otherwise.
        threading.Thread(
            target=_hand_out, args=(endpoint, address.name, find), name=f"queue {address.name}", daemon=True
        ).start()
        self._end = weakref.finalize(self, _leave, endpoint, os.getpid())
        self._end.atexit = False  # at exit every endpoint is closed anyway


def _hand_out(endpoint: Endpoint[bytes], name: str, find: Callable[[str], Sequence[int] | None]) -> None:
    while True:
        try:
            for message in endpoint.receiver:
                with message:
                    descriptors = find(name)
                    if descriptors is not None:
                        message.reply(b"", objects=descriptors, timeout=ANSWER_SECONDS)
        except (errors.TooManyOpenFiles, OSError) as error:
            # Who asked will ask again, or somebody else.
            logger.warning("the descriptors of queue %s could not be handed out: %s", name, error)
            time.sleep(_LOOK_SECONDS)
        except (errors.Closed, errors.Forked):
            return
        except (errors.IpmbError, ValueError) as error:
            logger.debug("queue %s: %s", name, error)
        else:
            return  # it was closed


def _leave(endpoint: Endpoint[bytes], pid: int) -> None:
    # In a forked child there is nothing to leave.
    if os.getpid() == pid:
        with contextlib.suppress(errors.IpmbError):
            endpoint.close()


def seek(address: Address) -> list[int]:
    """Descriptors of a queue, from any process that holds it; they are the caller's.

    Raises:
        PeerLost: Nobody holds it any more, or nobody who does has answered.
        JoinError: This process did not get onto its bus.
    """
    begun = seen = time.monotonic()
    with join(address.bus, _SEEKER, token=address.token, timeout=SEEK_SECONDS) as (sender, receiver):
        while (now := time.monotonic()) < begun + SEEK_SECONDS:
            if not sender.send(_HOLDER, b"", timeout=ANSWER_SECONDS):
                if now > seen + NOBODY_SECONDS:
                    msg = (
                        f"nobody holds queue {address.name} any more: "
                        "keep it open in some process until this one has unpickled it"
                    )
                    raise errors.PeerLost(msg)
                time.sleep(_LOOK_SECONDS)
                continue
            seen = now
            with contextlib.suppress(errors.RecvTimeout), receiver.recv(ANSWER_SECONDS) as answer:
                return [descriptor.detach() for descriptor in answer.objects]
    msg = f"nobody who holds queue {address.name} has answered for {SEEK_SECONDS:g} s: are its processes stopped?"
    raise errors.PeerLost(msg)
