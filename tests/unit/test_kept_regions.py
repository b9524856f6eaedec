"""What an endpoint keeps of others' memory, for large payloads to name it, it lets go of when nobody names it.

Both where messages come in and where replies do, also when the endpoint reads nothing more, and whether the memory's
owner says so or is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

SIZE = 4 << 20
#: Enough for the regions of a pool to come again.
COUNT = 6


def _kept(pid: int) -> int:
    return sum("ipmb-payload" in target for target in proc.descriptors(pid).values())


def _answer(count: int) -> None:
    _, receiver = roles.ends[roles.MAIN]
    for _ in range(count):
        receiver.recv(10).reply(b"r" * SIZE)


def _ask(count: int) -> list[int]:
    sender, _ = roles.ends[roles.MAIN]
    return [len(sender.request("maker", b"", timeout=10).payload) for _ in range(count)]


@pytest.mark.parametrize("fate", ["idle", "killed"])
@pytest.mark.parametrize("way", ["messages", "replies"])
def test_it_is_let_go_by_one_who_reads_nothing_more(spawn: Spawn, bus: str, way: str, fate: str) -> None:
    keeper, maker = spawn.members(bus, "keeper", "maker")
    if way == "messages":
        for _ in range(COUNT):
            assert maker.child.call(roles.send_pattern, "keeper", 1, SIZE) == 1
            assert keeper.child.call(roles.recv_is_pattern, 1, SIZE)
    else:
        answering = maker.child.begin(_answer, COUNT)
        assert keeper.child.call(_ask, COUNT) == [SIZE] * COUNT
        answering.result()
    assert _kept(keeper.pid) > 0
    if fate == "killed":
        maker.kill()
    until(lambda: _kept(keeper.pid) == 0, "nothing is kept", every=0.05)
