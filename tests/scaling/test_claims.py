"""What scaling claims, where it can be shown without a clock: instructions, wake-ups, processor time as a ratio.

How fast anything is depends on the machine's mood and is measured by ``make bench-scaling``; these do not.
"""

from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING

from benches.scaling.studies import idle

import ipmb
from tests.support import proc, roles, syscalls

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Child

#: Members of the larger bus. A send that looked at each of them would take that many steps at least.
MANY = 200
PAYLOAD = bytes(64)


def join_many(bus: str, count: int) -> float:
    """So many endpoints one after another, kept; processor seconds of this process."""
    before, present = time.process_time(), len(roles.ends)
    for number in range(present, present + count):
        roles.ends[f"member-{number}"] = ipmb.join(bus, "member", timeout=20)
    return time.process_time() - before


def processor_seconds() -> float:
    return time.process_time()


def marked_send() -> None:
    """Both ends here: sends and receives until nothing new happens, then one send between marks.

    The interpreter's lock is asked for by nobody, collections are off, and the warm-up is the loop that is counted.
    """
    sender, receiver = roles.ends["here"].sender, roles.ends["there"].receiver
    gc.disable()
    for left in range(300, -1, -1):
        if not left:
            syscalls.mark()
        sender.send("there", PAYLOAD)
        if not left:
            syscalls.mark()
        receiver.recv(5)
    gc.enable()


def instructions(child: Child) -> int:
    """The least of several looks: what an interpreter does now and then is not the send's."""
    looks = range(8)
    return min(
        syscalls.Tracer(child.pid).count_instructions(lambda: child.post(marked_send), 30.0) for _ in looks
    )


def test_a_send_takes_the_same_instructions_among_many(spawn: Spawn, bus: str) -> None:
    """The same process, the same two endpoints, before and after two hundred others have joined."""
    child, crowd = spawn.child("pair"), spawn.child("crowd")
    for label in ("here", "there"):
        child.call(roles.join, bus, (label,), name=label)
    among_two = instructions(child)
    crowd.call(join_many, bus, MANY, bound=30.0)
    assert len(child.call(roles.peers, name="here")) == MANY + 1
    among_many = instructions(child)
    assert among_two > 500, "that is no send"
    assert abs(among_many - among_two) <= MANY // 4, (
        f"{among_two} instructions among 2, {among_many} among {MANY}"
    )


def sleeps() -> int:
    """How often the one thread that receives here gave up its core to wait for something."""
    return int(proc.status(os.getpid(), os.getpid())["voluntary_ctxt_switches"])


def receive_counting(cores: list[int]) -> tuple[int, int]:
    """Receive until an empty message: how many came, and how often this process slept for them."""
    os.sched_setaffinity(0, cores)
    receiver = roles.ends[roles.MAIN].receiver
    before = sleeps()
    count = 0
    while receiver.recv(30).payload:
        count += 1
    return count, sleeps() - before


def send_to_all_in_turn(to: str, count: int, cores: list[int]) -> None:
    os.sched_setaffinity(0, cores)
    sender = roles.ends[roles.MAIN].sender
    for _ in range(count):
        sender.send(to, b"x" * 64, timeout=30)
    sender.send(ipmb.Selector.multicast(to), b"", timeout=30)


def test_more_receivers_than_cores_do_not_sleep_for_every_message(spawn: Spawn, bus: str) -> None:
    """Sixteen processes on at most two cores. If a sender has to wake each for its message it stays that way: whoever
    is faster than the sender is asleep when the next one comes.
    """
    count, cores = 20_000, sorted(os.sched_getaffinity(0))[:2]
    sender, *receivers = spawn.members(bus, "sender", *["receiver"] * 16)
    receiving = [member.child.begin(receive_counting, cores) for member in receivers]
    sender.child.call(send_to_all_in_turn, "receiver", count, cores, bound=60.0)
    found = [pending.result(60.0) for pending in receiving]
    assert sum(came for came, _ in found) == count
    slept = sum(times for _, times in found)
    assert slept < count // 20, f"{slept} sleeps for {count} arrivals"


def test_the_cost_of_a_join_is_at_most_linear_in_the_members(spawn: Spawn, bus: str) -> None:
    """Processor time of who joins and of the controller: with five times the members at most five times of it."""
    controller = spawn.member(bus, "controller")
    crowd = spawn.child("crowd")
    crowd.call(join_many, bus, 50, bound=30.0)  # threads, caches, tables

    def fifty() -> float:
        before = controller.child.call(processor_seconds)
        joining = crowd.call(join_many, bus, 50, bound=30.0)
        return joining + controller.child.call(processor_seconds) - before

    few = fifty()  # up to 101 members
    crowd.call(join_many, bus, 350, bound=60.0)
    many = fifty()  # up to 501
    assert many <= 5 * few, f"fifty joins took {few * 1e3:.1f} ms among 100, {many * 1e3:.1f} ms among 500"


def test_fifty_idle_members_are_not_woken() -> None:
    """No thread of ten processes runs while nothing happens, with a channel between any two and half in `recv`."""
    switches, ticks = idle.look(50, 3.0)
    assert switches < idle.PROCESSES, "something periodic would be in each process"
    assert ticks == 0


def test_a_join_does_not_wait_for_the_table_of_descriptors(spawn: Spawn, bus: str) -> None:
    """A shared table that doubles makes its process wait 5 to 20 ms, so it is long before there are two threads."""
    child = spawn.child("joiner")
    child.call(roles.version)
    assert int(proc.status(child.pid)["FDSize"]) < 1024
    child.call(roles.join, bus)
    assert len(proc.threads(child.pid)) > 1
    assert int(proc.status(child.pid)["FDSize"]) >= 1024


def test_hundreds_of_joins_leave_the_table_as_it_was(spawn: Spawn, bus: str) -> None:
    """Eighty endpoints of one process fit it: none of their joins waits."""
    child = spawn.child("joiner")
    child.call(roles.join, bus)
    before = proc.status(child.pid)["FDSize"]
    child.call(join_many, bus, 80)
    assert proc.status(child.pid)["FDSize"] == before
