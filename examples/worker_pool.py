"""A pool of workers with typed tasks and results, one of which is killed in the middle: no task is lost.

    python examples/worker_pool.py

Each task goes to one worker. Those a worker had not read when it died move on to the others by themselves; the one it
was at is the only one that nobody knows about, so the boss asks again for what it has no result of. That is the whole
protocol: no broker, no acknowledgements, and workers may come and go at any time.
"""

import dataclasses
import multiprocessing
import os
import signal
import sys
import time

import ipmb

TASKS = 300


# The UUID is the type on the wire (make your own with uuid.uuid4()): both sides need such a class, not the same module.
@ipmb.message_type("6f0a2c5e-3d0b-4d57-9a61-5c1f0f6f2a01")
@dataclasses.dataclass(frozen=True)
class Task:
    """Count the primes below a limit."""

    number: int
    limit: int


@ipmb.message_type("6f0a2c5e-3d0b-4d57-9a61-5c1f0f6f2a02")
@dataclasses.dataclass(frozen=True)
class Result:
    """How many there are."""

    number: int
    primes: int


@ipmb.message_type("6f0a2c5e-3d0b-4d57-9a61-5c1f0f6f2a03")
@dataclasses.dataclass(frozen=True)
class Stop:
    """No more tasks."""


def count_primes(below: int) -> int:
    """The work, a sieve."""
    sieve = bytearray([1]) * below
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return max(0, sum(sieve) - 2)


def work(bus: str) -> None:
    """A worker: takes tasks until it is told to stop."""
    with ipmb.join(bus, "worker", payloads=Task | Stop) as (_, receiver):
        for message in receiver:
            if isinstance(message.payload, Stop):
                break
            task = message.payload
            message.reply(Result(task.number, count_primes(task.limit)))


def main() -> int:
    """The boss, which starts the workers."""
    bus = f"example.pool.{os.getpid()}"
    tasks = {number: Task(number, 1000 + 100 * number) for number in range(TASKS)}
    results: dict[int, int] = {}
    by_worker: dict[int, int] = {}

    with ipmb.join(bus, "boss", payloads=Result) as boss:
        sender, receiver = boss
        spawning = multiprocessing.get_context("spawn")
        workers = [spawning.Process(target=work, args=(bus,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        while len(boss.peers()) < len(workers) and all(worker.is_alive() for worker in workers):
            time.sleep(0.01)

        for task in tasks.values():
            sender.send("worker", task, ttl=30)  # each to one worker, in turn

        while len(results) < TASKS:
            try:
                message = receiver.recv(timeout=1)
            except ipmb.RecvTimeout:  # what is still missing was in the hands of the one that died
                missing = [task for number, task in tasks.items() if number not in results]
                print(f"boss: asking again for {len(missing)} of {TASKS} tasks")
                for task in missing:
                    sender.send("worker", task, ttl=30)
                continue
            results[message.payload.number] = message.payload.primes
            by_worker[message.sender.pid] = by_worker.get(message.sender.pid, 0) + 1
            if len(results) == 20:
                os.kill(message.sender.pid, signal.SIGKILL)
                print(f"boss: killed worker {message.sender.pid} with kill -9, its queue full of tasks")

        sender.send(ipmb.Selector.multicast("worker"), Stop())
        for worker in workers:
            worker.join(timeout=10)

    for pid, count in by_worker.items():
        print(f"boss: worker {pid} did {count} tasks")
    right = all(results[number] == count_primes(task.limit) for number, task in tasks.items())
    print(f"boss: {len(results)} results, {'all right' if right else 'NOT ALL RIGHT'}")
    ended = sorted(worker.exitcode or 0 for worker in workers)
    return 0 if right and ended == [-signal.SIGKILL, 0, 0] else 1


if __name__ == "__main__":
    sys.exit(main())
