"""The command line and the end of the interpreter, in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ipmb
from tests.support import program

if TYPE_CHECKING:
    from subprocess import CompletedProcess


def run(*words: str, seconds: float = 60) -> CompletedProcess[str]:
    return program.python(*words, seconds=seconds)


def test_version_and_help() -> None:
    version = run("-m", "ipmb", "--version")
    assert version.stdout.strip() == f"ipmb {ipmb.version().package}, protocol {ipmb.version().protocol}"
    shown = run("-m", "ipmb", "--help")
    assert shown.returncode == 0
    assert "demo" in shown.stdout


@pytest.mark.parametrize("seconds", ["1", "x", "-3"])
def test_wrong_seconds(seconds: str) -> None:
    result = run("-m", "ipmb", "demo", f"--seconds={seconds}")
    assert result.returncode == 2
    assert "--seconds" in result.stderr


def test_the_demo_goes_on_when_the_controller_is_killed() -> None:
    result = run("-m", "ipmb", "demo", "--seconds", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "killed with kill -9" in result.stdout
    assert "none lost" in result.stdout
    assert "NO" not in result.stdout


EXITS = {
    "a daemon thread waits in recv": "threading.Thread(target=receiver.recv, daemon=True).start()",
    "a daemon thread iterates and swallows the end": """
def forever():
    while True:
        try:
            for _ in receiver: pass
        except BaseException: pass
threading.Thread(target=forever, daemon=True).start()""",
    "a daemon thread waits for room": """
def fill():
    with ipmb.join(bus, "moon") as moon:
        while True: moon.sender.send("earth", b"x" * 4096)
threading.Thread(target=fill, daemon=True).start()""",
    "a daemon thread waits for a bus": """
threading.Thread(target=lambda: ipmb.join(bus + "nobody", controller_affinity=False), daemon=True).start()""",
    "many daemon threads send and receive": """
def talk():
    with ipmb.join(bus, "many") as (s, r):
        while True:
            s.send("many", b"x", overflow="drop")
            try: r.recv(0.001)
            except ipmb.RecvTimeout: pass
for _ in range(4): threading.Thread(target=talk, daemon=True).start()""",
    "nothing was closed": "leak = endpoint",
    "an exception ends the program": "raise SystemExit(0)",
}


@pytest.mark.parametrize("what", EXITS)
def test_the_interpreter_ends_quickly_and_cleanly(what: str, bus: str) -> None:
    code = f"""
import ipmb, threading, time
bus = {bus!r}
endpoint = ipmb.join(bus, "earth", timeout=10)
sender, receiver = endpoint
{EXITS[what]}
time.sleep(0.3)
print("end", flush=True)
"""
    result = run("-c", code, seconds=20)
    assert result.returncode == 0, result.stderr
    assert "Fatal" not in result.stderr
    assert "panicked" not in result.stderr


def test_a_child_that_was_forked_ends_cleanly_too(bus: str) -> None:
    code = f"""
import ipmb, os, sys, threading, time
endpoint = ipmb.join({bus!r}, "earth", timeout=10)
threading.Thread(target=endpoint.receiver.recv, daemon=True).start()
time.sleep(0.2)
child = os.fork()
if not child:
    for call in (lambda: endpoint.sender.send("earth", 1), endpoint.receiver.recv, endpoint.peers, endpoint.stats):
        try: call()
        except ipmb.Forked: pass
        else: sys.exit(1)
    endpoint.close()
    begun = time.monotonic()
    import atexit
    atexit.register(lambda: None)
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert endpoint.sender.send("earth", "the parent goes on") == 1
"""
    result = run("-W", "ignore", "-c", code, seconds=20)
    assert result.returncode == 0, result.stderr


LIAR = """
import ipmb, sys
from ipmb import codec

class Raw:
    def __init__(self, kind, data):
        self.kind, self.data = kind, data

# What a peer of another version, or a hostile one, may put into its ring.
codec.encode = lambda raw: (raw.kind, raw.data)
with ipmb.join(sys.argv[1], "liar", timeout=10) as (sender, _):
    for raw in (
        Raw(bytes(15) + b"\\x01", b"a type nobody knows"),
        Raw(codec.BUILTINS["list"].bytes, b"\\x93\\x01"),
        Raw(codec.BUILTINS["int"].bytes, b"no int"),
        Raw(codec.BUILTINS["str"].bytes, b"\\xff" * 100_000),
    ):
        assert sender.send("earth", raw) == 1
    assert sender.send("earth", "the truth") == 1
"""


def test_garbage_costs_only_its_message_and_unknown_types_are_skipped(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth:
        assert run("-c", LIAR, bus).returncode == 0
        for kind in ("list", "int", "str"):
            with pytest.raises(ipmb.DecodeError, match=f"is no {kind}"):
                earth.receiver.recv(timeout=10)
        assert earth.receiver.recv(timeout=10).payload == "the truth"
        assert earth.stats().skipped == 1


def test_recv_many_keeps_what_came_before_garbage(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth:
        assert (
            run(
                "-c", LIAR.replace("for raw in (", "assert sender.send('earth', 1)\n    for raw in ("), bus
            ).returncode
            == 0
        )
        assert [message.payload for message in earth.receiver.recv_many(10, timeout=10)] == [1]
        for kind in ("list", "int", "str"):
            with pytest.raises(ipmb.DecodeError, match=f"is no {kind}"):
                earth.receiver.recv_many(10, timeout=10)
        assert [message.payload for message in earth.receiver.recv_many(10, timeout=10)] == ["the truth"]
