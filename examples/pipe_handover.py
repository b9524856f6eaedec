"""One end of a pipe is handed over: two processes that never met talk through it, and the bus is out of the way.

    python examples/pipe_handover.py

The reader makes a pipe and gives the writing end away with a message. From then on what is written goes straight
through the kernel, at the speed of a pipe, without a message for each line. The reader sees the end of the file when
the writer is done, because nobody else holds the writing end any more: not the reader, not the bus.
"""

import multiprocessing
import os
import sys

import ipmb

LINES = 100_000


def write(bus: str) -> None:
    """The other process: takes the pipe's end out of a message, and fills it."""
    with ipmb.join(bus, "writer") as (_, receiver), receiver.recv(timeout=10) as message:
        print(f"writer {os.getpid()}: got a pipe from process {message.sender.pid}: {message.payload}")
        pipe = message.objects[0].open(
            "w"
        )  # an ordinary file; the message's own descriptor ends with the message
    # Off the bus by now; the pipe stays.
    with pipe:
        for number in range(LINES):
            pipe.write(f"line {number}\n")


def main() -> int:
    """The reader, which starts the writer."""
    bus = f"example.pipe.{os.getpid()}"
    process = multiprocessing.get_context("spawn").Process(target=write, args=(bus,))
    process.start()

    read_end, write_end = os.pipe()
    with ipmb.join(bus, "reader") as (sender, _):
        # The writer may not be there yet: the message waits for it, and the descriptor with it.
        sender.send("writer", "write your lines into this", objects=[write_end], ttl=10)
        os.close(write_end)  # what was sent is a duplicate, so ours can go at once
        with os.fdopen(read_end) as pipe:
            lines = pipe.readlines()  # to the end of the file

    process.join()
    print(
        f"reader {os.getpid()}: {len(lines):,} lines, the last is {lines[-1].strip()!r}, then the end of the file"
    )
    right = lines == [f"line {number}\n" for number in range(LINES)]
    return 0 if right and process.exitcode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
