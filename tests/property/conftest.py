"""The fixture of the property tests: one other process for all examples of a file."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest

import ipmb
from tests.conftest import Spawn
from tests.property import mirror
from tests.property.hall import Hall

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    """Two processes, one of which sends everything back; see :class:`Hall`."""
    spawn = Spawn()
    bus = f"test.{os.getpid()}.{uuid.uuid4().hex}"
    try:
        with ipmb.join(bus, "here", timeout=10.0) as end:
            other = spawn.member(bus, "mirror")
            pending = other.child.begin(mirror.reflect)
            yield Hall(end, other, spawn)
            end.sender.send("mirror", mirror.END)
            pending.result()
    finally:
        spawn.finish()
