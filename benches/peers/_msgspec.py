"""What an application does that encodes by itself: one encoder, a typed decoder for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benches.groups.typed import TYPES
from benches.peers import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def encoded_link(
    send: Callable[[bytes], object], incoming: Iterator[bytes], close: Callable[[], object]
) -> Link:
    """A link of objects over a link of bytes."""
    decoders = [msgspec.msgpack.Decoder(made) for made, _ in TYPES.values()]
    link = Link(send, incoming, close, encode=msgspec.msgpack.Encoder().encode)

    def choose(number: int) -> None:
        link.incoming = map(decoders[number].decode, incoming)

    link.open = choose
    return link
