"""The limit: memory of the kind all of these use, mapped and warm, filled by one process, sent to nobody."""

from __future__ import annotations

import mmap
from itertools import cycle
from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link, Setup, nothing


class Limit:
    """As many places take turns as a link may have in flight, so that caches help neither more nor less."""

    name = "one fill"

    def version(self) -> str:
        return f"numpy {np.__version__}"

    def prepare(self, _folder: str) -> Setup:
        return Setup({}, None)

    def connect(self, _address: dict[str, Any]) -> Link:
        places: dict[int, Any] = {}

        def choose(size: int) -> None:
            if size not in places:
                made = [np.frombuffer(mmap.mmap(-1, size), np.float32) for _ in range(DEPTH)]
                for place in made:
                    place.fill(0.0)
                places[size] = cycle(made)

        def fill(array: Any) -> Any:
            place = next(places[array.nbytes])
            np.copyto(place, array)
            return place

        return Link(fill, iter(()), nothing, choose)


peer = Limit()
