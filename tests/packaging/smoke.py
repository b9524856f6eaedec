"""Run by an environment in which only the wheel and its dependencies are installed: does what a new user does.

It may import nothing of the tests. `python smoke.py` starts itself once more as the other process.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import dataclass
from importlib import metadata, resources

import numpy as np

import ipmb
from ipmb import _core


@ipmb.message_type("9b7a4c0e-52c1-4a57-8d0a-3a3b6f1c7d01")
@dataclass
class Position:
    x: float
    name: str


def moon(bus: str) -> None:
    """Answers the question, then sends everything back to where it came from."""
    with ipmb.join(bus, "moon", timeout=30) as (sender, receiver):
        sender.send("earth", "here", ttl=30)
        request = receiver.recv(timeout=30)
        assert request.reply(request.payload * 2) == 1
        for _ in range(3):
            sender.send("earth", receiver.recv(timeout=30).payload)
        with receiver.recv(timeout=30) as message:
            view = message.memory_regions[0].map()
            sender.send("earth", bytes(view[:4]))


def earth(bus: str) -> None:
    """Starts the other process and talks to it."""
    child = subprocess.Popen([sys.executable, __file__, bus])
    with ipmb.join(bus, "earth", timeout=30) as (sender, receiver):
        assert receiver.recv(timeout=30).payload == "here"
        assert sender.request("moon", 21, timeout=30).payload == 42
        for payload in (Position(1.5, "sea"), [1, {"a": None}]):
            assert sender.send("moon", payload) == 1
            assert receiver.recv(timeout=30).payload == payload
        array = np.arange(300_000, dtype=np.float32).reshape(3, -1)
        assert sender.send("moon", array) == 1
        assert np.array_equal(receiver.recv(timeout=30).payload, array)
        with ipmb.MemoryRegion(4096) as region:
            region.map()[:4] = b"deep"
            sender.send("moon", None, memory_regions=[region])
            assert receiver.recv(timeout=30).payload == b"deep"
    assert child.wait(30) == 0


def installed() -> None:
    """It is the wheel, not a checkout, and nothing of it is missing."""
    assert "site-packages" in (ipmb.__file__ or "")
    assert _core.__file__.endswith(".so")
    files = resources.files("ipmb")
    assert files.joinpath("py.typed").is_file()
    assert files.joinpath("_core.pyi").is_file()
    assert metadata.version("ipmb") == ipmb.version().package


if __name__ == "__main__":
    if len(sys.argv) > 1:
        moon(sys.argv[1])
    else:
        installed()
        earth(f"smoke.{uuid.uuid4().hex}")
        print("well")
