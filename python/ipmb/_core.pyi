# The native module as type checkers and editors see it. The signatures are written by hand and compared with the module
# by stubtest; the docstrings are copied from the module by tools/stubs.py, and a test looks that they are.

from collections.abc import Callable, Iterable, Iterator
from io import BufferedRandom, BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from socket import socket
from types import GenericAlias, TracebackType
from typing import (
    IO,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NoReturn,
    Self,
    final,
    overload,
)

from _typeshed import HasFileno
from typing_extensions import Buffer as _Contiguous
from typing_extensions import TypeVar

from ipmb.values import SelectorMode, Stats

__all__ = [
    "BUILTIN_TYPES",
    "HEAD_BYTES",
    "PACKAGE",
    "PROTOCOL",
    "VIEW_BYTES",
    "Asking",
    "Buffer",
    "Bulk",
    "Endpoint",
    "EndpointInfo",
    "Joining",
    "Label",
    "LabelOp",
    "MemoryRegion",
    "MemoryRegistry",
    "Message",
    "Object",
    "QueueStore",
    "Receiver",
    "Selector",
    "Sender",
    "Sending",
    "Watch",
    "alloc",
    "begin_join",
    "close_all",
    "decode",
    "encode",
    "find",
    "join",
    "next_notice",
    "register",
    "start_reply",
    "start_send",
    "start_send_many",
]

BUILTIN_TYPES: Final[dict[str, bytes]]
PACKAGE: Final[str]
PROTOCOL: Final[int]
VIEW_BYTES: Final[int]
HEAD_BYTES: Final[int]

_T_co = TypeVar("_T_co", covariant=True, default=Any)

@final
class Label:
    """The set of strings that describes an endpoint. Immutable; order and repetition do not matter.

    It behaves like a frozenset of strings: `in`, iteration (in sorted order), `len`, `|`, equality and hash, also
    with sets and frozensets.

    Args:
        *elements: Strings of 1 to 255 bytes each in UTF-8; at most 64, at most 4096 bytes together.

    Raises:
        TypeError: An element is no string.
        ValueError: An element is empty or too long, or there are too many.

    Example:
        >>> import ipmb
        >>> ipmb.Label("renderer", "codec") | {"gpu"}
        label('codec', 'gpu', 'renderer')
        >>> "codec" in ipmb.Label("renderer", "codec")
        True
    """
    def __new__(cls, *elements: str) -> Self: ...
    def __contains__(self, element: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __or__(self, other: Label | frozenset[str] | set[str], /) -> Label: ...
    def __ror__(self, other: frozenset[str] | set[str], /) -> Label: ...
    def __getnewargs__(self) -> tuple[str, ...]: ...

@final
class LabelOp:
    """A boolean expression over labels: who a message is for.

    Combine with `&`, `|` and `~`; a plain string beside an expression is an element. `str()` gives the text form,
    `LabelOp.parse` reads it. Immutable and hashable. `and`, `or` and `not` do not work on it (TypeError): Python would
    silently drop one side.

    Args:
        element: Matches the endpoints whose label holds it; 1 to 255 bytes in UTF-8.

    Raises:
        TypeError: `element` is no string.
        ValueError: `element` is empty or too long.

    Example:
        >>> from ipmb import LabelOp, label
        >>> op = LabelOp("renderer") & ~LabelOp("gpu")
        >>> str(op), op.matches(label("renderer", "codec"))
        ('renderer & !gpu', True)
    """

    TRUE: ClassVar[LabelOp]
    FALSE: ClassVar[LabelOp]
    def __new__(cls, element: str) -> Self: ...
    @staticmethod
    def parse(text: str) -> LabelOp:
        """Reads the text form: elements, `true`, `false`, `!` before `&` before `|`, parentheses.

        Args:
            text: Elements that look like identifiers stand bare, all others in double quotes with backslash escapes.

        Raises:
            ValueError: The text is no expression, or one that nests too deep; the message says where.

        Example:
            >>> import ipmb
            >>> ipmb.LabelOp.parse('a & (b | !"c d")')
            LabelOp.parse('a & (b | !"c d")')
        """
    def matches(self, label: Label | str | Iterable[str]) -> bool:
        """Whether an endpoint with this label is meant.

        Args:
            label: A `Label`, a string, or an iterable of strings.

        Example:
            >>> import ipmb
            >>> ipmb.LabelOp.parse("a & !b").matches("a")
            True
        """
    def __and__(self, other: LabelOp | str, /) -> LabelOp: ...
    def __rand__(self, other: str, /) -> LabelOp: ...
    def __or__(self, other: LabelOp | str, /) -> LabelOp: ...
    def __ror__(self, other: str, /) -> LabelOp: ...
    def __invert__(self) -> LabelOp: ...
    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, tuple[str]]: ...

