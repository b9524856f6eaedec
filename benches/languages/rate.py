"""One end of a measurement, in Python: rate BUS LABEL; see `__main__.py`."""

from __future__ import annotations

import sys
import time

import ipmb


def main(bus: str, label: str) -> None:
    with ipmb.join(bus, label, timeout=20) as (sender, receiver):
        print("ready", flush=True)
        for line in sys.stdin:
            match line.split():
                case ["send", to, count, size]:
                    payload = bytes(int(size))
                    for _ in range(int(count)):
                        sender.send(to, payload)
                    print(0, flush=True)
                case ["recv", count]:
                    _ = receiver.recv(60).payload
                    start = time.perf_counter()
                    for _ in range(int(count) - 1):
                        _ = receiver.recv(60).payload
                    print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
