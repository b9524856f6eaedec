"""``python -m benches.queues``: `ipmb.Queue` beside `multiprocessing.Queue`, one producer and one consumer.

Rounds take turns, so that a busy machine slows both. What counts is the time in which the consumer gets its items while
the producer puts them; the ratio is of the medians.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any

import click

import ipmb

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

#: Bytes of an item, how many items a round has, and the queue's bound (0: none).
ROWS = [(16, 30_000, 0), (65_536, 3_000, 0), (65_536, 3_000, 16), (1 << 20, 200, 0)]


def consume(queue: Any, count: int, told: Connection) -> None:
    """The other process: one item to begin with, then the ones that count."""
    queue.get()
    begun = time.perf_counter()
    for _ in range(count):
        queue.get()
    told.send(count / (time.perf_counter() - begun))


def rate(make: Callable[[int], Any], size: int, count: int, bound: int) -> float:
    """Items a second."""
    queue = make(bound)
    reader, writer = multiprocessing.Pipe(duplex=False)
    consumer = multiprocessing.Process(target=consume, args=(queue, count, writer))
    consumer.start()
    item = bytes(size)
    for _ in range(count + 1):
        queue.put(item)
    found: float = reader.recv()
    consumer.join()
    queue.close()
    return found


@click.command()
@click.option("--rounds", default=9, help="How many rounds of each.")
def main(rounds: int) -> None:
    """Measure and print."""
    for size, count, bound in ROWS:
        figures: dict[str, list[float]] = {"ipmb": [], "multiprocessing": []}
        for _ in range(rounds):
            figures["ipmb"].append(rate(ipmb.Queue, size, count, bound))
            figures["multiprocessing"].append(rate(multiprocessing.Queue, size, count, bound))
        ours, theirs = (statistics.median(found) for found in figures.values())
        what = f"{size} bytes, bound {bound}:" if bound else f"{size} bytes:"
        click.echo(
            f"{what:26} ipmb {ours:9,.0f}/s  multiprocessing {theirs:9,.0f}/s  ratio {ours / theirs:.2f}"
        )


if __name__ == "__main__":
    main()