@final
class Selector:
    """Where a message goes: who is meant, one of them or all, and how long it waits while nobody matches.

    Made by `Selector.unicast` and `Selector.multicast`. Immutable and hashable. Keep one and use it again: a sender
    finds the route of a selector it has seen in a few nanoseconds.

    Attributes:
        label_op: Who is meant, a `LabelOp`.
        mode: `SelectorMode.UNICAST` or `SelectorMode.MULTICAST`.
        ttl: Seconds that a message waits while nobody matches; `None` is for ever.

    Example:
        >>> import ipmb
        >>> selector = ipmb.Selector.multicast(ipmb.LabelOp("viewer") & "gpu", ttl=2)
        >>> str(selector.label_op), selector.mode.name, selector.ttl
        ('viewer & gpu', 'MULTICAST', 2.0)
    """
    @staticmethod
    def unicast(op: LabelOp | str, ttl: float | None = 0) -> Selector:
        """To exactly one of those who match.

        Args:
            op: A `LabelOp`, or a string that stands for the endpoints with that element.
            ttl: Seconds that a message waits while nobody matches, 0 or more; `None` and infinity are for ever.

        Raises:
            TypeError, ValueError: An argument of another type, or a negative ttl.

        Example:
            >>> import ipmb
            >>> ipmb.Selector.unicast("earth", ttl=1.5)
            Selector.unicast('earth', ttl=1.5)
        """
    @staticmethod
    def multicast(op: LabelOp | str, ttl: float | None = 0) -> Selector:
        """To everyone who matches, the sender itself included. What waited goes once, to those who match then.

        Args:
            op: A `LabelOp`, or a string that stands for the endpoints with that element.
            ttl: Seconds that a message waits while nobody matches, 0 or more; `None` and infinity are for ever.

        Raises:
            TypeError, ValueError: An argument of another type, or a negative ttl.

        Example:
            >>> import ipmb
            >>> ipmb.Selector.multicast(ipmb.LabelOp.TRUE)
            Selector.multicast(LabelOp.parse('true'))
        """
    @property
    def label_op(self) -> LabelOp: ...
    @property
    def mode(self) -> SelectorMode: ...
    @property
    def ttl(self) -> float | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, tuple[LabelOp, float | None]]: ...

