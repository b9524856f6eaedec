"""How long ``import ipmb`` takes in a fresh process, and that it brings nothing optional along."""

from __future__ import annotations

import json
import subprocess
import sys

from benches.pair import ROOT, BenchError

#: Never loaded by an import of the package: they are for those who use them.
OPTIONAL = ("numpy", "pyarrow", "torch", "zenoh", "anyio", "click", "rich")

CODE = f"""
import sys, time, json
begin = time.perf_counter()
import ipmb
print(json.dumps([time.perf_counter() - begin, [name for name in {OPTIONAL!r} if name in sys.modules]]))
"""


def measure(rounds: int) -> list[float]:
    """Seconds, by round; the first process, which reads the files from the disk, does not count."""
    found = []
    for _ in range(rounds + 1):
        run = subprocess.run(
            [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise BenchError(f"import ipmb failed: {run.stderr}")
        seconds, loaded = json.loads(run.stdout)
        if loaded:
            raise BenchError(f"import ipmb loads {', '.join(loaded)}")
        found.append(seconds)
    return found[1:]
