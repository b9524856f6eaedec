"""What a process holds, and that it holds no more than before: descriptors, threads, mappings, names, memory."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support import proc
from tests.support.wait import until

#: Growth of memory that is still none: allocators keep what they have once had.
MEMORY_KIB = 1024

#: Mappings that allocators make and give back as they like.
MAPPINGS = 4


@dataclass(frozen=True)
class Size:
    """What a process holds."""

    descriptors: int
    threads: int
    mappings: int
    names: int
    kib: int

    @classmethod
    def of(cls, pid: int) -> Size:
        return cls(
            len(proc.descriptors(pid)),
            len(proc.threads(pid)),
            len(proc.mappings(pid)),
            len(proc.listening_names(pid)),
            proc.resident_kib(pid),
        )

    def has_grown(self, before: Size, kib: float = MEMORY_KIB) -> bool:
        """Whether any of it is more: descriptors, threads and names exactly, the rest up to the allocator's own."""
        return (
            self.descriptors > before.descriptors
            or self.threads > before.threads
            or self.names > before.names
            or self.mappings > before.mappings + MAPPINGS
            or self.kib > before.kib + kib
        )


def assert_no_growth(before: Size, pid: int, *, kib: float = MEMORY_KIB) -> None:
    """As much as before, or less, within a moment."""
    until(lambda: not Size.of(pid).has_grown(before, kib), f"{before} again; now {Size.of(pid)}")
