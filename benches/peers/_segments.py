"""multiprocessing.shared_memory with its names sent through a pipe, and the way back that it needs.

Who made a segment removes it, once the receiver has said that it is done with it: so the standard library's
resource tracker removes whatever is left when the sender is killed. The tracker of a process that only attaches
must not know the segment, or it would remove it under the sender's feet when that process ends; before
Python 3.13 that takes a call to ``unregister``.
"""

from __future__ import annotations

import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory


def attach(name: str) -> SharedMemory:
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    segment = SharedMemory(name)
    name = segment._name  # type: ignore[attr-defined] # what everybody does
    resource_tracker.unregister(name, "shared_memory")
    return segment


def memory(segment: SharedMemory) -> memoryview:
    assert segment.buf is not None  # it would be closed
    return segment.buf


def remove(segment: SharedMemory) -> None:
    segment.close()
    segment.unlink()
