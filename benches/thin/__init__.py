"""A thin extension ring: what the bus is measured against, and the machine probe's tool. Compiled when it is asked for.

The C compiler is the one that Rust's linker needs anyway. Where there is none, or Python's headers are missing,
``load`` says so with an ImportError, and who asked does without. What was compiled is kept in ``.build`` under a
name that says from what: the source, the compiler's options, and the interpreter.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("ring.c")
BUILT = Path(__file__).parents[2] / ".build" / "thin"
NAME = "thin_ring"
OPTIONS = ("-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-std=c11")


def compiler() -> str:
    """What compiles C here; ``CC`` has the first word."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    raise ImportError("there is no C compiler: install gcc or clang, or name one in CC")


def built() -> Path:
    """The module's file, made where it is not there yet. Several processes may do this at once."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    digest = hashlib.sha256(SOURCE.read_bytes() + repr(OPTIONS).encode()).hexdigest()[:12]
    path = BUILT / f"{NAME}-{digest}{suffix}"
    if path.exists():
        return path
    try:
        BUILT.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImportError(f"there is no place for what is compiled: {error}") from None
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    headers = sysconfig.get_paths()["include"]
    done = subprocess.run(
        [compiler(), *OPTIONS, "-I", headers, str(SOURCE), "-o", str(fresh)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        raise ImportError(f"{SOURCE.name} does not compile: {reason}")
    fresh.rename(path)
    return path


@functools.cache
def load() -> Any:
    """The module: ``Ring`` over a memory file of ``SIZE`` bytes."""
    path = str(built())
    loader = importlib.machinery.ExtensionFileLoader(NAME, path)
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
