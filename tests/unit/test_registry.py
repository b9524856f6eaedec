"""`MemoryRegistry`: memory that is used again once nobody holds it, and says when that is."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import numpy as np
import pytest

import ipmb
from tests.support import memory
from tests.support.regions import number_in, put
from tests.support.wait import until

SIZE = 1 << 20


@pytest.fixture
def registry() -> ipmb.MemoryRegistry:
    return ipmb.MemoryRegistry()


def test_it_gives_regions(registry: ipmb.MemoryRegistry) -> None:
    """At least as large as asked for, and like any other."""
    for size in (1, 100, 4096, 5000, SIZE):
        with registry.alloc(size) as region:
            assert isinstance(region, ipmb.MemoryRegion)
            assert size <= region.size <= 2 * max(size, 4096)
            assert memory.address(region) % 64 == 0
            put(region, 9)
            assert number_in(region) == 9
            assert region.ref_count == 1


def test_memory_is_used_again(registry: ipmb.MemoryRegistry) -> None:
    """The same file, still mapped at the same place with what was in it: that is what makes the second use quick."""
    with registry.alloc(SIZE) as region:
        put(region, 5)
        inode, address = memory.inode(region), memory.address(region)
    for _ in range(5):
        with registry.alloc(SIZE) as region:
            assert number_in(region) == 5
            assert (memory.inode(region), memory.address(region)) == (inode, address)


def test_what_is_held_is_not_used_again(registry: ipmb.MemoryRegistry) -> None:
    """Not while the region is open, nor a clone, nor a view of either."""
    region = registry.alloc(SIZE)
    put(region, 1)
    clone, view = region.clone(), region.map(100, 100)
    array = memory.array(clone, np.uint64)
    inode = memory.inode(region)
    for number, let_go in enumerate((region.close, clone.close, view.release)):
        with registry.alloc(SIZE) as other:
            assert memory.inode(other) != inode
            put(other, 100 + number)
        let_go()
    with registry.alloc(SIZE) as other:
        assert memory.inode(other) != inode
    assert number_in(array) == 1
    del array
    with registry.alloc(SIZE) as one, registry.alloc(SIZE) as other:
        assert inode in (memory.inode(one), memory.inode(other))


def test_a_region_that_fits_is_taken(registry: ipmb.MemoryRegistry) -> None:
    """Never one that is too small, nor one so large that it would be wasted."""
    with registry.alloc(SIZE) as region:
        inode = memory.inode(region)
    for size in (2 * SIZE, SIZE // 100):
        with registry.alloc(size) as other:
            assert memory.inode(other) != inode
            assert other.size >= size
    with registry.alloc(SIZE - 100) as other:
        assert memory.inode(other) == inode


def test_tags_keep_apart(registry: ipmb.MemoryRegistry) -> None:
    """What was tagged comes back for that tag only."""
    inodes = {}
    for tag in (None, "frame", "audio", "ä" * 50):
        with registry.alloc(SIZE, tag) as region:
            inodes[tag] = memory.inode(region)
    assert len(set(inodes.values())) == 4
    for tag, inode in inodes.items():
        with registry.alloc(SIZE, tag=tag) as region:
            assert memory.inode(region) == inode


def test_registries_keep_apart(registry: ipmb.MemoryRegistry) -> None:
    with registry.alloc(SIZE) as region:
        inode = memory.inode(region)
    with ipmb.MemoryRegistry().alloc(SIZE) as other:
        assert memory.inode(other) != inode


def test_a_frozen_one_is_not_used_again(registry: ipmb.MemoryRegistry) -> None:
    """It could not be filled."""
    with registry.alloc(SIZE) as region:
        inode = memory.inode(region)
        region.freeze()
    with registry.alloc(SIZE) as other:
        assert memory.inode(other) != inode
        put(other, 1)


# -- the callback


def test_free_is_called_once_after_the_last_release(registry: ipmb.MemoryRegistry) -> None:
    calls: list[str] = []
    region = registry.alloc(SIZE, free=lambda: calls.append("region"))
    clone, view = region.clone(), region.map()
    for let_go in (region.close, clone.close, view.release):
        registry.maintain()
        registry.alloc(SIZE).close()
        assert calls == [], "never before"
        let_go()
    assert calls == [], "in a call of alloc or maintain, not somewhere else"
    registry.maintain()
    assert calls == ["region"]
    registry.maintain()
    registry.alloc(SIZE).close()
    assert calls == ["region"], "once"


def test_alloc_calls_it_too(registry: ipmb.MemoryRegistry) -> None:
    """And with the memory free again already, so that a pool of buffers can be kept by it."""
    calls: list[int] = []
    with registry.alloc(SIZE, free=lambda: calls.append(threading.get_ident())) as region:
        inode = memory.inode(region)
    with registry.alloc(SIZE) as region:
        assert memory.inode(region) == inode
    assert calls == [threading.get_ident()]


def test_each_use_has_its_own(registry: ipmb.MemoryRegistry) -> None:
    """The same memory, used again and again: each callback belongs to one use."""
    calls: list[int] = []
    for number in range(10):
        registry.alloc(SIZE, free=lambda number=number: calls.append(number)).close()  # type: ignore[misc]
    registry.maintain()
    assert calls == list(range(10))


def test_it_may_use_the_registry(registry: ipmb.MemoryRegistry) -> None:
    """A callback that allocates and maintains blocks nothing."""
    calls: list[int] = []

    def again() -> None:
        calls.append(1)
        if len(calls) < 5:
            registry.alloc(SIZE, free=again).close()
            registry.maintain()

    registry.alloc(SIZE, free=again).close()
    registry.maintain()
    for _ in range(5):
        registry.maintain()
    assert len(calls) == 5, "one led to the next"


def test_one_that_raises_spoils_no_other(
    registry: ipmb.MemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are called, and what was raised is told: by the call, or as unraisable."""
    calls: list[str] = []
    told: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: told.append(str(unraisable.exc_value)))

    def fails() -> None:
        calls.append("fails")
        raise KeyError("mine")

    held = [registry.alloc(SIZE, free=free) for free in (fails, lambda: calls.append("works"))]
    for region in held:
        region.close()
    for _ in range(3):
        try:
            registry.maintain()
        except KeyError as error:
            told.append(str(error))
    assert sorted(calls) == ["fails", "works"]
    assert told == ["'mine'"]
    registry.alloc(SIZE).close()


