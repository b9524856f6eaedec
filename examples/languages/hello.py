"""The endpoint in Python: greets the other languages and prints what it gets from them.

`make demo-languages` starts it with the others. Whoever is not there yet gets its greeting when it comes.
"""

import sys

import ipmb

bus, me, *others = sys.argv[1:]
with ipmb.join(bus, me, timeout=20) as (sender, receiver):
    for other in others:
        sender.send(ipmb.Selector.unicast(other, ttl=20), f"hello from {me}")
    for _ in others:
        message = receiver.recv(timeout=20)
        payload = message.payload
        text = payload.data.decode() if isinstance(payload, ipmb.BytesMessage) else payload
        whom = f"{next(iter(message.sender.label))}, process {message.sender.pid}"
        # In one piece: the others write to the same terminal.
        sys.stdout.write(f"{me} got {text!r} from {whom}\n")
