"""Processes for one trial: ended with it, and what goes wrong between them is a violation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.conftest import Spawn
from tests.faults.torture.trial import Violation
from tests.support.child import ChildDiedError, RemoteError
from tests.support.wait import NeverError

if TYPE_CHECKING:
    from collections.abc import Generator


_WRONG = (AssertionError, ChildDiedError, NeverError, RemoteError)


@contextlib.contextmanager
def staged() -> Generator[Spawn, None, None]:
    """What starts the processes; a trial that does the same again and again has no other case than itself."""
    spawn = Spawn()
    first: Exception | None = None
    try:
        try:
            yield spawn
        except _WRONG as error:
            first = error  # says more than how the processes ended then
            raise
        finally:
            spawn.finish()
    except _WRONG as error:
        raise Violation({}, str(first or error)) from error