def test_it_is_called_for_memory_that_was_frozen(registry: ipmb.MemoryRegistry) -> None:
    calls: list[int] = []
    with registry.alloc(SIZE, free=lambda: calls.append(1)) as region:
        region.freeze()
    registry.maintain()
    assert calls == [1]


def test_a_registry_may_end_before_its_regions() -> None:
    registry = ipmb.MemoryRegistry()
    region = registry.alloc(SIZE)
    put(region, 4)
    del registry
    gc.collect()
    assert number_in(region) == 4
    region.close()


def test_nothing_is_left_of_a_registry() -> None:
    before = memory.total(os.getpid())
    for tag in ("a", "b"):
        registry = ipmb.MemoryRegistry()
        regions = [registry.alloc(SIZE, tag) for _ in range(5)]
        for region in regions:
            region.map().release()
            region.close()
        del registry, regions, region
        gc.collect()
    until(lambda: memory.total(os.getpid()) <= before, "files and mappings are gone")


def test_threads_share_one(registry: ipmb.MemoryRegistry) -> None:
    """Four threads allocate, fill, look and let go: nobody is given what another holds."""
    wrong: list[int] = []
    freed: list[int] = []

    def work(me: int) -> None:
        for number in range(me * 1000, me * 1000 + 200):
            with registry.alloc(1 << 16, free=lambda number=number: freed.append(number)) as region:  # type: ignore[misc]
                put(region, number)
                if number_in(region) != number:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registry.maintain()
    assert wrong == []
    assert sorted(freed) == sorted(me * 1000 + number for me in range(4) for number in range(200))


# -- bad input


@pytest.mark.parametrize("bad", [0, -1, 2**63, 2**64, 2**100])
def test_sizes_that_cannot_be(registry: ipmb.MemoryRegistry, bad: int) -> None:
    with pytest.raises(ValueError, match="min_size") as error:
        registry.alloc(bad)
    assert str(bad) in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"min_size": "1"}, "min_size"),
        ({"min_size": None}, "min_size"),
        ({"min_size": 1.0}, "min_size"),
        ({"min_size": 1, "tag": 1}, "tag"),
        ({"min_size": 1, "tag": b"x"}, "tag"),
        ({"min_size": 1, "free": 1}, "free"),
        ({"min_size": 1, "free": "callback"}, "free"),
    ],
)
def test_arguments_of_the_wrong_type(
    registry: ipmb.MemoryRegistry, arguments: dict[str, Any], name: str
) -> None:
    before = memory.total(os.getpid())
    with pytest.raises(TypeError, match=name):
        registry.alloc(**arguments)
    assert memory.total(os.getpid()) == before


def test_more_memory_than_there_is(registry: ipmb.MemoryRegistry) -> None:
    """An ordinary error, after which the registry works on, and the callback is not called."""
    calls: list[int] = []
    with pytest.raises((OSError, MemoryError, ValueError)):
        registry.alloc(1 << 50, free=lambda: calls.append(1))
    registry.alloc(SIZE).close()
    registry.maintain()
    assert calls == []


@pytest.mark.parametrize("size", [1, 10, 2000, 4096, 5000])
def test_small_memory_is_used_again(size: int) -> None:
    registry = ipmb.MemoryRegistry()
    inodes = set()
    for _ in range(5):
        with registry.alloc(size) as region:
            inodes.add(memory.inode(region))
    assert len(inodes) == 1


def test_ctrl_c_in_a_callback_is_not_swallowed() -> None:
    """An interruption goes to the program, after the other callbacks; other exceptions go to the hook."""
    registry = ipmb.MemoryRegistry()
    called: list[int] = []

    def interrupted() -> None:
        called.append(1)
        raise KeyboardInterrupt

    held = [registry.alloc(10, free=interrupted), registry.alloc(10, free=lambda: called.append(2))]
    for region in held:
        region.close()
    with pytest.raises(KeyboardInterrupt):
        registry.maintain()
    registry.maintain()
    assert sorted(called) == [1, 2]
