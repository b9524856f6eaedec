"""Roles that send and receive descriptors.

Everything that is handed over carries something by which the receiver can tell it from any other: a file its
content, a pipe or socket what is read from it, a process its number.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any

import ipmb
from tests.support import forking, proc, roles, stranger

MAIN = roles.MAIN

#: What this process keeps between two calls: the other ends of what it gave away, and what it took.
kept: list[Any] = []


def count() -> int:
    """How many descriptors this process has open."""
    return len(proc.descriptors(os.getpid()))


def numbered(number: int) -> int:
    """A new memory file that holds a number."""
    made = os.memfd_create(f"number-{number}")
    os.write(made, str(number).encode())
    return made


def numbered_in(pid: int) -> int:
    """How many such files a process has open."""
    return sum(target.startswith("/memfd:number-") for target in proc.descriptors(pid).values())


def number_of(thing: ipmb.Object) -> int:
    """The number in a memory file, wherever somebody's shared position in it is."""
    return int(os.pread(thing.fileno(), 20, 0))


def send_numbered(
    to: str,
    how_many: int,
    payload: Any = "numbered",
    *,
    first: int = 0,
    mode: str = "unicast",
    ttl: float = 0,
    timeout: float | None = 10.0,
) -> int:
    """Send that many numbered memory files in one message, and keep none of them."""
    made = [numbered(number) for number in range(first, first + how_many)]
    try:
        where = roles.selector(to, mode, ttl)
        return roles.ends[MAIN].sender.send(where, payload, objects=made, timeout=timeout)
    finally:
        for one in made:
            os.close(one)


def short(payload: Any) -> Any:
    """A payload as it crosses the pipe: the length stands for a large one, of zeros."""
    if isinstance(payload, bytes) and len(payload) > 1000:
        assert not payload.strip(b"\0")
        return len(payload)
    return payload


def recv_numbered(timeout: float = 10.0) -> tuple[Any, list[int], bool]:
    """Receive one message: (payload, the numbers of its objects in order, whether it was redelivered)."""
    with roles.ends[MAIN].receiver.recv(timeout) as message:
        numbers = [number_of(one) for one in message.objects]
        return short(roles.plain(message.payload)), numbers, message.redelivered


def send_many_numbered(to: str, messages: int, each: int) -> int:
    """Send ``messages`` messages of ``each`` numbered files; how many descriptors were sent."""
    for number in range(messages):
        assert send_numbered(to, each, number, first=number * each) == 1
    return messages * each


def recv_many_numbered(messages: int, each: int, how: str) -> int:
    """Receive what :func:`send_many_numbered` sends, checked; ``how``: what becomes of each message."""
    for number in range(messages):
        message = roles.ends[MAIN].receiver.recv(20.0)
        assert message.payload == number
        if how == "unseen":  # nobody looks at what is attached
            continue
        things = message.objects
        assert [number_of(one) for one in things] == list(range(number * each, (number + 1) * each))
        match how:
            case "closed":
                message.close()
            case "taken":
                message.close()
                for one in things:
                    one.close()
            case "detached":
                for one in things:
                    os.close(one.detach())
            case _:
                assert how == "collected"
    return messages


# -- one of each kind: how it is made, and how the receiver tells that it is the one


def _make(kind: str) -> tuple[Any, Any]:  # noqa: PLR0911 - a branch for each kind
    """What is to be sent, and what the sender keeps."""
    match kind:
        case "file":
            file = tempfile.TemporaryFile()  # noqa: SIM115 - sent, then closed by its owner
            file.write(b"a file")
            file.flush()
            return file, None
        case "memfd":
            made = os.memfd_create("mine")
            os.write(made, b"a memory file")
            return made, None
        case "pipe":
            read_end, write_end = os.pipe()
            os.write(write_end, b"a pipe")
            os.close(write_end)
            return read_end, None
        case "socket":
            ours, theirs = socket.socketpair()
            ours.sendall(b"a socket")
            return theirs, ours
        case "listener":
            listener = socket.create_server(("127.0.0.1", 0))
            client = socket.create_connection(listener.getsockname())
            client.sendall(b"a listener")
            return listener, client
        case "folder":
            return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), None
        case "eventfd":
            return os.eventfd(7), None
        case _:
            assert kind == "pidfd"
            sleeper = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
            return os.pidfd_open(sleeper.pid), sleeper


