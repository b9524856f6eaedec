"""The peer of Python: see `peers.py`."""

from __future__ import annotations

import os
import sys

import ipmb

BYTES = bytes(range(256))
LARGE = (bytes(range(251)) * 12_000)[:3_000_000]
PAYLOADS: dict[str, object] = {
    "bytes": ipmb.BytesMessage(513, BYTES),
    "typed": {"name": "north", "place": [1.5, 2]},
    "object": ipmb.BytesMessage(513, BYTES),
    "region": ipmb.BytesMessage(513, BYTES),
    "large": ipmb.BytesMessage(1, LARGE),
}


class Peer:
    def __init__(self, endpoint: ipmb.Endpoint) -> None:
        self.sender, self.receiver = endpoint
        self.read_end = -1
        self.region: ipmb.MemoryRegion | None = None

    def send(self, what: str, label: str) -> str:
        objects: list[int] = []
        regions: list[ipmb.MemoryRegion] = []
        if what == "object":
            self.read_end, write_end = os.pipe()
            objects.append(write_end)
        if what == "region":
            self.region = ipmb.MemoryRegion(4096)
            self.region.map()[0] = 7
            regions.append(self.region)
        sent = self.sender.send(label, PAYLOADS[what], objects=objects, memory_regions=regions)
        for number in objects:
            os.close(number)
        return "sent" if sent == 1 else f"sent to {sent}"

    def leave(self, label: str) -> str:
        sent = self.sender.send(label, PAYLOADS["bytes"], ttl=None)
        return "sent" if sent == 0 else f"sent to {sent}"

    def recv(self, what: str) -> str:
        with self.receiver.recv(timeout=20) as message:
            if message.payload != PAYLOADS[what] or type(message.payload) is not type(PAYLOADS[what]):
                return f"wrong payload: {message.payload!r:.100}"
            if (len(message.objects), len(message.memory_regions)) != (what == "object", what == "region"):
                return "wrong attachments"
            for item in message.objects:
                os.write(item.fileno(), b"x")
            for region in message.memory_regions:
                view = region.map()
                if (len(view), view[0]) != (4096, 7):
                    return "wrong region"
                view[1] = 8
            return "ok redelivered" if message.redelivered else "ok"

    def check(self, what: str) -> str:
        if what == "object":
            got = os.read(self.read_end, 10), os.read(self.read_end, 10)
            os.close(self.read_end)
            return "ok" if got == (b"x", b"") else f"wrong pipe: {got}"
        assert self.region is not None
        return "ok" if self.region.map()[1] == 8 else "wrong region"

    def ask(self, label: str) -> str:
        reply = self.sender.request(label, PAYLOADS["bytes"], timeout=20)
        return (
            "ok" if reply.payload == ipmb.BytesMessage(514, BYTES) else f"wrong reply: {reply.payload!r:.100}"
        )

    def answer(self) -> str:
        request = self.receiver.recv(timeout=20)
        if not request.is_request or request.payload != PAYLOADS["bytes"]:
            return f"wrong request: {request.payload!r:.100}"
        request.reply(ipmb.BytesMessage(514, BYTES))
        return "ok"


def main(bus: str, label: str) -> None:
    with ipmb.join(bus, label, timeout=20) as endpoint:
        peer = Peer(endpoint)
        print("ready", flush=True)
        for line in sys.stdin:
            command, *arguments = line.split()
            print(getattr(peer, command)(*arguments), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
