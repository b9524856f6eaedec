"""What a `MemoryRegion` is by itself: sealed, aligned, mapped in ranges, alive as long as anybody looks at it."""

from __future__ import annotations

import copy
import ctypes
import fcntl
import gc
import mmap
import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ipmb
from tests.support import memory, regions
from tests.support.regions import number_in, put
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Spawn

PAGE = mmap.PAGESIZE
SIZES = (1, 7, 64, PAGE - 1, PAGE, PAGE + 1, 1 << 20)

#: Linux's numbers, which the module `fcntl` of Python 3.11 knows.
SHRINK, GROW, WRITE = fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE

#: What changing the file of a region comes to while its holders may write it, and from `freeze` on.
SHARED = dict.fromkeys(("shrink", "empty", "grow"), "PermissionError") | {"write": "done", "map": "done"}
FROZEN = dict.fromkeys(SHARED, "PermissionError")


# -- its memory


@pytest.mark.parametrize("size", SIZES)
def test_it_has_the_size_that_was_asked_for(size: int) -> None:
    with ipmb.MemoryRegion(size) as region:
        assert region.size == size
        with memoryview(region) as view:
            assert (view.nbytes, view.format, view.ndim, view.readonly) == (size, "B", 1, False)
            assert bytes(view) == bytes(size), "it begins as zeros"


@pytest.mark.parametrize("size", SIZES)
def test_it_begins_at_a_multiple_of_64(size: int) -> None:
    with ipmb.MemoryRegion(size) as region:
        assert memory.address(region) % 64 == 0
        assert memory.array(region, np.uint8).ctypes.data % 64 == 0


def test_it_is_sealed_from_birth() -> None:
    """Nobody can cut it off under a reader (SIGBUS) or make it grow, whatever descriptor he comes by."""
    with ipmb.MemoryRegion(3 * PAGE) as region:
        inode = memory.inode(region)
        assert memory.seals(inode) & (SHRINK | GROW | WRITE) == SHRINK | GROW
        assert memory.attempts(inode) == SHARED
        assert number_in(region) == 0


def test_its_memory_is_there_from_birth() -> None:
    """Running out of memory is an error when it is made, never a SIGBUS when it is written."""
    with ipmb.MemoryRegion(1 << 20) as region:
        opened = memory.reopened(memory.inode(region))
        assert os.fstat(opened).st_blocks * 512 >= 1 << 20
        os.close(opened)


def test_its_descriptor_is_not_inherited() -> None:
    with ipmb.MemoryRegion(100) as region:
        number = memory.descriptor(memory.inode(region))
        assert number is not None
        assert not os.get_inheritable(number)


def test_everything_takes_it_as_a_buffer() -> None:
    with ipmb.MemoryRegion(64) as region:
        array: Any = memory.array(region, np.float64)
        array[:] = np.arange(8)
        assert bytes(region) == np.arange(8, dtype=np.float64).tobytes()
        assert bytes(memoryview(region)[8:16]) == np.float64(1).tobytes()
        number = ctypes.c_double.from_buffer(region, 16)
        assert number.value == 2
        number.value = 20
        assert array[2] == 20
        assert len(region) == 64
        del array, number


# -- ranges


def test_ranges() -> None:
    """All views are of the same memory; without a size they go to the end."""
    with ipmb.MemoryRegion(3 * PAGE) as region:
        whole = region.map()
        assert isinstance(whole, memoryview)
        assert whole.nbytes == region.size
        whole[:] = bytes(number % 251 for number in range(3 * PAGE))
        for offset, size in [
            (0, 1),
            (1, 10),
            (PAGE - 1, 2),
            (PAGE, PAGE),
            (100, 2 * PAGE),
            (3 * PAGE - 1, 1),
        ]:
            part = region.map(offset, size)
            assert (part.nbytes, part.readonly) == (size, False)
            assert part == whole[offset : offset + size]
            assert memory.address(part) == memory.address(whole) + offset
            part[0] = 255
            assert whole[offset] == 255
        assert region.map(offset=PAGE).nbytes == 2 * PAGE
        assert region.map(size=5).nbytes == 5
        assert region.map(5, None).nbytes == 3 * PAGE - 5


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"offset": -1}, "offset"),
        ({"offset": 101}, "offset"),
        ({"offset": 2**63}, "offset"),
        ({"offset": 2**100}, "offset"),
        ({"size": -1}, "size"),
        ({"size": 101}, "size"),
        ({"offset": 50, "size": 51}, "size"),
        ({"offset": 1, "size": 2**64 - 1}, "size"),
        ({"size": 2**100}, "size"),
    ],
)
def test_ranges_beyond_it(arguments: dict[str, int], names: str) -> None:
    with ipmb.MemoryRegion(100) as region:
        with pytest.raises(ValueError, match=names) as error:
            region.map(**arguments)
        assert str(arguments[names]) in str(error.value), "the value"
        assert "100" in str(error.value) or "50" in str(error.value) or "0" in str(error.value), "the bound"


