"""Starts a command as an unprivileged user with a low descriptor limit.

Root is exempt from several limits of the kernel, the budget of descriptors in flight among them, so what was
tested as root alone is half tested. But the interpreter often lives where other users cannot read (/root).
The command then keeps one single capability, to read files, which none of those limits looks at; an
interpreter that anyone can execute gets none at all.

    python -m tests.support.plain_user [--nofile N] [--uid UID] command ...
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

NOBODY = 65534
NOFILE = 1024

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _held_capabilities() -> int:
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    low = struct.unpack("6I", data.raw)
    return int(low[1] | low[4] << 32)


def _keep_only(capability: int) -> None:
    """Reduce the process to one capability that survives exec."""
    bit = 1 << capability
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("6I", bit, bit, bit, 0, 0, 0)
    _check(_libc.capset(header, data), "capset")
    _check(
        _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0),
        "prctl(PR_CAP_AMBIENT)",
    )


def anyone_may_read(path: str) -> bool:
    """Whether every folder on the way to ``path`` lets others pass, and the file itself lets them read."""
    path = os.path.realpath(path)
    if not os.stat(path).st_mode & 0o004:
        return False
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return False
    return True


def needs_reading_capability() -> bool:
    """Whether another user could not run this interpreter with its packages and these tests."""
    needed = [sys.executable, sys.prefix, os.__file__, __file__]
    return not all(anyone_may_read(path) for path in needed)


def become(uid: int, nofile: int) -> None:
    """Turn this process into one of ``uid`` with at most ``nofile`` descriptors, for good."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
    if os.getuid() == uid:
        return
    keep = None
    if needs_reading_capability():
        held = _held_capabilities()
        for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
            if held >> capability & 1:
                keep = capability
                break
        else:
            raise PermissionError(f"user {uid} cannot read {sys.executable} and this user may not let it")
        _check(_libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep is not None:
        _keep_only(keep)


def wrap(uid: int = NOBODY, nofile: int = NOFILE) -> list[str]:
    """The words to put before a command so that it runs as ``uid``."""
    return [
        sys.executable,
        "-m",
        "tests.support.plain_user",
        "--nofile",
        str(nofile),
        "--uid",
        str(uid),
    ]


def main() -> None:
    words = sys.argv[1:]
    options = {"--nofile": NOFILE, "--uid": NOBODY if os.getuid() == 0 else os.getuid()}
    while words and words[0] in options:
        options[words[0]] = int(words[1])
        words = words[2:]
    if not words:
        sys.exit(__doc__)
    become(options["--uid"], options["--nofile"])
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