KINDS = ("file", "memfd", "pipe", "socket", "listener", "folder", "eventfd", "pidfd")


def send_kind(to: str, kind: str) -> int:
    """Send one object of that kind, and close the own end right after."""
    thing, rest = _make(kind)
    kept.append(rest)
    reached = roles.ends[MAIN].sender.send(to, kind, objects=[thing], timeout=10.0)
    os.close(thing) if isinstance(thing, int) else thing.close()
    return reached


def recv_kind() -> tuple[str, str]:
    """Receive one object and use it as what it is: (its kind, what it said)."""
    with roles.ends[MAIN].receiver.recv(10.0) as message:
        (thing,) = message.objects
        return message.payload, _use(message.payload, thing)


def _use(kind: str, thing: ipmb.Object) -> str:  # noqa: PLR0911 - a branch for each kind
    match kind:
        case "file" | "memfd":
            with thing.open("rb") as file:
                file.seek(0)
                return str(file.read(), "ascii")
        case "pipe":
            with thing.open("r", encoding="ascii") as file:
                return str(file.read())
        case "socket":
            with thing.socket() as one:
                return str(one.recv(100), "ascii")
        case "listener":
            with thing.socket() as listener, listener.accept()[0] as one:
                return str(one.recv(100), "ascii")
        case "folder":
            listed = os.listdir(thing.fileno())
            return "a folder" if str(os.getpid()) in listed else f"{listed}"
        case "eventfd":
            return f"an eventfd of {os.eventfd_read(thing.fileno())}"
        case _:
            signal.pidfd_send_signal(thing.fileno(), signal.SIGTERM)
            return "a pidfd"


def wait_for_kept() -> int:
    """The exit code of the process whose pidfd was given away."""
    sleeper: subprocess.Popen[bytes] = kept.pop()
    return sleeper.wait(10.0)


# -- pipes, and when their ends are really closed


def give_writing_end(to: str, *, ttl: float = 0) -> int:
    """Make a pipe, give the writing end away whole, keep the reading end."""
    read_end, write_end = os.pipe()
    kept.append(read_end)
    try:
        where = roles.selector(to, "unicast", ttl)
        return roles.ends[MAIN].sender.send(where, "write here", objects=[write_end], timeout=10.0)
    finally:
        os.close(write_end)


def seconds_to_end(bound: float) -> tuple[bytes, float]:
    """Read the kept pipe to its end: (what came, how long that took); fails if the end does not come."""
    begin = time.monotonic()
    found = b""
    while True:
        left = begin + bound - time.monotonic()
        assert left > 0, f"no end of file within {bound:g} s; {found!r} came"
        assert select.select([kept[-1]], [], [], left)[0] or left < 0.001, "no end of file in time"
        chunk = os.read(kept[-1], 65536)
        if not chunk:
            os.close(kept.pop())
            return found, time.monotonic() - begin
        found += chunk


def write_and_close(text: bytes, how: str) -> None:
    """Receive a pipe's end, write into it, and let it go in one of the ways there are."""
    message = roles.ends[MAIN].receiver.recv(10.0)
    (thing,) = message.objects
    os.write(thing.fileno(), text)
    match how:
        case "message":
            del thing
            message.close()
        case "object":
            thing.close()
            message.close()
        case "file":
            with thing.open("wb"):
                thing.close()
                message.close()
        case _:
            assert how == "dropped"


def recv_and_keep() -> int:
    """Receive a message and keep it; how many objects it has."""
    message = roles.ends[MAIN].receiver.recv(10.0)
    kept.append(message)
    return len(message.objects)


def inheritable_of_kept() -> list[bool]:
    return [os.get_inheritable(one.fileno()) for one in kept[-1].objects]


def seen_by_a_program() -> list[str]:
    """The memory files that a program started from here, with all it can inherit, has open."""
    code = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')[:-1]])"
    done = subprocess.run([sys.executable, "-c", code], close_fds=False, check=True, capture_output=True)
    return [target for target in eval(done.stdout.decode(), {}) if "memfd" in target]


