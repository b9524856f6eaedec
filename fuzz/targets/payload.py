"""What Python decodes: heads, places of buffers, extensions, of every type that travels.

    python fuzz/targets/payload.py [options of libFuzzer] [folders]

A case says under which type, and how much of it comes beside the record; the rest are the bytes. Whatever they are, the
one error is DecodeError, and what is made of them looks at nothing outside.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import Any

#: Instead of libFuzzer's options: run the cases of a folder, which needs no fuzzer.
CASES = "--cases"

with (
    contextlib.nullcontext()
    if CASES in sys.argv
    else importlib.import_module("atheris").instrument_imports(["ipmb"])
):
    import numpy as np

    import ipmb
    import ipmb.arrays
    import ipmb.arrow
    import ipmb.codec
    from ipmb import _core

TYPES = sorted(_core.BUILTIN_TYPES.values())

#: Beyond this a view is not looked at: one without a stride claims any size.
MOST_BYTES = 1 << 20


def payload(data: bytes) -> None:
    """Decode one case, and look at all there is to see."""
    kind, beside, *_ = *data[:2], 0, 0
    type_id = TYPES[kind % len(TYPES)]
    head, bulk = data[2:], None
    if beside:
        # A head of so many bytes, and the rest in shared memory.
        head, bulk = data[2 : 1 + beside], memoryview(data[1 + beside :])
    try:
        value = _core.decode(type_id, head, bulk)
    except ipmb.DecodeError:
        return
    look(value)


def look(value: Any) -> None:
    """Read every byte of what was decoded."""
    if isinstance(value, dict):
        look(list(value))
        look(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            look(one)
    elif isinstance(value, (np.ndarray, memoryview)) and value.nbytes < MOST_BYTES:
        value.tobytes()
    else:
        repr(value)[:100]


def run_cases(folder: Path) -> None:
    """Run the cases that were kept, without a fuzzer."""
    for case in sorted(folder.iterdir()):
        print(case)
        payload(case.read_bytes())


if __name__ == "__main__":
    if sys.argv[1:2] == [CASES]:
        run_cases(Path(sys.argv[2]))
    else:
        atheris = importlib.import_module("atheris")
        # A merge starts itself again, by a shell.
        atheris.Setup([f"{sys.executable} {__file__}", *sys.argv[1:]], payload)
        atheris.Fuzz()
