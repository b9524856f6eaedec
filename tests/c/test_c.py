"""The C interface, by programs that use it: compiled without a warning, and run as real processes.

The leak check itself is tried by `test_a_leak_is_seen`.
"""

from __future__ import annotations

import re
import subprocess
from shutil import which
from typing import TYPE_CHECKING

import pytest

from tests.support import compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = (
    "promised.c",
    "promised_cpp.cpp",
    "nulls.c",
    "causes.c",
    "labels.c",
    "refused.c",
    "regions.c",
    "talk.c",
    "talk_cpp.cpp",
)

LEAK = """
#include "check.h"
int main(void) {
    for (int turn = 0; turn < 10; turn++) {
        Label label = label_of("leaked");
        CHECK(label);
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["shared", "static", "sanitized"])
def test_programs(built: Callable[..., Path], bus: str, name: str, how: str) -> None:
    flags = compiled.SANITIZERS if how == "sanitized" else ("-O2",)
    assert compiled.run(built(name, *flags, static=how == "static"), bus).endswith("ok\n")


@pytest.mark.parametrize(
    "compiler",
    [
        pytest.param(name, marks=pytest.mark.skipif(which(name) is None, reason=f"{name} is not installed"))
        for name in ("gcc", "clang")
    ],
)
def test_what_is_promised_compiles_with(compiler: str) -> None:
    """All names, by each compiler there is, C and C++, with more warnings than most turn on."""
    for name, standards in (
        ("promised.c", ("c11", "c17")),
        ("promised_cpp.cpp", ("c++14", "c++17", "c++20")),
    ):
        for standard in standards:
            command = [
                compiler,
                f"-std={standard}",
                *compiled.STRICT,
                "-Wshadow",
                "-Wconversion",
                "-Wstrict-prototypes",
            ]
            if name.endswith(".cpp"):
                command.remove("-Wstrict-prototypes")
            command += [*compiled.package("--cflags"), "-fsyntax-only", str(compiled.PROGRAMS / name)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_calls(built: Callable[..., Path], bus: str, seed: int) -> None:
    """Handles of all kinds in all places, in four threads, under the sanitizers."""
    program = built("storm.c", *compiled.SANITIZERS)
    assert compiled.run(program, bus, str(seed), "5000") == "ok\n"


def test_a_leak_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "leak.c"
    source.write_text(LEAK)
    program = compiled.build(source, tmp_path, *compiled.SANITIZERS, f"-I{compiled.PROGRAMS}")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "LeakSanitizer" in done.stderr


@pytest.mark.parametrize(
    ("header", "standard"),
    [("ipmb_ffi.h", standard) for standard in ("c11", "c17", "c++14", "c++17", "c++20")]
    + [("ipmb.h", standard) for standard in ("c++14", "c++17", "c++20")],
)
def test_the_headers_stand_alone(tmp_path: Path, header: str, standard: str) -> None:
    """Included twice, with nothing before them."""
    source = tmp_path / ("a.cpp" if "++" in standard else "a.c")
    source.write_text(f'#include "{header}"\n#include "{header}"\nint main(void) {{ return 0; }}\n')
    compiler = compiled.COMPILERS[source.suffix][0]
    command = [
        compiler,
        f"-std={standard}",
        *compiled.STRICT,
        "-Wshadow",
        "-Wconversion",
        *compiled.package("--cflags"),
    ]
    done = subprocess.run([*command, "-fsyntax-only", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_function_of_the_header_is_exported_and_nothing_else() -> None:
    header = (compiled.PREFIX / "include" / "ipmb_ffi.h").read_text()
    declared = set(re.findall(r"^[\w ]+[ *](ipmb_\w+)\(", header, re.MULTILINE))
    library = compiled.PREFIX / "lib" / "libipmb.so"
    told = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
    exported = {line.split()[-1] for line in told.stdout.splitlines()}
    assert len(declared) > 60
    assert exported == declared


def test_the_header_is_what_null_handles_are_tried_with() -> None:
    """nulls.c calls every function there is."""
    header = (compiled.PREFIX / "include" / "ipmb_ffi.h").read_text()
    declared = set(re.findall(r"^[\w ]+[ *](ipmb_\w+)\(", header, re.MULTILINE))
    called = set(re.findall(r"\b(ipmb_\w+)\(", (compiled.PROGRAMS / "nulls.c").read_text()))
    called |= set(re.findall(r"\b(ipmb_\w+)\(", (compiled.PROGRAMS / "check.h").read_text()))
    assert declared - called == {"ipmb_memory_registry", "ipmb_version_pre"}  # they take nothing