@final
class EndpointInfo:
    """Who somebody on the bus is, as the kernel and the directory know it.

    Attributes:
        id: The id of the endpoint, which nobody else has as long as the bus lives.
        label: Its `Label`.
        pid: The id of its process.

    Example:
        >>> import ipmb
        >>> ipmb.EndpointInfo(7, ipmb.label("earth"), 4242)
        EndpointInfo(id=7, label=label('earth'), pid=4242)
    """

    __match_args__: ClassVar[tuple[str, str, str]] = ("id", "label", "pid")
    def __new__(cls, id: int, label: Label | str | Iterable[str], pid: int) -> Self: ...
    @property
    def id(self) -> int: ...
    @property
    def label(self) -> Label: ...
    @property
    def pid(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[int, Label, int]: ...

@final
class Object:
    """A descriptor that can be attached to a message: a file, a socket, a pipe's end, a memfd, a pidfd.

    It owns a duplicate, which shares the open file (its position, its flags) with what it was made of; that stays the
    caller's. It is closed by `close`, at the end of a `with` block, or when nobody holds the object any more. The
    descriptor is close-on-exec, and dead in a forked child, where every use raises `Forked`: detach it before the fork
    if the child is to have it.

    Args:
        fd_or_file: The number of an open descriptor, another `Object`, or anything with a `fileno()`. Flush a buffered
            file first: what it holds back does not travel.

    Attributes:
        closed: Whether it holds no descriptor (any more).

    Raises:
        TypeError: `fd_or_file` is none of these.
        ValueError: It is closed, or the number is not open.
        OSError: This process has too many open files.

    Example:
        >>> import ipmb, os
        >>> read_end, write_end = os.pipe()
        >>> with ipmb.Object(write_end) as pipe:
        ...     os.close(write_end)
        ...     os.write(pipe.fileno(), b"hello")
        5
        >>> os.read(read_end, 10), os.read(read_end, 10)
        (b'hello', b'')
        >>> os.close(read_end)
    """
    def __new__(cls, fd_or_file: Object | int | HasFileno, /) -> Self: ...
    @property
    def closed(self) -> bool: ...
    def fileno(self) -> int:
        """The number of the descriptor, which stays the object's.

        Raises:
            ValueError: It is closed.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb, os
            >>> with open("/dev/null") as file, ipmb.Object(file) as null:
            ...     os.path.samestat(os.fstat(null.fileno()), os.stat("/dev/null"))
            True
        """
    def detach(self) -> int:
        """Gives the descriptor away: the caller closes it. The object is closed from now on.

        Returns:
            The number. It stays close-on-exec; see `os.set_inheritable`.

        Raises:
            ValueError: It is closed.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb, os
            >>> with open("/dev/null") as file:
            ...     number = ipmb.Object(file).detach()
            >>> os.close(number)
        """
    @overload
    def open(self, mode: Literal["rb"] = "rb") -> BufferedReader: ...
    @overload
    def open(self, mode: Literal["wb", "ab"]) -> BufferedWriter: ...
    @overload
    def open(self, mode: Literal["r+b", "rb+", "w+b", "wb+"]) -> BufferedRandom: ...
    @overload
    def open(
        self,
        mode: Literal["r", "rt", "w", "wt", "a", "at", "r+", "w+"],
        *,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> TextIOWrapper: ...
    @overload
    def open(self, mode: Literal["rb", "wb", "ab", "r+b", "rb+"], *, buffering: Literal[0]) -> FileIO: ...
    @overload
    def open(
        self,
        mode: str = "rb",
        *,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Opens a file on a duplicate of the descriptor; both are to be closed, in any order.

        Args:
            mode: As for the built-in `open`, "rb" unless given; it has to agree with how the descriptor was opened.
            buffering: As for the built-in `open`, and so are the rest: 0 is unbuffered, -1 the default.
            encoding: Of text; None is the locale's.
            errors: What becomes of bytes that are not in that encoding.
            newline: How ends of lines are translated.

        Returns:
            The file object. It shares its position with all duplicates of the descriptor.

        Raises:
            ValueError: It is closed, or `mode` or an option is wrong.
            OSError: This process has too many open files, or the descriptor is no file.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb
            >>> with open("/proc/self/status") as file:
            ...     status = ipmb.Object(file)
            >>> with status, status.open("r", encoding="ascii") as copy:
            ...     copy.readline().startswith("Name:")
            True
        """
    def socket(self) -> socket:
        """Makes a `socket.socket` of a duplicate of the descriptor; both are to be closed, in any order.

        Returns:
            The socket, of the family and type that the descriptor has.

        Raises:
            ValueError: It is closed.
            OSError: The descriptor is no socket, or this process has too many open files.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb, socket
            >>> here, there = socket.socketpair()
            >>> with ipmb.Object(there) as handed, handed.socket() as copy:
            ...     copy.send(b"hello")
            5
            >>> here.recv(10), here.close(), there.close()
            (b'hello', None, None)
        """
    def close(self) -> None:
        """Closes the descriptor. Closing twice is fine."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

class Buffer:
    """Memory that processes share, as any consumer of buffers takes it: `memoryview`, `numpy.frombuffer`, `bytes`."""
    def __buffer__(self, flags: int) -> memoryview: ...
    def private(self) -> memoryview:
        """A writable copy that nobody else sees, made page by page where it is written to.

        Returns:
            A memoryview of bytes. Where it was not written, later changes of the memory may or may not show.

        Raises:
            ValueError: The memory was closed.
            OSError: There is no room for it among the addresses of this process.

        Example:
            >>> import ipmb
            >>> region = ipmb.MemoryRegion(4)
            >>> with memoryview(region) as view:
            ...     view[:] = b"ours"
            >>> copy = region.private()
            >>> copy[:] = b"mine"
            >>> bytes(copy), bytes(region)
            (b'mine', b'ours')
        """

@final
class Bulk(Buffer):
    """A range of shared memory that can be sent as a payload, or as a part of one."""
    @property
    def size(self) -> int: ...
    def __len__(self) -> int: ...
    def write(self, offset: int, source: _Contiguous) -> None:
        """Copies a buffer into it, with the interpreter lock released.

        Args:
            offset: Where it goes, 0 or more.
            source: An object with a contiguous buffer that fits from there; it may overlap.

        Raises:
            TypeError, ValueError: An argument is of the wrong type, or does not fit; or the bulk is read-only.
        """

@final
class QueueStore:
    """The items of a queue, as this process holds them."""
    def __new__(cls, bound: int) -> Self: ...
    @staticmethod
    def open(bound: int, memory: int, items: int, room: int | None = None) -> QueueStore:
        """The queue behind another process's descriptors: memory, items, and room if it has a bound. They stay open."""
    def heir(self) -> QueueStore:
        """The same queue for a forked child: a store is dead there."""
    @property
    def is_alive(self) -> bool:
        """Whether this process may use it: not a child of the one that made it."""
    @property
    def descriptors(self) -> list[int]:
        """The descriptors to give to another process: memory, items, and room if it has a bound."""
    @property
    def items(self) -> int:
        """A descriptor that is readable when there may be items."""
    @property
    def room(self) -> int | None:
        """A descriptor that is readable when there may be room; None in a queue without bound."""
    def ending(self) -> int:
        """A descriptor that is readable after `end`."""
    def end(self) -> None:
        """Makes `ending` readable, for the threads of this process that wait."""
    def count(self) -> int:
        """How many items there are; it waits for nobody."""
    def put(self, item: bytes) -> bool | None:
        """Appends an item: True, False when the queue is full, None when somebody else is at it."""
    def get(self) -> bytes | Literal[False] | None:
        """Takes the oldest item: its bytes, False when there is none, None when somebody else is at it."""

@final
class MemoryRegion(Buffer):
    """A block of memory that processes share by sending it.

    It has the buffer protocol: `memoryview(region)`, `numpy.frombuffer(region, dtype)`. Its memory starts at a multiple
    of 64 (of a page, in fact), is zeroed, and can neither shrink nor grow. Every holder may write to it until it is
    frozen. Send it with `Sender.send(..., memory_regions=[region])`; nothing is copied, and each receiver holds it from
    then on.

    Closing gives up this hold. Views and arrays that were taken before stay valid, and keep the memory held. When the
    last holder on the machine has let go, or was killed, the memory is freed (or back in its `MemoryRegistry`). In a
    forked child views made before the fork work; the region itself is dead there.

    Args:
        size: Bytes, 1 or more. All of the memory is there from the start.

    Attributes:
        size: Bytes, as given; a received one's as it was made.
        ref_count: How many endpoints hold it, on the whole machine: a message under way counts as its receiver, what
            this process made counts as one, and clones and views of one endpoint count once.
        frozen: Whether it is read-only for everybody, for ever.
        closed: Whether this object has given up its hold.

    Raises:
        TypeError, ValueError: `size` is no int, or less than 1.
        MemoryError: There is not so much memory.

    Example:
        >>> import ipmb
        >>> region = ipmb.MemoryRegion(4096)
        >>> with memoryview(region) as view:
        ...     view[:5] = b"hello"
        >>> with ipmb.join("com.example.region", "earth") as (sender, receiver):
        ...     _ = sender.send("earth", "look", memory_regions=[region])
        ...     with receiver.recv(timeout=5) as message:
        ...         bytes(message.memory_regions[0].map(0, 5)), region.ref_count
        (b'hello', 2)
    """
    def __new__(cls, size: int) -> Self: ...
    @property
    def size(self) -> int: ...
    @property
    def ref_count(self) -> int: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def __len__(self) -> int: ...
    def map(self, offset: int = 0, size: int | None = None) -> memoryview:
        """A view of a part of it, or of all of it.

        Args:
            offset: First byte, 0 to `size`.
            size: How many bytes, 0 to what is left from there; None: to the end.

        Returns:
            A memoryview of bytes, writable until the region is frozen. It stays valid when the region is closed, and
            keeps the memory held until it is released.

        Raises:
            TypeError, ValueError: An argument is no int, or out of its bounds; or the region is closed.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb
            >>> with ipmb.MemoryRegion(100) as region:
            ...     part = region.map(64, 4)
            >>> part[:] = b"abcd"
            >>> bytes(part)
            b'abcd'
        """
    def clone(self) -> MemoryRegion:
        """Another hold on the same memory, closed on its own.

        Raises:
            ValueError: The region is closed.

        Example:
            >>> import ipmb
            >>> region = ipmb.MemoryRegion(16)
            >>> other = region.clone()
            >>> region.close()
            >>> other.size, other.ref_count
            (16, 1)
        """
    def freeze(self) -> None:
        """Makes it read-only for everybody, for ever; this process included.

        It is for the sole holder: release all views, and freeze before you send it. Views taken from now on are
        read-only. Freezing twice is fine.

        Raises:
            BufferError: A writable view of it is alive, or somebody else holds it.
            ValueError: The region is closed.
            Forked: It belongs to the parent process.

        Example:
            >>> import ipmb
            >>> region = ipmb.MemoryRegion(16)
            >>> region.freeze()
            >>> memoryview(region).readonly
            True
        """
    def close(self) -> None:
        """Gives up this hold. Views and arrays taken before stay valid. Closing twice is fine."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class MemoryRegistry:
    """A pool of regions: memory that nobody holds any more is handed out again, still mapped.

    The first touch of new memory costs 20 to 50 times a rewrite, so allocate what is sent over and over from here. Many
    threads may share a registry.

    `free` callbacks are called by `alloc` and `maintain`, in their thread, after everybody has let go of the region, in
    all processes, and never before: closed or collected it, released all views of it, or died. An exception in one goes
    to `sys.unraisablehook` and does not concern the others. When the registry itself goes away, callbacks that are due
    are called; those of regions that are still held never are, so keep the registry as long as they matter. Regions
    outlive it. Callbacks are not called either when the registry is collected as part of a reference cycle (a callback
    that refers to what holds the registry makes one), nor for regions that were sent where `/proc` is not mounted: who
    holds those cannot be counted.

    Example:
        >>> import ipmb
        >>> registry = ipmb.MemoryRegistry()
        >>> region = registry.alloc(1000, tag="frames", free=lambda: print("free again"))
        >>> region.close()
        >>> registry.maintain()
        free again
    """
    def __new__(cls) -> Self: ...
    def alloc(
        self, min_size: int, tag: str | None = None, free: Callable[[], object] | None = None
    ) -> MemoryRegion:
        """A region of at least `min_size` bytes. It first calls the callbacks that are due.

        Args:
            min_size: Bytes, 1 or more. The region may have more: a new one is rounded up (to whole pages, large ones by
                an eighth at most), one that was used before has up to twice as many. `alloc(10).size` is 4096.
            tag: Memory is used again only under the tag it was allocated with; None is a tag of its own.
            free: Called without arguments once nobody holds the region any more.

        Returns:
            A `MemoryRegion` that nobody else holds. What stood in it before may still stand there. Tell numpy how many
            items you mean: `numpy.frombuffer(region, dtype, count=items)` on both sides.

        Raises:
            TypeError, ValueError: An argument is of the wrong type or out of its bounds.
            MemoryError: There is not so much memory.

        Example:
            >>> import ipmb
            >>> registry = ipmb.MemoryRegistry()
            >>> with registry.alloc(1000) as region:
            ...     region.size >= 1000
            True
        """
    def maintain(self) -> None:
        """Calls the callbacks of regions that everybody has let go of, so that they need not wait for the next `alloc`.

        What was sent counts as held until its sender's own share of it is gone too, at its next `send` or some
        milliseconds after the receiver has let go.

        Memory that nobody has held for ten seconds goes back to the system.

        Example:
            >>> import ipmb
            >>> registry = ipmb.MemoryRegistry()
            >>> done = []
            >>> region = registry.alloc(10, free=lambda: done.append("freed"))
            >>> with memoryview(region) as view:
            ...     region.close()
            ...     registry.maintain()
            ...     done
            []
            >>> registry.maintain()
            >>> done
            ['freed']
        """

@final
class Message(Generic[_T_co]):
    """What is sent and what `recv` returns: where it goes, and what it carries.

    Args:
        selector: A `Selector`; a `LabelOp` or a string alone mean unicast.
        payload: As for `Sender.send`. It is encoded when it is sent.
        objects: Descriptors that travel with it: `Object`s, numbers, or anything with a `fileno()`; at most 1012. A
            duplicate is made here of whatever is no `Object`.
        memory_regions: `MemoryRegion`s that travel with it.

    Attributes:
        selector: The selector it was sent with.
        payload: The payload.
        sender: `EndpointInfo` of the one who sent it, as the kernel and the directory know it; only on a received one.
        redelivered: Whether another receiver got it first and died with it unread.
        is_request: Whether its sender waits for a reply.
        objects: What is attached, a tuple of `Object`. What is taken from here and kept stays open; the rest is closed
            with the message: by `close`, at the end of a `with` block, or when nobody holds the message any more.
        memory_regions: The same for a tuple of `MemoryRegion`.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of its bounds, or closed.
        OSError: This process has too many open files.

    Example:
        >>> import ipmb
        >>> message = ipmb.Message("earth", {"height": 3})
        >>> message.selector, message.payload
        (Selector.unicast('earth'), {'height': 3})
    """
    def __new__(
        cls,
        selector: Selector | LabelOp | str,
        payload: _T_co,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
    ) -> Self: ...
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    @property
    def selector(self) -> Selector: ...
    @property
    def payload(self) -> _T_co: ...
    @property
    def objects(self) -> tuple[Object, ...]: ...
    @property
    def memory_regions(self) -> tuple[MemoryRegion, ...]: ...
    @property
    def sender(self) -> EndpointInfo: ...
    @property
    def redelivered(self) -> bool: ...
    @property
    def is_request(self) -> bool: ...
    @property
    def _replied(self) -> bool:
        """Whether `reply` was done with it."""
    def reply(
        self,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        timeout: float | None = None,
    ) -> int:
        """Sends a payload back to the one who sent this message.

        The reply to a request goes to the `request` that waits for it, and a second one to nobody. Any other message is
        replied to by a message to its sender.

        Args:
            payload: As for `Sender.send`.
            objects: As for `Sender.send`.
            memory_regions: As for `Sender.send`.
            timeout: Seconds to wait for room, 0 or more; None waits for ever.

        Returns:
            1, or 0 when the sender has left the bus: its label does not matter, nobody else gets the reply. 1 does not
            say that somebody still waits for it.

        Raises:
            TypeError: The message was not received, or the payload cannot be sent.
            SendTimeout: No room in time.
            Closed: The endpoint that received the message has closed its sender.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.reply", "earth") as (sender, receiver):
            ...     sender.send("earth", "ping")
            ...     receiver.recv(timeout=5).reply("pong")
            ...     receiver.recv(timeout=5).payload
            1
            1
            'pong'
        """
    def close(self) -> None:
        """Releases what is attached. The payload stays readable. Closing twice is fine.

        What a program has taken out of `objects` or `memory_regions` and still holds stays open; nobody can take
        anything after this (ValueError). A message that nobody holds any more is closed too.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@final
class Sender:
    """The sending half of an endpoint. Many threads may share one.

    It is a context manager that closes it.
    """
    @overload
    def send(
        self,
        selector: Message[Any],
        /,
        *,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int: ...
    @overload
    def send(
        self,
        selector: Selector | LabelOp | str,
        /,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        ttl: float | None = ...,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int:
        """Sends a message: `send(message)`, or `send(selector, payload)`.

        When it returns, the message is in memory that outlives this process.

        Args:
            selector: A `Message`, and nothing but `timeout` and `overflow` beside it. Or a `Selector`; a `LabelOp` or
                a string alone mean unicast.
            payload: None, bool, int (-2**63 to 2**64-1), float, str, bytes, datetime, UUID, `BytesMessage`, any
                contiguous buffer, a numpy array, an Arrow table or record batch, a torch tensor, an object of a class
                registered with `message_type`, or lists and dicts of these; at most 4 GiB.
            objects: Descriptors to send along: `Object`s, numbers, or anything with a `fileno()`; at most 1012. They
                stay the caller's, who may close them as soon as this has returned; each receiver gets duplicates.
            memory_regions: `MemoryRegion`s to send along, at most 253; each receiver holds them too from now on.
            ttl: Seconds that the message waits while nobody matches, 0 or more; None and infinity are for ever. In the
                place of the selector's own. At most 4 MiB of a sender wait, `memory_regions` not counted. What waits
                outlives its sender as long as somebody else is on the bus.
            timeout: Seconds to wait for room, 0 or more; None waits for ever.
            overflow: What to do when a receiver has no room: "block" waits, "error" raises `Full` with nothing sent,
                "drop" drops the message for that receiver and counts it. A multicast waits for its slowest receiver.
                When too much waits for a match already (see docs/limits.md), `Full` is raised whatever is given here.

        Returns:
            In how many endpoints' rings the message is. 0: nobody matched; with a ttl it now waits.

        Raises:
            TypeError, ValueError: An argument is of the wrong type, out of its bounds or closed; nothing was sent.
            OSError: This process has too many open files; nothing was sent.
            SendTimeout: No room in time; its `delivered` says how many have the message.
            Full: No room and `overflow="error"`, or waiting could never help.
            TooLarge: The payload is over the maximum, or nobody matches and it alone is over the 4 MiB that can wait.
            Closed: This sender is closed.
            Forked: The endpoint belongs to the parent process.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.send", "earth") as (sender, receiver):
            ...     sender.send("earth", "to one")
            ...     sender.send(ipmb.Selector.multicast(ipmb.LabelOp.TRUE), "to all")
            ...     sender.send("mars", "to nobody")
            1
            1
            0
        """
    def send_many(
        self,
        selector: Selector | LabelOp | str,
        payloads: Iterable[object],
        /,
        *,
        ttl: float | None = ...,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int:
        """Sends several messages to the same selector, in their order: `send` in a loop, and quicker.

        All payloads are looked at before the first is sent: when one cannot be, none is.

        Args:
            selector: As for `send`.
            payloads: An iterable of payloads, each as for `send`.
            ttl: As for `send`.
            timeout: Seconds to wait for room in all, 0 or more; None waits for ever.
            overflow: As for `send`, for each message.

        Returns:
            In how many rings messages are now, all together: with one receiver, how many were sent.

        Raises:
            TypeError, ValueError, OSError, SendTimeout, Full, TooLarge, Closed, Forked: As for `send`. The error's
                `delivered` says in how many rings messages are all the same: those before the one it is about.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.send_many", "earth") as (sender, receiver):
            ...     sender.send_many("earth", ["one", "two"])
            ...     [message.payload for message in receiver.recv_many(10, timeout=5)]
            2
            ['one', 'two']
        """
    def request(
        self,
        selector: Selector | LabelOp | str,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        ttl: float | None = ...,
        timeout: float | None = None,
    ) -> Message[Any]:
        """Sends a request to one of those who match, and waits for the reply. Ctrl-C interrupts it.

        The reply does not pass through the receiver, which may be closed, and does not wait behind messages. Whoever
        is asked replies with `Message.reply`. A request is never given to a second one, or what it asks for might be
        done twice.

        Args:
            selector: A unicast `Selector`; a `LabelOp` or a string alone mean that.
            payload: As for `send`.
            objects: As for `send`.
            memory_regions: As for `send`.
            ttl: Seconds to wait for somebody who matches, 0 or more; None and infinity are for ever. In the place of
                the selector's own.
            timeout: Seconds until the reply has to be there, the wait for room and for somebody who matches included, 0
                or more; None waits for ever.

        Returns:
            The reply, a `Message`.

        Raises:
            NoRoute: Nobody matches, and nobody did before the ttl was over. Nothing was sent.
            PeerLost: The one asked died or left before it had replied. Whether it had read the request is in the text.
            RecvTimeout: No reply in time; one that comes later is dropped and counted.
            RemoteError: The handler of the one asked failed, where that one uses `serve`.
            DecodeError: The reply's bytes are not what its type says.
            TooLarge, TypeError, ValueError, OSError: As for `send`; also for a multicast selector. Nothing was sent.
            Full: The ring to this very endpoint is full; receive first.
            TooManyOpenFiles: A reply came whose descriptors did not fit in this process until the time was over.
            Closed: This sender is closed, also when that happens in another thread meanwhile.
            Forked: The endpoint belongs to the parent process.

        Example:
            >>> import ipmb, threading
            >>> worker = ipmb.join("com.example.request", "worker")
            >>> def work():
            ...     for message in worker.receiver:
            ...         message.reply(message.payload * 2)
            >>> thread = threading.Thread(target=work)
            >>> thread.start()
            >>> with ipmb.join("com.example.request") as (sender, receiver):
            ...     sender.request("worker", 21, timeout=5).payload
            42
            >>> worker.close()
            >>> thread.join()
        """
    @property
    def closed(self) -> bool:
        """Whether it is closed."""
    def close(self) -> None:
        """Closes this half. What was sent stays sent, what waits for a match goes on waiting.

        Closing the receiver too leaves the bus. Closing twice is fine.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Asking:
    """The requests of one endpoint: a number for each, and one place at which all of them end."""
    def __new__(cls, sender: Sender) -> Self: ...
    def begin(self) -> int:
        """A number for a request that is about to be sent."""
    def ask(
        self,
        number: int,
        selector: Selector | LabelOp | str,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] | None = None,
        memory_regions: Iterable[MemoryRegion] | None = None,
        ttl: float | None = ...,
    ) -> Sending | None:
        """Sends the request of a number. None: one who matches has it; otherwise it waits for room or a match."""
    def poll(self) -> list[tuple[int, Message[Any] | Exception]]:
        """What became of requests since the last call: a number with each, then its reply or an exception."""
    @property
    def polls(self) -> int:
        """How often `poll` was called; for `wait`."""
    def wait(self, timeout: float | None = None, polls: int | None = None) -> None:
        """Sleeps until `poll` may give something, or was called since `polls` was read. Ctrl-C interrupts it.

        A signal's handler that asks takes the outcomes of whom it has interrupted, who then must not sleep for them.
        """
    def fileno(self) -> int:
        """A descriptor for event loops, readable whenever `poll` would give something; it stays the endpoint's."""
    def forget(self, number: int) -> None:
        """Nobody waits for this number any more: a reply that comes is dropped and counted."""

@final
class Sending:
    """One message, or several in their order, on the way to where there is no room yet."""
    def poll(self, last: bool = False) -> int | None:
        """Tries again. How many endpoints have it; None: no room yet, for which `last` raises `SendTimeout`."""
    def fileno(self) -> int:
        """A descriptor that is readable when `poll` may get further. Good until then."""
    @property
    def delay(self) -> float | None:
        """Seconds after which to `poll` although the descriptor is not readable; None: no need."""
    @property
    def delivered(self) -> int:
        """How many copies are in receivers' rings so far."""
    def close(self) -> None:
        """Gives up what still waits: it is not sent. Closing twice is fine."""

@final
class Receiver(Generic[_T_co]):
    """The receiving half of an endpoint. Many threads may share one.

    Iterating over it gives messages until it is closed. It is a context manager that closes it.

    A message that cannot be decoded is a `DecodeError` of that one step. It ends the `for`, not the receiver: another
    `for` goes on with the next message. A loop that survives what others send:

        while True:
            try:
                for message in receiver:
                    work(message.payload)
                break  # closed
            except ipmb.DecodeError as error:
                log(error, error.sender)
    """
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def recv(self, timeout: float | None = None) -> Message[_T_co]:
        """Takes the next message, and waits for it. Ctrl-C interrupts it.

        Args:
            timeout: Seconds to wait, 0 or more; None waits for ever, 0 only looks.

        Returns:
            The `Message`. It counts as read from now on: nobody else gets it.

        Raises:
            RecvTimeout: Nothing came in time.
            DecodeError: A message's bytes are not what its type says; it is gone, the next call goes on. The error's
                `sender` says who sent it.
            TooManyOpenFiles: A message waits whose descriptors do not fit in this process.
            Closed: This receiver is closed, also when that happens in another thread meanwhile.
            Forked: The endpoint belongs to the parent process.
            TypeError, ValueError: `timeout` is no number, or negative.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.recv", "earth") as (sender, receiver):
            ...     sender.send("earth", [1, 2.5, b"x"])
            ...     receiver.recv(timeout=5).payload
            1
            [1, 2.5, b'x']
        """
    def recv_many(self, limit: int, timeout: float | None = None) -> list[Message[_T_co]]:
        """Takes up to `limit` messages, and waits only for the first.

        Args:
            limit: How many at most, 1 or more.
            timeout: Seconds to wait for the first, 0 or more; None waits for ever, 0 only looks.

        Returns:
            A list of 1 to `limit` messages.

        Raises:
            RecvTimeout, DecodeError, TooManyOpenFiles, Closed, Forked: As for `recv`. The next call raises an error
                that comes after the first message.
            TypeError, ValueError: `limit` or `timeout` is of the wrong type or out of its bounds.

        Example:
            >>> import ipmb
            >>> with ipmb.join("com.example.many", "earth") as (sender, receiver):
            ...     for number in range(3):
            ...         _ = sender.send("earth", number)
            ...     [message.payload for message in receiver.recv_many(10, timeout=5)]
            [0, 1, 2]
        """
    def fileno(self) -> int:
        """A descriptor for `select`, `poll` and event loops; it stays the receiver's.

        Returns:
            A number that is readable whenever `recv(0)` would return a message. It may be readable without; `recv(0)`
            clears that.

        Raises:
            Closed: This receiver is closed.
            Forked: The endpoint belongs to the parent process.

        Example:
            >>> import ipmb, select
            >>> with ipmb.join("com.example.fileno", "earth") as (sender, receiver):
            ...     _ = sender.send("earth", "wake up")
            ...     ready, _, _ = select.select([receiver], [], [], 5)
            ...     ready == [receiver], receiver.recv(0).payload
            (True, 'wake up')
        """
    @property
    def closed(self) -> bool:
        """Whether it is closed."""
    def close(self) -> None:
        """Closes this half: unread messages go to others who match, a `recv` that waits raises `Closed`.

        Iteration ends. Closing the sender too leaves the bus. Closing twice is fine.
        """
    def __iter__(self) -> Self: ...
    def __next__(self) -> Message[_T_co]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Endpoint(Generic[_T_co]):
    """The native part of an endpoint."""
    @property
    def id(self) -> int: ...
    @property
    def label(self) -> Label: ...
    @property
    def identifier(self) -> str: ...
    @property
    def is_controller(self) -> bool: ...
    @property
    def sender(self) -> Sender: ...
    @property
    def receiver(self) -> Receiver[_T_co]: ...
    def peers(self) -> list[EndpointInfo]: ...
    def watch(self) -> Watch:
        """See `Watch`."""
    def stats(self) -> Stats: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Joining:
    """A joining that nobody waits for in native code: what an event loop does."""
    def fileno(self) -> int:
        """A descriptor that is readable when `poll` has the outcome."""
    def poll(self, last: bool = False) -> Endpoint[Any] | None:
        """The endpoint, or None while it is not on the bus; `last` makes that a `JoinTimeout`."""
    def close(self) -> None:
        """Gives up. Closing twice is fine."""

@final
class Watch:
    """The native part of a watch."""
    def poll(
        self,
    ) -> (
        tuple[
            Literal["joined", "left"],
            EndpointInfo,
            Literal["closed", "died", "expelled", "vanished", "unknown"] | None,
        ]
        | None
    ):
        """The next event, if there is one: "joined" or "left", who, and for those who left the reason."""
    def wait(self, timeout: float | None = None) -> None:
        """Sleeps until there may be an event, or the end; at most `timeout` seconds."""
    def fileno(self) -> int:
        """A descriptor that is readable when `poll` would give an event, or there will be no more."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    @property
    def ended(self) -> bool:
        """It is closed, or the endpoint has left the bus: nothing new will happen."""
    @property
    def peers(self) -> list[EndpointInfo]:
        """Who was there when the watch was made, with every event told so far applied."""
    def close(self) -> None:
        """Ends it, also for those who wait. Closing twice is fine."""

def join(
    identifier: str,
    label: Label | str | Iterable[str],
    token: str | bytes,
    controller_affinity: bool,
    users: list[int],
    timeout: float | None,
    takes: list[bytes] | None,
    address: object,
    receiving: bool = True,
) -> Endpoint[Any]:
    """Joins a bus; the arguments are those of `ipmb.join`, with the UUIDs of the types it takes, and its address."""

def begin_join(
    identifier: str,
    label: Label | str | Iterable[str],
    token: str | bytes,
    controller_affinity: bool,
    users: list[int],
    takes: list[bytes] | None,
    address: object,
) -> Joining:
    """Starts to join; the arguments are those of `join`."""

def start_send(
    sender: Sender,
    selector: Message[Any] | Selector | LabelOp | str,
    /,
    payload: object = ...,
    *,
    objects: Iterable[Object | int | HasFileno] | None = None,
    memory_regions: Iterable[MemoryRegion] | None = None,
    ttl: float | None = ...,
    overflow: Literal["block", "error", "drop"] = ...,
) -> int | Sending:
    """`Sender.send` without its wait: how many endpoints have the message, or a `Sending`."""

def start_send_many(
    sender: Sender,
    selector: Selector | LabelOp | str,
    payloads: Iterable[object],
    /,
    *,
    ttl: float | None = ...,
    overflow: Literal["block", "error", "drop"] = ...,
) -> int | Sending:
    """`Sender.send_many` without its wait."""

def start_reply(
    message: Message[Any],
    payload: object,
    *,
    objects: Iterable[Object | int | HasFileno] | None = None,
    memory_regions: Iterable[MemoryRegion] | None = None,
) -> int | Sending:
    """`Message.reply` without its wait."""

def close_all() -> None:
    """Closes every endpoint of this process and lets the threads that wait on them come back: the interpreter ends."""

def next_notice(wait: bool) -> tuple[str, int, bool, str, str] | None:
    """What nobody was told: the bus's name, the endpoint's id, whether it is a warning, the text, the counter.

    Waits for it, or takes what is there. None: there is nothing, the interpreter ends, or another thread waits already.
    """

def register(
    class_: type,
    type_id: bytes,
    encode: Callable[[Any], bytes | tuple[bytes, Bulk, int, int]],
    decode: Callable[[bytes], Any],
) -> None:
    """Makes a class known; `ipmb/message_types.py` checks whether it may. A class registered again is replaced."""

def encode(payload: object) -> tuple[bytes, bytes, tuple[Bulk, int, int] | None]:
    """The UUID a payload travels under, its bytes, and what follows in a bulk: `(bulk, offset, length)` or None."""

def decode(type_id: bytes, data: bytes, bulk: memoryview | None = None) -> Any:
    """The payload that travelled as these bytes under this UUID, and with this bulk behind them."""

def alloc(size: int) -> Bulk:
    """New memory for a payload: writable here, read-only for everybody else, starting at a multiple of 64.

    Args:
        size: Bytes, 1 or more; at most 4 GiB.

    Raises:
        TooLarge: It is more than a payload may have.
        MemoryError: There is not so much memory.
    """

def find(buffer: _Contiguous) -> Bulk | None:
    """The shared memory a buffer lies in, so that it can be sent without a copy.

    Args:
        buffer: An object with a contiguous buffer.

    Returns:
        A `Bulk` of exactly these bytes; None when they lie elsewhere, or not at a multiple of 64.

    Raises:
        TypeError: `buffer` has no contiguous buffer.
    """
