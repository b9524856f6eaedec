"""The crews of the studies come from multiprocessing's one server of forks, which other tests use too."""

from __future__ import annotations

from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="package")
def own_server_of_forks() -> Iterator[None]:
    """One of an earlier test has not imported what the studies need; what theirs has imported stays with them."""
    server: Any = forkserver._forkserver
    server._stop()
    yield
    server._stop()
    server.set_forkserver_preload(["__main__"])
