"""The class `Queue`: the interface of `multiprocessing.Queue` over a store that native code keeps.

There is no feeder thread, no buffer in the process and no lock that a dead process could take with it. `put` returns
when the item is in the queue, for whoever holds it, whatever becomes of this process.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

from ipmb import errors
from ipmb._core import QueueStore
from ipmb.queues import meeting
from ipmb.queues.meeting import Address, Holder
from ipmb.queues.patience import Patience
from ipmb.registrations import a_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")

logger: logging.Logger = logging.getLogger("ipmb")

#: The most items a queue can be told to take.
_LARGEST = 2**63 - 1

#: The open queues of this process: those that a forked child has to go on with, and those that it can hand out.
_open: dict[int, weakref.ref[Queue[Any]]] = {}


class Queue(Generic[_T]):
    """A queue between processes: in the place of `multiprocessing.Queue`, and no death of a process can block it.

    Items are taken in the order in which they were put, each by exactly one `get`, whichever process that is in. Give
    the queue to a process as an argument, under spawn, forkserver and fork; send it over a pipe, a bus, or with a
    task. It is there as long as one process holds it, and it does not matter which.

    A process that is killed in the middle of a `put` has put the item or not; one that is killed in the middle of a
    `get` may take that one item with it. Nothing else is lost, nothing comes twice, and nobody waits for the dead.

    Items are pickled, so only processes that trust each other share a queue.

    Args:
        maxsize: How many items it takes before `put` waits; 0 or less is without bound.

    Raises:
        TypeError, ValueError: `maxsize` is no int, or too large.
        OSError: This process has too many open files.

    Example:
        >>> import ipmb
        >>> queue = ipmb.Queue(maxsize=2)
        >>> queue.put("one")
        >>> queue.put({"two": [2.0]})
        >>> queue.full(), queue.qsize()
        (True, 2)
        >>> queue.get(), queue.get(timeout=1)
        ('one', {'two': [2.0]})
        >>> queue.empty()
        True
        >>> queue.close()
    """

    def __init__(self, maxsize: int = 0) -> None:
        bound = _bound(maxsize)
        self._begin(QueueStore(bound), Address.new(bound))

    def _begin(self, store: QueueStore, address: Address) -> None:
        # Pickle and its kin are loaded by programs that use queues, not by `import ipmb`.
        from ipmb.queues import items  # noqa: PLC0415

        self._encode: Callable[[Any], bytes] = items.encode
        self._decode: Callable[[bytes], Any] = items.decode
        self._store: QueueStore | None = store
        self._address = address
        self._holder: Holder | None = None
        self._has_put = False
        self._last_count = 0
        _follow_forks()
        key = id(self)
        _open[key] = weakref.ref(self, lambda _: _open.pop(key, None))

    def put(self, obj: _T, block: bool = True, timeout: float | None = None) -> None:
        """Puts an item in, and waits for room.

        When it returns, the item is in the queue, whatever becomes of this process.

        Args:
            obj: Any object that pickle takes. It is pickled here and now: what becomes of it later does not matter.
            block: Whether to wait for room.
            timeout: Seconds to wait, None for ever; what is negative is 0.

        Raises:
            queue.Full: There was no room, or none in time.
            ValueError: This queue is closed.
            OSError: The machine has no memory for it; nothing was put.
            Exception: Whatever pickle raises for `obj`; nothing was put.

        Example:
            >>> import ipmb
            >>> queue = ipmb.Queue()
            >>> queue.put([1, 2, 3])
            >>> queue.put("quick", timeout=0.5)
        """
        store = self._store
        if store is None:
            self._refuse()
        item = self._encode(obj)
        self._has_put = True
        try:
            if store.put(item):
                return
        except errors.Forked:
            pass  # we are a child, and go on with an heir
        self._insist_on_putting(item, Patience(block, timeout))

    def _insist_on_putting(self, item: bytes, patience: Patience) -> None:
        """Puts, also when the first try has not done it: somebody was at it, there was no room, or we were forked."""
        while True:
            store = self._opened()
            done = store.put(item)
            if done:
                return
            if done is None and (
                patience.block or store.count() < self._address.bound or not self._address.bound
            ):
                waited = patience.pause()
            else:
                waited = store.room is not None and patience.wait(store, store.room)
            if not waited:
                from queue import Full  # noqa: PLC0415 # as pickle

                raise Full

    def get(self, block: bool = True, timeout: float | None = None) -> _T:
        """Takes the oldest item out, and waits for one. Ctrl-C interrupts it.

        Args:
            block: Whether to wait for an item.
            timeout: Seconds to wait, None for ever; what is negative is 0.

        Returns:
            The item.

        Raises:
            queue.Empty: There was no item, or none in time.
            ValueError: This queue is closed, also when that happens in another thread meanwhile.
            Exception: Whatever pickle raises for the item; it is gone.

        Example:
            >>> import ipmb, queue
            >>> numbers = ipmb.Queue()
            >>> numbers.put(1)
            >>> numbers.get()
            1
            >>> try:
            ...     numbers.get(timeout=0.01)
            ... except queue.Empty:
            ...     print("nothing came")
            nothing came
        """
        store = self._store
        if store is None:
            self._refuse()
        try:
            item = store.get()
        except errors.Forked:
            item = None  # we are a child, and go on with an heir
        if item is None or item is False:
            item = self._insist_on_getting(Patience(block, timeout))
        loaded: _T = self._decode(item)
        return loaded

    def _insist_on_getting(self, patience: Patience) -> bytes:
        while True:
            store = self._opened()
            item = store.get()
            if item is None and (patience.block or store.count()):
                waited = patience.pause()
            elif item is None or item is False:
                waited = patience.wait(store, store.items)
            else:
                return item
            if not waited:
                from queue import Empty  # noqa: PLC0415 # as pickle

                raise Empty

    def put_nowait(self, obj: _T) -> None:
        """`put(obj, block=False)`."""
        self.put(obj, False)

    def get_nowait(self) -> _T:
        """`get(block=False)`."""
        return self.get(False)

    def qsize(self) -> int:
        """How many items are in it, at this moment exactly; of a closed one, how many were when it was closed."""
        store = self._store
        return self._last_count if store is None else store.count()

    def empty(self) -> bool:
        """Whether there is no item in it, at this moment exactly.

        Raises:
            OSError: This queue is closed, and something was put into it here. As in multiprocessing, one that nothing
                was put into goes on answering; it says how it was when it was closed.
        """
        if self._store is None and self._has_put:
            msg = f"Queue {self!r} is closed"
            raise OSError(msg)
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether there is no room in it, at this moment exactly; of a closed one, when it was closed."""
        return 0 < self._address.bound <= self.qsize()

    def close(self) -> None:
        """Lets go of the queue here: nothing can be put or taken by this object any more. Other processes go on.

        What was put stays in it for them. A queue that nobody holds any more is gone with its items. One that is not
        closed is closed when nobody has the object any more. Closing twice is fine.
        """
        store, self._store = self._store, None
        if store is not None:
            with contextlib.suppress(OSError):
                self._last_count = store.count()
            store.end()
            self._holder = None
            _open.pop(id(self), None)

    def join_thread(self) -> None:
        """Does nothing: there is no thread to join, since `put` has put the item when it returns.

        Raises:
            AssertionError: This queue is not closed, as in multiprocessing.
        """
        if self._store is not None:
            msg = f"Queue {self!r} not closed"
            raise AssertionError(msg)

    def cancel_join_thread(self) -> None:
        """Does nothing: nothing waits in this process to be written, so its exit waits for nothing."""

    def __repr__(self) -> str:
        if self._store is None:
            return f"<Queue {self._address.name}, closed>"
        bound = f" of {self._address.bound}" if self._address.bound else ""
        return f"<Queue {self._address.name}, {self.qsize()}{bound} items>"

    def __reduce__(self) -> tuple[Any, ...]:
        store = self._opened()
        handed = meeting.for_child(store.descriptors)
        if handed is not None:
            return _from_parent, (type(self), self._address, handed)
        if self._holder is None:
            self._holder = _holder(self._address)
        return _from_address, (type(self), self._address)

    @classmethod
    def _of(cls, store: QueueStore, address: Address) -> Self:
        self = cls.__new__(cls)
        self._begin(store, address)
        return self

    def _opened(self) -> QueueStore:
        store = self._store
        if store is None:
            self._refuse()
        if not store.is_alive:
            # We are a forked child.
            store = self._store = store.heir()
        return store

    def _refuse(self) -> NoReturn:
        msg = f"Queue {self!r} is closed"
        raise ValueError(msg)


