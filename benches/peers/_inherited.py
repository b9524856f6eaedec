"""What multiprocessing lets through to a child that it starts itself, taken to a worker that we started.

Queues of multiprocessing and those made like them can be pickled only while a child is spawned. Here is the part
of spawning that they ask for: which descriptors go along, under the numbers they have.
"""

from __future__ import annotations

import base64
import contextlib
import pickle
from multiprocessing import context, reduction
from multiprocessing.popen_spawn_posix import Popen, _DupFd
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collecting:
    """Stands for the child that is being spawned."""

    DupFd = _DupFd

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, descriptor: int) -> int:
        self.descriptors.append(descriptor)
        return descriptor


@contextlib.contextmanager
def _spawning(child: Collecting | None) -> Iterator[None]:
    context.set_spawning_popen(cast("Popen", child))
    try:
        yield
    finally:
        context.set_spawning_popen(None)


def packed(thing: Any) -> tuple[str, list[int]]:
    """For an address, with the descriptors that the worker has to inherit."""
    child = Collecting()
    with _spawning(child):
        found = reduction.ForkingPickler.dumps(thing)
    return base64.b64encode(found).decode(), child.descriptors


def unpacked(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))
