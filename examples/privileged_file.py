"""A file that one process may open is read by another that may not.

    python examples/privileged_file.py          # as root, and as anybody

A small process with many rights opens what is needed and hands it over; the large one that does the work has none. What
counts is who opened the file, not who reads it: a descriptor is a permission that can be given to one process, for one
file, without telling a path or a password.

As root, the reader becomes the user "nobody" before it gets the file. Anybody else has no rights to drop; there the
file loses its permissions once it is open, so that nobody can open it by its name any more.
"""

import multiprocessing
import os
import sys
import tempfile

import ipmb

CONTENT = "the key is under the mat\n"
NOBODY = 65534


def read(bus: str, path: str) -> None:
    """The process without rights."""
    with ipmb.join(bus, "reader") as (_, receiver):
        if (
            os.getuid() == 0
        ):  # it joined as root's, since a bus is for one user (and root); now it gives that up
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with receiver.recv(timeout=10) as message:
            try:
                open(path).close()
            except PermissionError as error:
                print(f"reader, user {os.getuid()}: opening it by its name fails: {error.strerror}")
            else:
                sys.exit(f"reader, user {os.getuid()}: {path} can be opened by its name, which shows nothing")
            with message.objects[0].open("r") as file:
                text = file.read()
    print(f"reader, user {os.getuid()}: reading what was handed over: {text.strip()!r}")
    sys.exit(text != CONTENT)


def main() -> int:
    """The process with the rights, which starts the one without."""
    bus = f"example.privileged.{os.getpid()}"
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(CONTENT)
        file.flush()

        reader = multiprocessing.get_context("spawn").Process(target=read, args=(bus, file.name))
        reader.start()
        with ipmb.join(bus, "opener") as (sender, _), open(file.name) as opened:
            os.chmod(file.name, 0o600 if os.getuid() == 0 else 0o000)
            print(
                f"opener, user {os.getuid()}: opened a file with the permissions {os.stat(file.name).st_mode & 0o777:o}"
            )
            sender.send("reader", "yours to read", objects=[opened], ttl=10)
            reader.join()
    return reader.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())
