"""The limit: msgspec alone, in one process, to nobody."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import msgspec

from benches.groups.typed import TYPES, objects
from benches.peers import Link, Setup, nothing


class Codec:
    """Encodes what is sent, and decodes the same messages as often as asked."""

    name = "the codec alone"

    def version(self) -> str:
        return f"msgspec {msgspec.__version__}"

    def prepare(self, _folder: str) -> Setup:
        return Setup({}, None)

    def connect(self, _address: dict[str, Any]) -> Link:
        encode = msgspec.msgpack.Encoder().encode
        decoders = [msgspec.msgpack.Decoder(made) for made, _ in TYPES.values()]
        encoded = [[encode(value) for value in objects(name)] for name in TYPES]
        link = Link(encode, iter(()), nothing)

        def choose(number: int) -> None:
            link.incoming = map(decoders[number].decode, cycle(encoded[number]))

        link.open = choose
        return link


peer = Codec()