def _bound(maxsize: object) -> int:
    try:
        number = operator.index(maxsize)  # type: ignore[arg-type] # what it does not take is a TypeError
    except TypeError:
        shown = "None" if maxsize is None else a_type(type(maxsize))
        msg = f"maxsize is {shown}: give an int, 0 for no bound"
        raise TypeError(msg) from None
    if number > _LARGEST:
        msg = f"maxsize is {number}: give at most 2**63-1, or 0 for no bound"
        raise ValueError(msg)
    return max(number, 0)


def _descriptors(name: str) -> Sequence[int] | None:
    """The descriptors of an open queue of this process."""
    for queue in _all_open():
        store = queue._store
        if queue._address.name == name and store is not None:
            return store.descriptors
    return None


def _all_open() -> list[Queue[Any]]:
    return [queue for queue in (reference() for reference in list(_open.values())) if queue is not None]


#: The holders of this process, by the name of the queue; several objects of one queue share one.
_holders: weakref.WeakValueDictionary[str, Holder] = weakref.WeakValueDictionary()


def _holder(address: Address) -> Holder:
    holder = _holders.get(address.name)
    if holder is None:
        holder = _holders[address.name] = Holder(address, _descriptors)
    return holder


def _from_parent(cls: type[Queue[_T]], address: Address, handed: tuple[Any, ...]) -> Queue[_T]:
    """Unpickles a queue in the process that was started with its descriptors."""
    return _adopted(cls, address, [one.detach() for one in handed])


def _from_address(cls: type[Queue[_T]], address: Address) -> Queue[_T]:
    """Unpickles a queue anywhere else."""
    found = _descriptors(address.name)
    if found is not None:
        queue = cls._of(QueueStore.open(address.bound, *found), address)
    else:
        queue = _adopted(cls, address, meeting.seek(address))
    try:
        queue._holder = _holder(address)
    except (errors.IpmbError, OSError) as error:
        # It works all the same; others have to find another holder.
        logger.warning("queue %s cannot be handed out from here: %s", address.name, error)
    return queue


def _adopted(cls: type[Queue[_T]], address: Address, numbers: Sequence[int]) -> Queue[_T]:
    try:
        return cls._of(QueueStore.open(address.bound, *numbers), address)
    finally:
        for number in numbers:
            os.close(number)


def _follow_forks() -> None:
    """From the first queue on, a forked child takes its own hold of every queue at once.

    It would do so at the first use, too. But until then it had the address of nobody's bus, and a holder that is not
    there.
    """
    global _follows  # noqa: PLW0603
    if not _follows:
        os.register_at_fork(after_in_child=_in_child)
        _follows = True


_follows = False


def _in_child() -> None:
    _holders.clear()
    for queue in _all_open():
        queue._holder = None
        if queue._store is not None:
            with contextlib.suppress(OSError):  # at the next use it is tried again
                queue._store = queue._store.heir()
