"""Memory of large payloads as the package's encoders see it: `alloc`, `find`, `write` and private copies."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import pytest

import ipmb
from ipmb import _core


def test_memory_starts_at_a_multiple_of_64_and_is_writable() -> None:
    bulk = _core.alloc(1000)
    with memoryview(bulk) as view:
        assert (len(bulk), bulk.size, view.nbytes, view.readonly) == (1000, 1000, 1000, False)
        view[:3] = b"abc"
    assert bytes(bulk)[:3] == b"abc"
    assert _core.find(bulk) is not None, "it starts at a multiple of 64, or it would not be found"


def test_a_buffer_is_found_where_it_lies() -> None:
    region = ipmb.MemoryRegion(4096)
    view = memoryview(region)
    found = _core.find(view[128:256])
    assert found is not None
    assert found.size == 128
    view[128:131] = b"abc"
    assert bytes(found)[:3] == b"abc"
    assert _core.find(view[1:65]) is None, "not at a multiple of 64"
    assert _core.find(view[:0]) is None
    assert _core.find(bytes(1000)) is None
    assert _core.find(view.cast("d")[8:]) is not None, "items of any size"


def test_what_is_found_is_held() -> None:
    freed: list[str] = []
    registry = ipmb.MemoryRegistry()
    region = registry.alloc(4096, free=lambda: freed.append("freed"))
    found = _core.find(region)
    region.close()
    registry.maintain()
    assert freed == []
    del found
    registry.maintain()
    assert freed == ["freed"]


@pytest.mark.parametrize("bad", [3, None, "text"])
def test_what_has_no_buffer_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"^buffer is of type "):
        _core.find(bad)
    with pytest.raises(TypeError, match=r"^source is of type "):
        _core.alloc(10).write(0, bad)


def test_gaps_are_refused() -> None:
    with pytest.raises(TypeError, match="gaps"):
        _core.find(memoryview(bytes(10))[::2])


def test_writing_keeps_within_the_bulk() -> None:
    bulk = _core.alloc(10)
    bulk.write(0, bytes(7))
    bulk.write(7, b"abc")
    bulk.write(10, b"")
    assert bytes(bulk) == bytes(7) + b"abc"
    for offset, source in [(8, b"abc"), (0, bytes(11)), (11, b""), (-1, b""), (2**64, b"")]:
        with pytest.raises(ValueError, match="give "):
            bulk.write(offset, source)
    assert bytes(bulk) == bytes(7) + b"abc"


def test_source_and_target_may_overlap() -> None:
    bulk = _core.alloc(100)
    bulk.write(0, bytes(range(50)))
    with memoryview(bulk) as view:
        bulk.write(10, view[:50])
    assert bytes(bulk)[10:60] == bytes(range(50))


def test_frozen_memory_is_not_written() -> None:
    region = ipmb.MemoryRegion(64)
    region.freeze()
    found = _core.find(region)
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found.write(0, b"x")


@pytest.mark.parametrize("bad", [0, -1, 2**63])
def test_sizes_that_cannot_be(bad: int) -> None:
    with pytest.raises(ValueError, match=f"^size is {bad}: give 1 to "):
        _core.alloc(bad)


def test_more_than_a_payload_may_have_is_refused_before_there_is_memory_for_it() -> None:
    with pytest.raises(ipmb.TooLarge):
        _core.alloc(1 << 40)


def test_memory_is_used_again_when_nobody_holds_it() -> None:
    size = 3 << 20
    first = _core.alloc(size)
    first.write(0, b"first")
    view = memoryview(first)
    del first
    second = _core.alloc(size)
    assert bytes(second)[:5] != b"first", "a view holds it"
    del second
    view.release()
    assert b"first" in [bytes(bulk)[:5] for bulk in [_core.alloc(size), _core.alloc(size)]]


def test_a_private_copy_is_seen_by_nobody_else() -> None:
    region = ipmb.MemoryRegion(8192)
    with memoryview(region) as view:
        view[:4] = b"ours"
    region.freeze()
    copy = region.private()
    assert not copy.readonly
    copy[:4] = b"mine"
    assert (bytes(copy[:4]), bytes(region)[:4]) == (b"mine", b"ours")
    region.close()
    assert bytes(copy[4094:4098]) == bytes(4)
    with pytest.raises(ValueError, match="region is closed"):
        region.private()


def test_a_view_of_a_fork_is_still_there() -> None:
    bulk = _core.alloc(64)
    bulk.write(0, b"inherited")
    view = memoryview(bulk)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if bytes(view[:9]) == b"inherited" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_bulks_are_made_by_alloc_and_find_alone() -> None:
    for made in (_core.Bulk, _core.Buffer):
        with pytest.raises(TypeError, match="cannot create"):
            made()
    bulk = _core.alloc(1)
    seen = weakref.ref(bulk)
    del bulk
    assert seen() is None


def test_many_threads_write_at_once() -> None:
    bulk = _core.alloc(8 << 20)
    part = 1 << 20

    def fill(number: int) -> None:
        bulk.write(number * part, bytes([number]) * part)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = bytes(bulk)
    assert [data[number * part] for number in range(8)] == list(range(8))
    assert [data[(number + 1) * part - 1] for number in range(8)] == list(range(8))
