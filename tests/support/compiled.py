"""Programs in C and C++, compiled as users compile theirs: against an installed library, found by pkg-config.

`make` installs into `.build/c`; IPMB_C_PREFIX names another installation. Warnings are errors.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFIX = Path(os.environ.get("IPMB_C_PREFIX", ROOT / ".build" / "c"))
PROGRAMS = ROOT / "tests" / "c" / "programs"

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
COMPILERS = {".c": ("cc", "-std=c11"), ".cpp": ("c++", "-std=c++14")}
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

#: What makes a leak or undefined behaviour an error whose text is of use.
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


def package(*what: str) -> list[str]:
    """What pkg-config says of the installed library."""
    assert (PREFIX / "lib").exists(), (
        f"the C library is not installed in {PREFIX}: `make test-python` does it"
    )
    env = {**os.environ, "PKG_CONFIG_PATH": str(PREFIX / "lib" / "pkgconfig")}
    told = subprocess.run(["pkg-config", *what, "ipmb"], env=env, check=True, capture_output=True, text=True)
    return shlex.split(told.stdout)


def build(source: Path, folder: Path, *flags: str, static: bool = False) -> Path:
    """Compiles a program of one file; fails with what the compiler says."""
    compiler, standard = COMPILERS[source.suffix]
    program = folder / source.stem
    libraries = package("--libs")
    if static:
        libraries = [str(PREFIX / "lib" / "libipmb.a"), *package("--static", "--libs-only-l")]
        libraries.remove("-lipmb")
    command = [
        *(compiler, standard, *STRICT, *flags),
        *(*package("--cflags"), str(source), "-o", str(program), "-pthread", *libraries),
        f"-Wl,-rpath,{PREFIX / 'lib'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return program


def run(program: Path, *arguments: str, timeout: float = 50) -> str:
    """Runs a program to its end, which has to be a good one, and gives what it printed."""
    env = {**os.environ, **SANITIZED}
    done = subprocess.run(
        [program, *arguments], env=env, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, f"{program.name} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
