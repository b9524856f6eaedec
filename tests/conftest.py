"""Fixtures of the process-level tests: a bus of one's own, and children that are cleaned up whatever happens.

Every test gets a bound in time, so that a hang is a failure with a traceback and not a stuck build.
"""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import plain_user
from tests.support.child import Child
from tests.support.member import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds a test may take that does not say otherwise with ``@pytest.mark.timeout``.
TEST_SECONDS = 60


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would every program that a test starts. With a handler that does
    # nothing this process still ignores it, and what it executes has the default back.
    signal.signal(signal.SIGINT, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, method="signal"))


@pytest.fixture
def bus() -> str:
    """An identifier nobody else uses, not even the same test in another run at the same time."""
    return f"test.{os.getpid()}.{uuid.uuid4().hex}"


@pytest.fixture(
    params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}), ("trio", {})],
    ids=["asyncio", "uvloop", "trio"],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loops that tests marked ``anyio`` run on, one after another."""
    return request.param


class Spawn:
    """Starts children for one test and ends them all with it."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._numbers = itertools.count()

    def child(self, name: str = "child", **options: Any) -> Child:
        """A separate interpreter that has not joined anything; ``wrap`` and ``env`` as for :class:`Child`."""
        child = Child(f"{name}#{next(self._numbers)}", **options)
        self._children.append(child)
        return child

    def plain_child(self, name: str = "child", nofile: int | None = None) -> Child:
        """A child of this user, of nobody when this user is root, with a low descriptor limit."""
        uid = plain_user.NOBODY if os.getuid() == 0 else os.getuid()
        return self.child(name, wrap=plain_user.wrap(uid, nofile or plain_user.NOFILE))

    def child_of(self, uid: int, name: str = "child") -> Child:
        """A child of another user; only root can start one."""
        return self.child(name, wrap=plain_user.wrap(uid))

    def limited_child(self, nofile: int, name: str = "limited") -> Child:
        """A child of this very user that may have only ``nofile`` descriptors."""
        return self.child(name, wrap=plain_user.wrap(os.getuid(), nofile))

    def member(self, bus: str, *label: str, **options: Any) -> Member:
        """A child that has joined ``bus`` with ``label``; options as for ``ipmb.join``."""
        return Member.join(self.child(label[0] if label else "member"), bus, *label, **options)

    def members(self, bus: str, *labels: str, **options: Any) -> list[Member]:
        """Several at once: the interpreters start side by side, then join in this order."""
        children = [self.child(label) for label in labels]
        return [
            Member.join(child, bus, label, **options) for child, label in zip(children, labels, strict=True)
        ]

    def forget(self, child: Child) -> None:
        """End a child before the test does."""
        self._children.remove(child)
        child.finish()

    def finish(self) -> None:
        problems = []
        while self._children:
            child = self._children.pop()
            try:
                child.finish()
            except Exception as error:  # noqa: BLE001 - every child must be ended before any is judged
                problems.append(error)
        if problems:
            raise problems[0]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts children; see :class:`Spawn`."""
    spawner = Spawn()
    yield spawner
    spawner.finish()
