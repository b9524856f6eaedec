"""iceoryx2, publish and subscribe: a slice is loaned from the publisher's memory, filled, and sent in place.

The subscriber polls, as its examples do where speed counts: that is the best it can do, at the price of a busy core.
Its names are chosen for each run, so that what a killed process left can be removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import iceoryx2 as iox
import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link, Setup

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path("/dev/shm")


class Iceoryx2:
    """One service for each size; the end that opens it first is the one that receives."""

    name = "iceoryx2, polling"

    def version(self) -> str:
        return importlib.metadata.version("iceoryx2")

    def prepare(self, folder: str) -> Setup:
        prefix = f"bench_{uuid.uuid4().hex[:12]}_"

        def clean() -> None:
            for left in SHARED.glob(f"{prefix}*"):
                with contextlib.suppress(FileNotFoundError):
                    left.unlink()

        address = {"prefix": prefix, "folder": folder}
        return Setup({**address, "sends": True}, {**address, "sends": False}, clean=clean)

    def connect(self, address: dict[str, Any]) -> Link:
        iox.set_log_level(iox.LogLevel.Error)
        settings = iox.config.default()
        settings.global_cfg.prefix = iox.FileName.new(address["prefix"])
        settings.global_cfg.root_path = iox.Path.new(address["folder"])
        node = (
            iox.NodeBuilder.new()
            .config(settings)
            .signal_handling_mode(iox.SignalHandlingMode.Disabled)
            .create(iox.ServiceType.Ipc)
        )
        ports: dict[int, Any] = {}

        def make(size: int) -> Any:
            service = (
                node.service_builder(iox.ServiceName.new(f"arrays of {size}"))
                .publish_subscribe(iox.Slice[ctypes.c_uint8])
                .max_publishers(1)
                .max_subscribers(1)
                .history_size(0)
                .enable_safe_overflow(False)
                .subscriber_max_buffer_size(DEPTH)
                .subscriber_max_borrowed_samples(1)
                .open_or_create()
            )
            if not address["sends"]:
                return service.subscriber_builder().buffer_size(DEPTH).create()
            return (
                service.publisher_builder()
                .initial_max_slice_len(size)
                .max_loaned_samples(1)
                .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
                .create()
            )

        link = Link(nothing_yet, iter(()), lambda: None)

        def choose(size: int) -> None:
            if size not in ports:
                ports[size] = make(size)
            link.incoming = received(ports[size])

        def delivered(size: int, fill: Callable[[Any], object]) -> None:
            """``RetryUntilDelivered`` or not, ``send`` gives up (0 receivers) before the subscriber's first look."""
            while True:
                sample = ports[size].loan_slice_uninit(size)
                fill(viewed(sample))
                if sample.assume_init().send():
                    return
                os.sched_yield()

        def send(array: Any) -> None:
            delivered(array.nbytes, lambda place: np.copyto(place, array))

        def hand_over(size: int, number: float) -> None:
            delivered(size, lambda place: place.__setitem__(0, number))

        link.open, link.send, link.hand_over = choose, send, hand_over
        link.close = ports.clear
        return link


def nothing_yet(_: Any) -> None:
    raise RuntimeError("open comes first")


def viewed(sample: Any) -> Any:
    return np.frombuffer(sample.payload().as_memory_view(), np.float32)


def received(subscriber: Any) -> Any:
    while True:
        sample = subscriber.receive()
        if sample is None:
            os.sched_yield()
            continue
        yield viewed(sample)
        sample.delete()


peer = Iceoryx2()
