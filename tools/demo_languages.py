"""`make demo-languages`: Python, C, C++ and Node on one bus; each prints what it gets from the others."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from shutil import which

from tests.support import compiled

ROOT = Path(__file__).parents[1]
HELLO = ROOT / "examples" / "languages"
ADDON = ROOT / "crates" / "node" / "ipmb-js.node"


def commands(folder: Path) -> dict[str, list[str]]:
    """How each language's program is started; what is not built is left out."""
    found = {"Python": [sys.executable, str(HELLO / "hello.py")]}
    for language, source in (("C", "hello.c"), ("C++", "hello.cpp")):
        place = folder / source
        place.mkdir()
        found[language] = [str(compiled.build(HELLO / source, place, "-O2"))]
    node = which("node")
    if node and ADDON.exists():
        found["Node"] = [node, str(HELLO / "hello.mjs")]
    return found


def main() -> int:
    """Starts all of them, and waits until each has heard of the others."""
    bus = f"demo.languages.{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        found = commands(Path(folder))
        programs = [
            subprocess.Popen([*command, bus, me, *(other for other in found if other != me)])  # noqa: S603 # our own
            for me, command in found.items()
        ]
        try:
            return max(program.wait(60) for program in programs)
        finally:
            for program in programs:
                program.kill()
                program.wait()


if __name__ == "__main__":
    sys.exit(main())
