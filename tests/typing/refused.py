"""What type checkers must refuse: every marked line is an error for mypy, with this code, and for pyright.

Nothing here runs. A mark whose error went away is an unused `type: ignore`, which both report: so `make types` fails.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass

import ipmb
import ipmb.aio


@ipmb.message_type("7c1f3f0a-9a43-4a6e-8f3c-0f7f1b1e2b01")
@dataclass
class Apple:
    weight: float


@ipmb.message_type("7c1f3f0a-9a43-4a6e-8f3c-0f7f1b1e2b02")
@dataclass
class Pear:
    weight: float


def payloads_are_what_join_was_told() -> None:
    with ipmb.join("bus", payloads=Apple) as (_, receiver):
        pear: Pear = receiver.recv().payload  # type: ignore[assignment]
        text: str = receiver.recv().payload.weight  # type: ignore[assignment]
        receiver.recv().payload.colour  # type: ignore[attr-defined]  # noqa: B018
        number: int = next(iter(receiver)).payload  # type: ignore[assignment]
        many: list[ipmb.Message[Pear]] = receiver.recv_many(5)  # type: ignore[assignment]
        print(pear, text, number, many)


def a_union_has_to_be_told_apart() -> None:
    with ipmb.join("bus", payloads=Apple | str | None) as endpoint:
        apple: Apple = endpoint.receiver.recv().payload  # type: ignore[assignment]
        endpoint.receiver.recv().payload.weight  # type: ignore[union-attr]  # noqa: B018
        print(apple)


def endpoints_are_no_others(apples: ipmb.Endpoint[Apple], anything: ipmb.Endpoint[object]) -> None:
    pears: ipmb.Endpoint[Pear] = apples  # type: ignore[assignment]
    narrower: ipmb.Receiver[Apple] = anything.receiver  # type: ignore[assignment]
    wider: ipmb.Receiver[object] = apples.receiver  # whoever gives apples gives objects
    box = ipmb.MessageBox(Apple)
    other: ipmb.MessageBox[Pear] = box  # type: ignore[assignment]
    print(pears, narrower, wider, other)


def arguments_of_join() -> None:
    ipmb.join(3)  # type: ignore[call-overload]
    ipmb.join("bus", timeout="5")  # type: ignore[call-overload]
    ipmb.join("bus", "label", "token")  # type: ignore[call-overload]
    ipmb.join(ipmb.Options("bus"), "label")  # type: ignore[call-overload]
    ipmb.join("bus", payloads=5)  # type: ignore[call-overload]


def arguments_of_send(sender: ipmb.Sender) -> None:
    sender.send()  # type: ignore[call-overload]
    sender.send("earth")  # type: ignore[call-overload]
    sender.send("earth", 1, overflow="wait")  # type: ignore[call-overload]
    sender.send("earth", 1, objects=["a file"])  # type: ignore[list-item]
    sender.send(ipmb.Message("earth", 1), 2)  # type: ignore[call-overload]
    sender.recv()  # type: ignore[attr-defined]


def what_cannot_be_changed(message: ipmb.Message[Apple], stats: ipmb.Stats, info: ipmb.EndpointInfo) -> None:
    message.payload = message.payload  # type: ignore[misc]
    stats.sent = 0  # type: ignore[misc]
    info.pid = 1  # type: ignore[misc]


def of_pears(message: ipmb.Message[Pear]) -> float:
    return message.payload.weight


async def of_apples(message: ipmb.aio.Message[Apple]) -> float:
    return message.payload.weight


def handlers_take_what_the_receiver_gives(apples: ipmb.Receiver[Apple]) -> None:
    ipmb.serve(apples, of_pears)  # type: ignore[arg-type]
    ipmb.serve(apples, of_pears, workers="two")  # type: ignore[arg-type]


async def asynchronous_twins(apples: ipmb.aio.Receiver[Apple], sender: ipmb.aio.Sender) -> None:
    pear: Pear = (await apples.recv()).payload  # type: ignore[assignment]
    ipmb.aio.join("bus", payloads=5)  # type: ignore[call-overload]
    await ipmb.aio.serve(apples, of_pears)  # type: ignore[arg-type]
    await ipmb.aio.serve(apples, of_apples)
    number: str = await sender.send("earth", 1)  # type: ignore[assignment]
    print(pear, number)


def arguments_of_requests(sender: ipmb.Sender, message: ipmb.Message[Apple]) -> None:
    sender.request("earth")  # type: ignore[call-arg]
    sender.request("earth", 1, overflow="drop")  # type: ignore[call-arg]
    message.reply()  # type: ignore[call-arg]
    sender.send_many("earth", 5)  # type: ignore[arg-type]


def presence(endpoint: ipmb.Endpoint) -> None:
    event = endpoint.watch().get()
    print(event.kind == "gone")  # type: ignore[comparison-overlap]
    reason: str = event.reason  # type: ignore[assignment]
    event.peer = event.peer  # type: ignore[misc]
    print(reason)


def queues_hold_one_kind(numbers: ipmb.Queue[int]) -> None:
    numbers.put("one")  # type: ignore[arg-type]
    text: str = numbers.get()  # type: ignore[assignment]
    ipmb.Queue("many")  # type: ignore[arg-type]
    print(text)
