"""Workers that put into and get from one queue until they are killed, and the books of what went where.

Each worker writes to a log of its own what it has put (after `put` returned) and what it has got (after `get`
returned), so that what a dead one knew can be read. A *putter* may have put one item that it could not write down any
more, and a *getter* may have taken one.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import signal
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ipmb
from tests.support import nursery
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECORD = struct.Struct("<IQ")
#: Seconds for whatever must go on: generous, since only a failing test waits that long.
LONG = 30.0
#: Items have so many bytes beside who put them and which it is: most are small, some are copied for a while.
SIZES = (0, 0, 0, 100, 5_000, 70_000, 300_000)
#: How many items the queue takes, so that putters wait, too.
BOUND = 40

#: Who is said to have put the items that tell getters to look whether they are to leave.
NOBODY = 1 << 31

Item = tuple[int, int, bytes]


class Note(NamedTuple):
    """That item `number` of putter `who` was put, or was got."""

    who: int
    number: int


class Log:
    """What one worker did, readable after its death."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, who: int, number: int) -> None:
        os.write(self._file, RECORD.pack(who, number))


def read_log(path: Path) -> list[Note]:
    return [Note(*fields) for fields in RECORD.iter_unpack(path.read_bytes())] if path.exists() else []


def payload(who: int, number: int) -> bytes:
    return bytes([(who + number) % 251]) * SIZES[(who * 31 + number) % len(SIZES)]


def put_for_ever(queue: ipmb.Queue[Item] | bytes, who: int, path: str, stop: str) -> None:
    """A putter; it leaves when there is a file called `stop`."""
    queue = _opened(queue)
    _have_a_child(who, stop)
    log = Log(path)
    number = 0
    while number % 20 or not os.path.exists(stop):
        queue.put((who, number, payload(who, number)), timeout=LONG)
        log.note(who, number)
        number += 1


def get_for_ever(queue: ipmb.Queue[Item] | bytes, me: int, path: str, stop: str) -> None:
    """A getter; it leaves when there is a file called `stop`."""
    queue = _opened(queue)
    _have_a_child(me, stop)
    log = Log(path)
    while not os.path.exists(stop):
        who, number, body = queue.get(timeout=LONG)
        if who == NOBODY:
            continue
        log.note(who, number)
        assert body == payload(who, number), f"item {number} of {who} is damaged"


def _have_a_child(number: int, stop: str) -> None:
    """Every tenth worker has a child, which outlives it and must not keep its lock."""
    if number % 10 == 0 and os.fork() == 0:
        deadline = time.monotonic() + 10 * LONG
        while not os.path.exists(stop) and time.monotonic() < deadline:
            time.sleep(0.2)
        os._exit(0)


def _opened(queue: ipmb.Queue[Item] | bytes) -> ipmb.Queue[Item]:
    """Some workers get the queue itself, some its address."""
    return pickle.loads(queue) if isinstance(queue, bytes) else queue


@dataclass
class Worker:
    """A process in the storm."""

    number: int
    puts: bool
    path: Path
    pid: int
    process: Any = None
    killed: bool = False

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL, f"worker {self.number} had died before it was killed"

    def ended(self) -> int:
        if self.process is not None:
            # `join` would wait for the child of a dead worker, too.
            until(lambda: self.process.exitcode is not None, f"worker {self.number} ends", bound=LONG)
            return int(self.process.exitcode)
        return nursery.bury(self.pid)