def recv_despite_limit(spare: int) -> tuple[list[str], list[int], list[bytes]]:
    """With all but ``spare`` descriptors in use, receive; then with room: (errors, numbers, later payloads)."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    for _ in range(spare):
        os.close(taken.pop())
    errors = []
    for _ in range(3):
        try:
            roles.ends[MAIN].receiver.recv(1.0)
        except ipmb.IpmbError as error:
            errors.append(type(error).__name__)
    for one in taken:
        os.close(one)
    _, numbers, _ = recv_numbered()
    return errors, numbers, roles.recv_all(0.2)


def look_after_fork() -> Any:
    """What a forked child finds of an `Object` and of a detached descriptor, and what is read in the end."""
    read_end, write_end = os.pipe()
    lost = ipmb.Object(write_end)
    os.close(write_end)
    kept = ipmb.Object(read_end).detach()
    os.close(read_end)

    def look() -> Any:
        names = []
        for use in (lost.fileno, lambda: ipmb.Object(lost)):
            try:
                use()
            except ipmb.IpmbError as error:
                names.append(type(error).__name__)
        others = [number for number in proc.descriptors(os.getpid()) if number != kept]
        writing = any(os.path.sameopenfile(kept, number) for number in others if number > 2)
        return (*names, writing, os.read(kept, 20))

    os.write(lost.fileno(), b"detached")
    seen = forking.in_child(os.fork, look)
    lost.close()
    return *seen, os.read(kept, 20)


def send_cycles(to: str, rounds: int) -> int:
    """Send pairs of sockets in which they themselves are on their way."""
    sender = roles.ends[MAIN].sender
    for _ in range(rounds):
        one, other = socket.socketpair()
        socket.send_fds(one, [b"."], [one.fileno(), other.fileno()])
        socket.send_fds(other, [b"."], [one.fileno(), other.fileno()])
        assert sender.send(to, None, objects=[one, other], timeout=5.0) == 1
        one.close()
        other.close()
    return rounds


def recv_and_close(messages: int) -> int:
    count = 0
    for _ in range(messages):
        with roles.ends[MAIN].receiver.recv(5.0) as message:
            count += len(message.objects)
    return count


def send_numbered_until_error(to: str, each: int) -> tuple[int, str]:
    """Send numbered files until there is no room; (how many messages went, the name of the exception)."""
    made = [numbered(number) for number in range(each)]
    sender = roles.ends[MAIN].sender
    for number in range(100_000):
        try:
            assert sender.send(to, "numbered", objects=made, overflow="error") == 1
        except ipmb.SendError as error:
            for one in made:
                os.close(one)
            return number, type(error).__name__
    return -1, ""


def recv_through_shortage(timeout: float) -> Any:
    """The payload of the next message that does fit, however often another does not."""
    end = time.monotonic() + timeout
    while True:
        try:
            with roles.ends[MAIN].receiver.recv(max(0.0, end - time.monotonic())) as message:
                return roles.plain(message.payload)
        except ipmb.TooManyOpenFiles:
            continue


def recv_payload_counts(quiet: float = 0.3) -> dict[Any, int]:
    """Receive until nothing more comes; how often each payload did."""
    return dict(Counter(roles.recv_all(quiet)))


# -- bombs


def send_bombs(to: str, messages: int, each: int) -> int:
    """Send so many messages of so many descriptors each; how many descriptors that were."""
    made = [numbered(0)] * each
    sender = roles.ends[MAIN].sender
    for _ in range(messages):
        assert sender.send(to, None, objects=made, timeout=20.0) == 1
    os.close(made[0])
    return messages * each


def recv_bombs(messages: int) -> int:
    """Receive so many messages and let go of what came with them."""
    taken = 0
    while taken < messages:
        # Descriptors on their way are a budget of the user's, and it may be used up for a moment.
        with contextlib.suppress(ipmb.TooManyOpenFiles):
            roles.ends[MAIN].receiver.recv(20.0).close()
            taken += 1
    return messages


def throw_stray(name: bytes, packets: int, each: int) -> int:
    """Connect so often as a stranger and say nonsense with so many descriptors; how many descriptors that were."""
    spare = stranger.spare_descriptors(each)
    for number in range(packets):
        with stranger.connect(name) as one:
            stranger.say(one, b"x" if number % 2 else stranger.packet(bytes(41)), spare)
    for descriptor in spare:
        os.close(descriptor)
    return packets * each
