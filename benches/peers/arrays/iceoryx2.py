"""iceoryx2: the array is written into loaned memory, and viewed where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link
from benches.peers._iceoryx2 import Iceoryx2, Node, delivered, received


class ArrayIceoryx2(Iceoryx2):
    """One service for each size; the end that opens it first is the one that receives."""

    def connect(self, address: dict[str, Any]) -> Link:
        node, ports, sends = Node(address), dict[int, Any](), address["me"] == "near"
        link = Link(nothing_yet, iter(()), ports.clear)

        def choose(size: int) -> None:
            name = f"arrays of {size}"
            if size not in ports:
                ports[size] = node.publisher(name, size, DEPTH) if sends else node.subscriber(name, DEPTH)
            link.incoming = map(viewed, received(ports[size]))

        def send(array: Any) -> None:
            delivered(ports[array.nbytes], array.nbytes, lambda place: np.copyto(viewed(place), array))

        def hand_over(size: int, number: float) -> None:
            delivered(ports[size], size, lambda place: viewed(place).__setitem__(0, number))

        link.open, link.send, link.hand_over = choose, send, hand_over
        return link


def nothing_yet(_: Any) -> None:
    raise RuntimeError("open comes first")


def viewed(found: Any) -> Any:
    return np.frombuffer(found.as_memory_view(), np.float32)


peer = ArrayIceoryx2()