@dataclass
class Storm:
    """All workers, the living and the dead."""

    folder: Path
    chance: random.Random
    queue: ipmb.Queue[Item] = field(default_factory=lambda: ipmb.Queue(BOUND))
    workers: list[Worker] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def stop(self) -> str:
        return str(self.folder / "stop")

    def start(self, how: str, *, puts: bool) -> Worker:
        number = len(self.workers)
        path = self.folder / str(number)
        role: Callable[..., None] = put_for_ever if puts else get_for_ever
        queue: Any = pickle.dumps(self.queue) if how == "address" else self.queue
        worker = Worker(number, puts, path, 0)
        if how == "spawn":
            process = multiprocessing.get_context("spawn").Process(
                target=role, args=(queue, number, str(path), self.stop), daemon=True
            )
            process.start()
            assert process.pid is not None
            worker.pid, worker.process = process.pid, process
        else:
            reference = f"{role.__module__}:{role.__qualname__}"
            worker.pid = nursery.bear(reference, queue, number, str(path), self.stop)
        self.workers.append(worker)
        return worker

    def strike(self, victim: Worker, survivors: list[Worker]) -> None:
        """Kill one at a random moment; those who are left get on."""
        if self.chance.random() < 0.9:  # the others die on the way in
            until(lambda: victim.size() > 0, f"worker {victim.number} has begun", bound=LONG, every=0.0005)
        time.sleep(self.chance.random() ** 2 * 0.004)
        victim.kill()
        begun = time.monotonic()
        before = [one.size() for one in survivors]
        until(
            lambda: all(one.size() > size for one, size in zip(survivors, before, strict=True)),
            f"the survivors go on after worker {victim.number} was killed",
            bound=LONG,
            every=0.0005,
        )
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def calm(self, living: list[Worker]) -> list[Note]:
        """Everybody who lives leaves of his own accord; what was still in the queue."""
        Path(self.stop).touch()
        left = list(self._drained(lambda: any(one.puts and _runs(one) for one in living)))
        for who in range(len([one for one in living if not one.puts])):
            self.queue.put((NOBODY, who, b""), timeout=LONG)
        for one in living:
            if one.puts:
                assert one.ended() == 0
        for one in living:
            if not one.puts:
                while _runs(one):
                    time.sleep(0.001)
                assert one.ended() == 0
        return [*left, *self._drained(lambda: False)]

    def _drained(self, go_on: Callable[[], bool]) -> Iterator[Note]:
        import queue as stdlib

        while True:
            more = go_on()
            try:
                who, number, body = self.queue.get(timeout=0.05 if more else 0)
            except stdlib.Empty:
                if not more:
                    return
                continue
            if who != NOBODY:
                assert body == payload(who, number)
                yield Note(who, number)


def _runs(worker: Worker) -> bool:
    if worker.process is not None:
        return bool(worker.process.is_alive())
    return os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def weather(folder: str, kills: int, seed: int) -> dict[str, Any]:
    """The whole storm, in a process of its own that everybody descends from; its books."""
    chance = random.Random(seed)
    storm = Storm(Path(folder), chance)
    survivors = [storm.start("fork", puts=True), storm.start("fork", puts=False)]
    living: list[Worker] = []
    counted = {"fork": 0, "spawn": 0, "address": 0}
    for _ in range(kills):
        while len(living) < 6:
            how = chance.choices(["fork", "spawn", "address"], [85, 8, 7])[0]
            counted[how] += 1
            living.append(storm.start(how, puts=sum(one.puts for one in living) < 3))
        victim = chance.choice(living)
        living.remove(victim)
        storm.strike(victim, survivors)
    left = storm.calm([*survivors, *living])
    return judge(storm, left) | {"started": counted, "slowest": storm.slowest}


def judge(storm: Storm, left: list[Note]) -> dict[str, Any]:
    """Compare what was put with what was got, over all the living and the dead."""
    put = {one.number: len(read_log(one.path)) for one in storm.workers if one.puts}
    got: dict[Note, int] = {}
    wrong: list[str] = []
    for one in storm.workers:
        if not one.puts:
            _tally(f"getter {one.number}", read_log(one.path), got, wrong)
    _tally("the rest", left, got, wrong)
    dead = {one.number for one in storm.workers if one.killed}
    unnoted = 0
    for note in got:
        extra = note.number - put[note.who] + 1
        if extra > 0:
            unnoted += 1
            if extra > 1 or note.who not in dead:
                wrong.append(f"{note} was got and never put")
    lost = sum(Note(who, number) not in got for who, count in put.items() for number in range(count))
    return {
        "wrong": wrong[:20],
        "put": sum(put.values()),
        "got": len(got),
        "lost": lost,
        "unnoted": unnoted,
        "killed putters": sum(one.puts and one.killed for one in storm.workers),
        "killed getters": sum(not one.puts and one.killed for one in storm.workers),
    }


def _tally(name: str, notes: list[Note], got: dict[Note, int], wrong: list[str]) -> None:
    last: dict[int, int] = {}
    for note in notes:
        if note in got:
            wrong.append(f"{note} came twice, now to {name}")
        got[note] = 1
        if last.get(note.who, -1) >= note.number:
            wrong.append(f"{note} came to {name} after {last[note.who]}")
        last[note.who] = note.number
