"""Loads msgspec before an endpoint is there, so that nothing of it is loaded in the midst of a message.

A process that runs out of descriptors cannot open modules, which is an ordinary exception wherever ours are loaded
late. The core of msgspec 0.22 does not bear it: where a module that it wants cannot be opened it goes on without, and
the process ends with SIGSEGV when the next class is defined. So it is loaded with the first `join` or registered class,
and only while there are descriptors for it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Final

#: Most descriptors that an import has open at a time: a module, its cached form, the folder that they are looked for
#: in, for each module of a chain of imports.
NEEDED: Final = 12


def load() -> None:
    """Loads msgspec, unless that has been done.

    Raises:
        OSError: This process has no descriptors free for it.
    """
    if getattr(sys.modules.get("msgspec"), "__version__", None) is not None:
        return
    with contextlib.ExitStack() as held:
        for _ in range(NEEDED):
            held.callback(os.close, os.open(os.sep, os.O_PATH))
    importlib.import_module("msgspec")