def test_ranges_of_the_wrong_type() -> None:
    with ipmb.MemoryRegion(100) as region:
        mapping: Any = region.map
        for name in ("offset", "size"):
            for bad in ("1", 1.0, b"1", [1]):
                with pytest.raises(TypeError, match=name):
                    mapping(**{name: bad})
        with pytest.raises(TypeError, match="offset"):
            mapping(None)


# -- how long it lives


def test_closing() -> None:
    """Twice is fine; every use says that it is closed; nothing is left."""
    before = memory.total(os.getpid())
    region = ipmb.MemoryRegion(1 << 16)
    region.map().release()
    region.close()
    region.close()
    assert "closed" in repr(region)
    uses: list[Callable[[], object]] = [
        region.map,
        region.clone,
        region.freeze,
        lambda: region.ref_count,
        lambda: region.map(0, 10),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises((ValueError, BufferError), match="closed"):
        memoryview(region)
    until(lambda: memory.total(os.getpid()) <= before, "its file and its mapping are gone")


def test_it_is_a_context_manager() -> None:
    with ipmb.MemoryRegion(10) as region:
        assert region.size == 10
    with pytest.raises(ValueError, match="closed"):
        region.map()


@pytest.mark.parametrize("way", ["close", "collect"])
def test_a_view_keeps_the_memory(way: str) -> None:
    """Closing while views live is safe: they stay valid and writable, and the memory goes with the last of them."""
    before = memory.total(os.getpid())
    region = ipmb.MemoryRegion(1 << 16)
    put(region, 7)
    first, second = region.map(), memoryview(region)
    array = memory.array(region, np.uint64)
    if way == "close":
        region.close()
    else:
        del region
        gc.collect()
    assert number_in(first) == 7
    first.release()
    assert number_in(array) == 7
    second[:8] = (8).to_bytes(8, "little")
    assert array[0] == 8
    second.release()
    assert array[1] == 7
    assert memory.total(os.getpid()) > before
    del array
    until(lambda: memory.total(os.getpid()) <= before, "gone with the last view")


def test_a_part_of_a_view_keeps_the_memory() -> None:
    with ipmb.MemoryRegion(1 << 16) as region:
        put(region, 7)
        part = region.map()[100:200].cast("B")
        column = memory.array(region, np.uint64)[::2][1:]
    gc.collect()
    assert bytes(part[4:12]) == (7).to_bytes(8, "little")
    assert set(column) == {7}


def test_many_come_and_go() -> None:
    """Nothing is left of 2,000 regions, each with views and a clone."""
    before = memory.total(os.getpid())
    for number in range(2000):
        region = ipmb.MemoryRegion(PAGE)
        put(region, number)
        copy = region.clone()
        view = copy.map(8, 8)
        region.close()
        assert int.from_bytes(view, "little") == number
        if number % 2:
            view.release()
            copy.close()
    del region, copy, view
    gc.collect()
    until(lambda: memory.total(os.getpid()) <= before, "nothing left")


def test_a_view_is_readable_in_a_forked_child(spawn: Spawn) -> None:
    """The memory stays shared: the child sees what the parent writes, as a worker of `multiprocessing` may want."""
    child = spawn.child()
    child.call(regions.make, 1 << 16, 7)
    child.call(regions.view)
    child.call(regions.close)
    assert child.call(regions.read_after_fork) == (7, 8)


# -- clones and counting


def test_a_clone_is_the_same_memory() -> None:
    with ipmb.MemoryRegion(100) as region, region.clone() as other:
        assert other.size == 100
        put(region, 5)
        assert number_in(other) == 5
        assert memory.inode(other) == memory.inode(region)
        region.close()
        put(other, 6)
        with other.clone() as third:
            assert number_in(third) == 6


def test_holds_of_one_process_count_once() -> None:
    """Clones and views are one endpoint's, however many; while any is left, the region is held."""
    region = ipmb.MemoryRegion(100)
    assert region.ref_count == 1
    clones = [region.clone() for _ in range(10)]
    views = [clone.map() for clone in clones]
    assert region.ref_count == 1
    region.close()
    assert {clone.ref_count for clone in clones} == {1}
    for clone in clones[1:]:
        clone.close()
    for view in views:
        view.release()
    assert clones[0].ref_count == 1
    clones[0].close()


# -- freezing


def test_freezing() -> None:
    """From then on nobody writes it: not through it, not through its file, not its maker."""
    with ipmb.MemoryRegion(2 * PAGE) as region:
        put(region, 3)
        inode = memory.inode(region)
        region.freeze()
        assert memory.seals(inode) & (SHRINK | GROW | WRITE) == SHRINK | GROW | WRITE
        assert memory.attempts(inode) == FROZEN
        for view in (memoryview(region), region.map(), region.map(8, 100), region.clone().map()):
            assert view.readonly
            with pytest.raises(TypeError, match="read-only"):
                view[0] = 1
        assert not memory.array(region, np.uint8).flags.writeable
        with pytest.raises((TypeError, BufferError)):
            ctypes.c_char.from_buffer(region)
        assert number_in(region) == 3
        assert "w" not in memory.mapping(region)[1], "not even with a stray pointer"
        region.freeze()


def test_a_writable_view_forbids_freezing() -> None:
    with ipmb.MemoryRegion(100) as region:
        view = region.map(10, 10)
        with pytest.raises(BufferError, match="view"):
            region.freeze()
        view[0] = 1
        view.release()
        array = memory.array(region, np.uint8)
        with pytest.raises(BufferError, match="view"):
            region.freeze()
        del array
        region.freeze()
        assert region.map(10, 1)[0] == 1


def test_a_view_of_a_clone_forbids_freezing() -> None:
    """A clone without a view does not: it is the same holder."""
    with ipmb.MemoryRegion(100) as region, region.clone() as other:
        view = other.map()
        with pytest.raises(BufferError, match="view"):
            region.freeze()
        view.release()
        region.freeze()
        assert memoryview(other).readonly


def test_freezing_one_never_mapped() -> None:
    with ipmb.MemoryRegion(100) as region:
        region.freeze()
        assert bytes(region) == bytes(100)


# -- making it


@pytest.mark.parametrize("bad", [0, -1, -(2**63), 2**63, 2**64, 2**100])
def test_sizes_that_cannot_be(bad: int) -> None:
    before = memory.total(os.getpid())
    with pytest.raises(ValueError, match="size") as error:
        ipmb.MemoryRegion(bad)
    assert str(bad) in str(error.value)
    assert memory.total(os.getpid()) == before


@pytest.mark.parametrize("bad", [None, "1", 1.0, b"1", [1]])
def test_sizes_of_the_wrong_type(bad: Any) -> None:
    with pytest.raises(TypeError, match="size"):
        ipmb.MemoryRegion(bad)


def test_more_memory_than_there_is() -> None:
    """An ordinary error at once, and nothing is kept."""
    before = memory.total(os.getpid())
    with pytest.raises((OSError, MemoryError, ValueError)):
        ipmb.MemoryRegion(1 << 50)
    assert memory.total(os.getpid()) == before


def test_it_cannot_be_copied_behind_the_kernels_back() -> None:
    with ipmb.MemoryRegion(100) as region:
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="MemoryRegion"):
                attempt(region)
