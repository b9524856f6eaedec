"""What pickle makes of an item, and back.

Pickle is right here, and only here: a queue connects processes of one program, which trust each other, and whoever
moves from `multiprocessing.Queue` has items that only pickle can carry.

It is a module of its own because pickle and multiprocessing are loaded by programs that use queues, not by
`import ipmb`.
"""

from __future__ import annotations

import io
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Types that nobody can have registered a reducer for, so that the plain pickler will do: it is six times as quick.
_PLAIN = frozenset({bytes, str, int, float, bool, type(None)})

decode: Callable[[bytes], Any] = pickle.loads


def encode(item: Any) -> bytes:
    """The bytes of an item, by the pickler that knows connections, sockets, and what else processes share."""
    if type(item) in _PLAIN:
        return pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    buffer = io.BytesIO()
    ForkingPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(item)
    return buffer.getvalue()
