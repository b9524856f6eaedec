"""What `close()` returns for event loops: closing is done when it returns, and `await` is welcome all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator


class Closing:
    """Something to await that is done already."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()


CLOSED: Final = Closing()
