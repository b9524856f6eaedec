"""Fuzzers: how they are built, run and replayed, and how what they find is kept.

    python -m tests.faults.torture.fuzzing      keep the smallest set of cases that reaches all that was reached

The targets are programs of ``fuzz/``: most call one function of the crates (`crates/*/src/**/fuzzing*`) with bytes that
libFuzzer makes up, `abi` makes calls of the C ABI of them, and `payload.py` is for what Python decodes. The toolchain
need not be nightly and nothing has to be installed: the flags below are what cargo-fuzz would give, and a stable
compiler takes them when it is told to. With the sanitizer's runtime, which comes with the toolchain, every read and
write is checked.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.torture.record import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

FUZZ = ROOT / "fuzz"
#: The cases that are checked in.
CORPUS = FUZZ / "corpus"
#: What runs here have found besides, logs, and cases that failed.
FOUND = ROOT / ".build" / "fuzz"
BUILT = ROOT / "target" / "fuzz"

PYTHON = "payload"
RUST = ("channel", "ring", "control", "directory", "parking", "expression", "abi")

#: Long cases are slow ones, and every rule can be broken in a short one.
LONGEST = 1024
#: Seconds for one case: none may hang.
HANG = 10

_COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
)


class BuildError(Exception):
    """The fuzzers could not be built; the text is the compiler's."""


def _asks_rustc(*question: str) -> str:
    return subprocess.run(["rustc", *question], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@cache
def triple() -> str:
    """What this machine is called by the compiler."""
    found = re.search(r"^host: (\S+)$", _asks_rustc("-vV"), re.MULTILINE)
    assert found is not None
    return found[1]


@cache
def has_sanitizer() -> bool:
    """Whether the toolchain brings AddressSanitizer's runtime for this machine."""
    library = Path(_asks_rustc("--print", "target-libdir").strip())
    return any(library.glob("librustc*_rt.asan.a"))


def build() -> None:
    """Build the Rust targets.

    Raises:
        BuildError: They do not compile.
    """
    flags = ["--cfg=fuzzing", *_COVERAGE, *(["-Zsanitizer=address"] if has_sanitizer() else [])]
    done = subprocess.run(
        # With a target of its own, so that build scripts and macros are compiled as ever.
        ["cargo", "build", "--locked", "--quiet", "--release", "--target", triple(), "--target-dir", BUILT],
        cwd=FUZZ,
        env={**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(done.stdout)


def targets() -> list[str]:
    """What can be fuzzed here: `payload` only where there is atheris."""
    return [*RUST, *([PYTHON] if importlib.util.find_spec("atheris") else [])]


def command(target: str, *arguments: object) -> list[str]:
    """The program of a target with arguments of libFuzzer."""
    if target == PYTHON:
        program = [sys.executable, str(FUZZ / "targets" / f"{PYTHON}.py")]
    else:
        program = [str(BUILT / triple() / "release" / target)]
    return [*program, f"-max_len={LONGEST}", f"-timeout={HANG}", *map(str, arguments)]


class Fuzzer:
    """One target, being fuzzed."""

    def __init__(self, target: str, seconds: int, seed: int) -> None:
        self.target = target
        folder = FOUND / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for stale in FOUND.glob(f"{target}-failed-*"):
            stale.unlink()
        self.log = FOUND / f"{target}.log"
        options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(
                    target, *options, f"-artifact_prefix={FOUND}/{target}-failed-", folder, CORPUS / target
                ),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def output(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace")

    def failed(self) -> bytes | None:
        """The case at which it stopped."""
        return next((path.read_bytes() for path in FOUND.glob(f"{self.target}-failed-*")), None)

    def figure(self) -> str:
        """Cases it has run, and edges of the code that it has reached."""
        text = self.output()
        runs = re.findall(r"^stat::number_of_executed_units: (\d+)", text, re.MULTILINE)
        runs = runs or re.findall(r"^#(\d+)\s", text, re.MULTILINE) or ["0"]
        edges = re.findall(r" cov: (\d+) ", text) or ["0"]
        return f"{int(runs[-1]):,} cases, {int(edges[-1]):,} edges"


def replay(target: str, case: bytes) -> tuple[int, str]:
    """Run one case; exit code and output."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(case)
        file.flush()
        done = subprocess.run(
            command(target, file.name),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    return done.returncode, done.stdout


def why(output: str) -> str:
    """The lines of a fuzzer's output that say what went wrong."""
    lines = output.splitlines()
    signs = ("panicked at", "ERROR: ", "Uncaught Python exception", "Traceback")
    first = next((place for place, line in enumerate(lines) if any(sign in line for sign in signs)), -30)
    return "\n".join(lines[first:][:40])


def keep(chosen: Iterable[str]) -> None:
    """Merge what runs have found into the corpus: of cases that reach the same, the smallest."""
    for target in chosen:
        with tempfile.TemporaryDirectory() as merged:
            found = FOUND / "corpus" / target
            found.mkdir(parents=True, exist_ok=True)
            kept = CORPUS / target
            kept.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(
                command(target, "-set_cover_merge=1", "-use_counters=0", merged, kept, found),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            assert done.returncode == 0, why(done.stdout)
            before = len(list(kept.iterdir()))
            shutil.rmtree(kept)
            shutil.copytree(merged, kept)
        print(f"{target}: {before} cases before, {len(list(kept.iterdir()))} now")


if __name__ == "__main__":
    build()
    keep(sys.argv[1:] or targets())
