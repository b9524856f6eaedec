"""zenoh between two peers over a Unix socket: no router, no discovery, nothing is dropped."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import zenoh

from benches.peers import Link, Setup

#: Seconds until the ends have found each other.
BOUND = 20.0


class Zenoh:
    """The far end listens, the near end connects; each publishes under a key the other subscribes to."""

    name = "zenoh"

    def version(self) -> str:
        return importlib.metadata.version("eclipse-zenoh")

    def prepare(self, folder: str) -> Setup:
        at = {"path": f"{folder}/zenoh"}
        return Setup({**at, "me": "near", "other": "far"}, {**at, "me": "far", "other": "near"}, clean=tidy)

    def connect(self, address: dict[str, Any]) -> Link:
        deadline = time.monotonic() + BOUND
        at, listens = f"unixsock-stream/{address['path']}", address["me"] == "far"
        while not listens and not Path(address["path"]).exists():
            wait(deadline)
        settings = zenoh.Config()
        for key, value in {
            "mode": "peer",
            "scouting/multicast/enabled": False,
            "listen/endpoints": [at] if listens else [],
            "connect/endpoints": [] if listens else [at],
            "connect/timeout_ms": int(BOUND * 1000),
        }.items():
            settings.insert_json5(key, json.dumps(value))
        session = zenoh.open(settings)
        subscriber = session.declare_subscriber(f"bench/{address['me']}")
        publisher = session.declare_publisher(
            f"bench/{address['other']}", congestion_control=zenoh.CongestionControl.BLOCK
        )
        greet(publisher, subscriber, deadline)
        return Link(
            publisher.put,
            (sample.payload.to_bytes() for sample in iter(subscriber.recv, None)),
            session.close,
        )


def tidy() -> None:
    """Memory that nobody uses any more, which zenoh leaves until the next session: its users hold a shared lock."""
    for left in Path("/dev/shm").glob("*.zenoh"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def greet(publisher: Any, subscriber: Any, deadline: float) -> None:
    """Until each end has heard the other: a publisher's ``matching_status`` says so too late, or never.

    "?" asks, "!" answers, "." is the last that is not a message.
    """
    heard = b""
    while heard != b"!":
        publisher.put(b"!" if heard else b"?")
        while heard != b"!" and (sample := subscriber.try_recv()) is not None:
            heard = sample.payload.to_bytes()
            if heard == b".":
                raise RuntimeError("the other end went on without an answer")
        wait(deadline)
    publisher.put(b"!")
    publisher.put(b".")
    while subscriber.recv().payload.to_bytes() != b".":
        pass


def wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"the other end is not there within {BOUND:g} s")
    time.sleep(0.01)


peer = Zenoh()
