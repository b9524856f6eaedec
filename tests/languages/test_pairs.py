"""Every language with every other on one bus, in every way that a message goes; and a table of it."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.languages.peers import LANGUAGES, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("bytes", "typed", "object", "region", "large", "ttl", "redelivery", "request")
PAIRS = list(itertools.product(LANGUAGES, LANGUAGES))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str] | None]:
    folder = tmp_path_factory.mktemp("peers")
    return {language: find(folder) for language, find in LANGUAGES.items()}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], dict[str, str]]]:
    """What went well, printed at the end."""
    done: dict[tuple[str, str], dict[str, str]] = {}
    yield done
    lines = ["", f"| from | to | {' | '.join(WAYS)} |", "|---" * (len(WAYS) + 2) + "|"]
    lines += [
        f"| {one} | {other} | {' | '.join(ways.get(way, '') for way in WAYS)} |"
        for (one, other), ways in done.items()
    ]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n".join(lines))


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[f"{one} to {other}" for one, other in PAIRS])
@pytest.mark.timeout(120)
def test_a_pair(
    commands: dict[str, list[str] | None],
    table: dict[tuple[str, str], dict[str, str]],
    one: str,
    other: str,
) -> None:
    first, second = commands[one], commands[other]
    if first is None or second is None:
        pytest.skip("not built: see the Makefile")
    bus = f"test.pairs.{uuid.uuid4().hex}"
    done = table.setdefault((one, other), {})
    peers = [Peer(first, bus, "sender"), Peer(second, bus, "receiver")]
    sender, receiver = peers
    try:
        for way in ("bytes", "typed", "large", "object", "region"):
            sender.does(f"send {way} receiver", "sent")
            receiver.does(f"recv {way}", "ok")
            if way in ("object", "region"):
                sender.does(f"check {way}", "ok")
            done[way] = "ok"

        receiver.begin("answer")
        sender.begin("ask receiver")
        receiver.end("ok")
        sender.end("ok")
        done["request"] = "ok"

        sender.does("leave late", "sent")
        peers.append(late := Peer(second, bus, "late"))
        late.does("recv bytes", "ok")
        done["ttl"] = "ok"

        peers.append(doomed := Peer(second, bus, "worker"))
        sender.does("send bytes worker", "sent")
        peers.append(heir := Peer(second, bus, "worker"))
        doomed.kill()
        heir.does("recv bytes", "ok redelivered")
        done["redelivery"] = "ok"
    finally:
        for peer in peers:
            peer.finish()
    assert set(done) == set(WAYS)
