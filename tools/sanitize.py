"""The Rust tests under the sanitizers and under Miri: `make sanitize`, `make miri`.

AddressSanitizer needs no more than the stable toolchain; ThreadSanitizer wants a standard library that is built with
it, so it runs where there is a nightly toolchain with rust-src, and Miri where that has it too. Whatever cannot run
here is said.

What each can see: AddressSanitizer every read and write of the heap and the stack, not the inside of memory files.
ThreadSanitizer races inside one process, not those between two mappings of one file, which are two addresses to it:
for these there is loom. Miri everything that needs no system call it lacks; memory files are pieces of the heap there
(`crates/transport/src/sys/linux/heap.rs`), so the ring and all of `memory.rs` run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
CRATES = ("--package=ipmb-transport", "--package=ipmb-bus", "--package=ipmb-binding")

#: What Miri runs, by crate and kind of test: those whose names have one of the words.
MIRI = (
    ("ipmb-transport", ("--lib",), ("ring::",)),
    ("ipmb-transport", ("--test=ring", "--test=growth"), ()),
    (
        "ipmb-bus",
        ("--lib",),
        ("label", "wire::", "record::tests::a_tag", "record::tests::an_ext", "selector::"),
    ),
)


def output(*command: str) -> str:
    """What a program says; nothing where there is no such program, or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def triple() -> str:
    """What this machine is called by the compiler."""
    found = re.search(r"^host: (\S+)$", output("rustc", "-vV"), re.MULTILINE)
    return found[1] if found else ""


def nightly(component: str) -> bool:
    """Whether there is a nightly toolchain with a component."""
    installed = output("rustup", "component", "list", "--toolchain=nightly", "--installed")
    return any(line.startswith(component) for line in installed.splitlines())


def run(name: str, command: list[str], **env: str) -> bool:
    """Run one of them; whether it has passed."""
    click.secho(f"{name}: {' '.join(command)}", bold=True)
    # Trials among the tests take ten times as long; a hundred units of each will do.
    env = {**os.environ, "IPMB_COUNT": "100", **env}
    done = subprocess.run(command, cwd=ROOT, env=env, check=False)  # noqa: S603
    click.secho(f"{name}: {'passed' if done.returncode == 0 else 'FAILED'}", bold=True)
    return done.returncode == 0


def address() -> bool:
    """The tests under AddressSanitizer."""
    library = Path(output("rustc", "--print", "target-libdir").strip())
    if not any(library.glob("librustc*_rt.asan.a")):
        click.echo("AddressSanitizer: the toolchain has no runtime for this machine")
        return True
    tests = ["cargo", "test", "--locked", "--quiet", *CRATES, "--lib", "--tests", f"--target={triple()}"]
    where = f"--target-dir={ROOT}/target/asan"
    return run("AddressSanitizer", [*tests, where], RUSTC_BOOTSTRAP="1", RUSTFLAGS="-Zsanitizer=address")


def thread() -> bool:
    """The tests under ThreadSanitizer."""
    if not nightly("rust-src"):
        click.echo("ThreadSanitizer: needs a nightly toolchain with rust-src (rustup component add rust-src)")
        return True
    tests = ["cargo", "+nightly", "test", "-Zbuild-std", "--locked", "--quiet", *CRATES, "--lib", "--tests"]
    where = [f"--target={triple()}", f"--target-dir={ROOT}/target/tsan"]
    # Tests fork, and their children start threads.
    options = "die_after_fork=0"
    return run("ThreadSanitizer", [*tests, *where], RUSTFLAGS="-Zsanitizer=thread", TSAN_OPTIONS=options)


def miri() -> bool:
    """What Miri can run."""
    if not nightly("miri"):
        click.echo("Miri: needs a nightly toolchain with it (rustup +nightly component add miri rust-src)")
        return True
    # It is a thousand times slower, so that few cases of each property have to do.
    env = {"MIRIFLAGS": "-Zmiri-disable-isolation", "PROPTEST_CASES": "2"}
    env["PROPTEST_DISABLE_FAILURE_PERSISTENCE"] = "1"
    passed = True
    for crate, kinds, names in MIRI:
        tests = ["cargo", "+nightly", "miri", "test", "--locked", f"--package={crate}", *kinds]
        passed &= run("Miri", [*tests, f"--target-dir={ROOT}/target/miri", "--", *names], **env)
    return passed


@click.command(help=__doc__)
@click.argument("which", nargs=-1, type=click.Choice(["address", "thread", "miri"]))
def main(which: tuple[str, ...]) -> None:
    """Run those that are named, or both sanitizers."""
    checks = {"address": address, "thread": thread, "miri": miri}
    passed = [checks[one]() for one in which or ("address", "thread")]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
