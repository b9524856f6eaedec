"""Python and Node on one bus: every payload there and back, descriptors, memory, requests, what waits.

The other side is `echo.mjs`, in a process of its own. Node's own tests are in `crates/node/tests`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

import ipmb

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ADDON = HERE.parents[1] / "crates" / "node" / "ipmb-js.node"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not ADDON.exists(), reason="needs Node, and `make node` before it"
)

#: Seconds that anything here may take.
PATIENCE = 20


@pytest.fixture
def endpoint() -> Iterator[ipmb.Endpoint[Any]]:
    """An endpoint in Python, on a bus with a program in Node."""
    identifier = f"com.example.languages.{os.getpid()}.{UUID(bytes=os.urandom(16))}"
    with ipmb.join(identifier, ipmb.label("python"), timeout=PATIENCE) as endpoint:
        watch = endpoint.watch()
        assert NODE
        child = subprocess.Popen([NODE, str(HERE / "echo.mjs"), identifier])
        try:
            assert next(iter(watch)).peer.label == ipmb.label("node", "echo")
            yield endpoint
            endpoint.sender.send("node", {"order": "end"})
            assert child.wait(PATIENCE) == 0
        finally:
            child.kill()
            child.wait()


def back(endpoint: ipmb.Endpoint[Any], payload: object, **attached: Any) -> ipmb.Message[Any]:
    """What comes back of a message."""
    assert endpoint.sender.send("node", payload, timeout=PATIENCE, **attached) == 1
    message: ipmb.Message[Any] = endpoint.receiver.recv(timeout=PATIENCE)
    assert message.sender is not None
    assert message.sender.label == ipmb.label("node", "echo")
    return message


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        0,
        -1,
        2**53,
        2**63,
        -(2**63),
        1.5,
        "text \N{ROCKET}",
        b"\x00\xff",
        b"x" * 100_000,
        "x" * 100_000,
        [1, [2, [3]], None, "four", b"five"],
        {"a": 1, "b": {"c": [1.5]}},
        {1: "int", None: "none", b"b": True},
        datetime(2026, 2, 28, 12, 30, 15, 250_000, tzinfo=UTC),
        UUID(int=7),
        ipmb.BytesMessage(3, b"three"),
        [UUID(int=7), ipmb.BytesMessage(65535, b""), datetime(2026, 2, 28, tzinfo=UTC)],
        {str(number): list(range(100)) for number in range(1000)},
    ],
    ids=lambda payload: repr(payload)[:40],
)
def test_a_payload_there_and_back(endpoint: ipmb.Endpoint[Any], payload: object) -> None:
    """It is the same, and of the same type, after two ways through both codecs."""
    got = back(endpoint, payload).payload
    assert (type(got), got) == (type(payload), payload)


def test_a_large_buffer(endpoint: ipmb.Endpoint[Any]) -> None:
    """It is viewed in shared memory there, and arrives as bytes here."""
    data = bytearray(os.urandom(3_000_000))
    assert back(endpoint, data).payload == data
    assert back(endpoint, [memoryview(data), "beside"]).payload == [bytes(data), "beside"]


def test_objects_and_regions(endpoint: ipmb.Endpoint[Any]) -> None:
    """A descriptor and a region go there and come back, and are the same file and the same memory."""
    region = ipmb.MemoryRegion(4096)
    with tempfile.TemporaryFile() as file:
        message = back(endpoint, "look", objects=[file], memory_regions=[region])
        with message:
            os.write(message.objects[0].fileno(), b"through another descriptor")
            assert bytes(message.memory_regions[0].map(0, 12)) == b"seen by node"
        assert os.pread(file.fileno(), 100, 0) == b"through another descriptor"
    assert bytes(region.map(0, 12)) == b"seen by node"


def test_what_node_makes(endpoint: ipmb.Endpoint[Any]) -> None:
    """Memory that is made there is memory here."""
    assert endpoint.sender.send("node", {"order": "make", "text": "from node"}) == 1
    made = endpoint.receiver.recv(timeout=PATIENCE)
    assert made.payload == "made"
    assert bytes(made.memory_regions[0].map(0, 9)) == b"from node"
    assert len(made.objects) == 1
    assert endpoint.receiver.recv(timeout=PATIENCE).payload == ["sent", 4096]
    reply = endpoint.sender.request("node", {"order": "large", "size": 1_000_000}, timeout=PATIENCE)
    assert reply.payload[1] == (b"abc" * 333_334)[:1_000_000]


def test_requests_in_both_directions(endpoint: ipmb.Endpoint[Any]) -> None:
    """Each can ask the other."""
    assert endpoint.sender.request("node", "ping", timeout=PATIENCE).payload == "ping"
    assert endpoint.sender.send("node", {"order": "ask", "label": "python", "payload": [1, 2]}) == 1
    asked = endpoint.receiver.recv(timeout=PATIENCE)
    assert asked.payload == [1, 2]
    asked.reply({"sum": 3})
    assert endpoint.receiver.recv(timeout=PATIENCE).payload == ["reply", {"sum": 3}]


def test_what_waits_for_somebody(endpoint: ipmb.Endpoint[Any]) -> None:
    """A message with a ttl from there finds who joins here later."""
    assert endpoint.sender.request(
        "node", {"order": "leave", "label": "late", "payload": "waited"}, timeout=PATIENCE
    ).payload == ["left", 0]
    with ipmb.join(endpoint.identifier, ipmb.label("late"), timeout=PATIENCE) as late:
        assert late.receiver.recv(timeout=PATIENCE).payload == "waited"
