"""What an `Object` is by itself: a descriptor of its own, closed in time, opened as a file or socket."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import socket
import tempfile
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from tests.support import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Spawn

#: Numbered files that take two, three and more packets of 253 descriptors.
COUNTS = (1, 252, 253, 254, 506, 600)

#: Too long for a record, so that its memory is one more descriptor of the message.
LARGE = 300_000

#: Seconds within which a descriptor that was let go is closed everywhere.
SOON = 1.0 * float(os.environ.get("IPMB_TEST_PATIENCE", "1"))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; what the test has not closed is closed after it."""
    ends = os.pipe()
    stats = [os.fstat(end) for end in ends]
    yield ends
    for end, stat in zip(ends, stats, strict=True):
        try:
            if os.path.samestat(os.fstat(end), stat):
                os.close(end)
        except OSError:
            pass


def closed(thing: ipmb.Object) -> bool:
    """Its attribute, which a type checker otherwise takes for a constant."""
    return thing.closed


def test_it_owns_a_duplicate(pipe: tuple[int, int]) -> None:
    """The number is its own, the open file is the same."""
    read_end, write_end = pipe
    thing = ipmb.Object(write_end)
    assert thing.fileno() not in pipe
    os.close(write_end)
    assert os.write(thing.fileno(), b"x") == 1
    assert os.read(read_end, 10) == b"x"
    thing.close()
    assert os.read(read_end, 10) == b"", "the last writing end is closed"


def test_it_is_made_of_anything_with_a_descriptor(pipe: tuple[int, int]) -> None:
    with tempfile.TemporaryFile() as file, socket.socket() as one, ipmb.Object(pipe[0]) as other:
        for given in (file, one, other, pipe[0]):
            number = given if isinstance(given, int) else given.fileno()
            with ipmb.Object(given) as thing:
                assert thing.fileno() != number
                assert os.path.samestat(os.fstat(thing.fileno()), os.fstat(number))
            os.fstat(number)


def test_duplicates_share_their_position() -> None:
    with tempfile.TemporaryFile(buffering=0) as file, ipmb.Object(file) as thing:
        file.write(b"0123456789")
        os.lseek(thing.fileno(), 3, os.SEEK_SET)
        assert file.read(2) == b"34"


def test_descriptors_are_not_inherited(pipe: tuple[int, int]) -> None:
    os.set_inheritable(pipe[0], True)
    with ipmb.Object(pipe[0]) as thing:
        assert not os.get_inheritable(thing.fileno())
        number = thing.detach()
    assert not os.get_inheritable(number)
    os.close(number)


def test_closing(pipe: tuple[int, int]) -> None:
    """Twice is fine, and everything else then says that it is closed."""
    before = objects.count()
    thing = ipmb.Object(pipe[0])
    assert not closed(thing)
    assert str(thing.fileno()) in repr(thing)
    thing.close()
    thing.close()
    assert closed(thing)
    assert "closed" in repr(thing)
    assert objects.count() == before
    uses: list[Callable[[], object]] = [
        *(thing.fileno, thing.detach, thing.open, thing.socket),
        lambda: ipmb.Object(thing),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            use()
    assert objects.count() == before


def test_it_is_a_context_manager(pipe: tuple[int, int]) -> None:
    with ipmb.Object(pipe[0]) as thing:
        assert not closed(thing)
    assert closed(thing)
    with pytest.raises(KeyError), ipmb.Object(pipe[0]) as thing:
        raise KeyError
    assert closed(thing)


def test_detaching_gives_the_descriptor_away(pipe: tuple[int, int]) -> None:
    thing = ipmb.Object(pipe[0])
    number = thing.fileno()
    assert thing.detach() == number
    assert closed(thing)
    thing.close()
    del thing
    assert os.path.samestat(os.fstat(number), os.fstat(pipe[0]))
    os.close(number)


def test_it_is_closed_when_nobody_holds_it(pipe: tuple[int, int]) -> None:
    gc.collect()  # what tests before this one have left is not counted
    before = objects.count()
    thing = ipmb.Object(pipe[0])
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
    assert objects.count() == before


def test_it_opens_as_a_file(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    with ipmb.Object(write_end) as thing:
        with thing.open("w", encoding="utf-8", newline="\r\n") as text:
            text.write("ä\n")
        with thing.open("wb", buffering=0) as raw:
            raw.write(b"raw")
        assert os.read(read_end, 100) == "ä\r\n".encode() + b"raw"
    with ipmb.Object(read_end).open() as file:
        os.write(write_end, b"bytes unless told otherwise")
        os.close(write_end)
        assert file.read() == b"bytes unless told otherwise"


def test_a_file_outlives_its_object(pipe: tuple[int, int]) -> None:
    before = objects.count()
    thing = ipmb.Object(pipe[1])
    file = thing.open("wb", buffering=0)
    thing.close()
    file.write(b"still")
    file.close()
    assert os.read(pipe[0], 10) == b"still"
    assert objects.count() == before


def test_opening_badly_keeps_nothing(pipe: tuple[int, int]) -> None:
    before = objects.count()
    with ipmb.Object(pipe[0]) as thing:
        opening: Any = thing.open
        for mode, options in [("z", {}), ("rb", {"encoding": "ascii"}), ("r", {"encoding": "no such"})]:
            with pytest.raises((ValueError, LookupError)):
                opening(mode, **options)
        for own in ("opener", "closefd", "file"):
            with pytest.raises(TypeError, match=own):
                opening("rb", **{own: None})
        with pytest.raises(OSError, match=r"[Ss]ocket"):
            thing.socket()
        assert objects.count() == before + 1
        os.fstat(thing.fileno())


def test_it_opens_as_a_socket() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, ipmb.Object(there) as thing, thing.socket() as one:
        assert (one.family, one.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.send(b"one")
        assert here.recv(10) == b"one"
        thing.close()
        one.send(b"two")
        assert here.recv(10) == b"two"


def test_it_cannot_be_copied_behind_the_kernels_back(pipe: tuple[int, int]) -> None:
    with ipmb.Object(pipe[0]) as thing:
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="Object"):
                attempt(thing)


def test_a_forked_child_holds_none(spawn: Spawn) -> None:
    """It is dead there and open nowhere; what was detached before is the child's too."""
    assert spawn.child().call(objects.look_after_fork) == ("Forked", "Forked", False, b"detached", b"")
