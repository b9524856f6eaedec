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

import iceoryx2 as iox  # type: ignore[import-untyped]

from benches.peers import Setup

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path("/dev/shm")


class Iceoryx2:
    """Both ends join a node of their own; what services there are is the group's affair."""

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
        return Setup(
            {**address, "me": "near", "other": "far"}, {**address, "me": "far", "other": "near"}, clean=clean
        )


class Node:
    """One end: makes publishers and subscribers of slices of bytes."""

    def __init__(self, address: dict[str, Any]) -> None:
        iox.set_log_level(iox.LogLevel.Error)
        settings = iox.config.default()
        settings.global_cfg.prefix = iox.FileName.new(address["prefix"])
        settings.global_cfg.root_path = iox.Path.new(address["folder"])
        self._node = (
            iox.NodeBuilder.new()
            .config(settings)
            .signal_handling_mode(iox.SignalHandlingMode.Disabled)
            .create(iox.ServiceType.Ipc)
        )

    def _service(self, name: str, depth: int) -> Any:
        return (
            self._node.service_builder(iox.ServiceName.new(name))
            .publish_subscribe(iox.Slice[ctypes.c_uint8])
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .enable_safe_overflow(False)
            .subscriber_max_buffer_size(depth)
            .subscriber_max_borrowed_samples(1)
            .open_or_create()
        )

    def subscriber(self, name: str, depth: int) -> Any:
        """``depth`` messages wait for it at most."""
        return self._service(name, depth).subscriber_builder().buffer_size(depth).create()

    def publisher(self, name: str, size: int, depth: int) -> Any:
        """For messages of up to ``size`` bytes."""
        return (
            self._service(name, depth)
            .publisher_builder()
            .initial_max_slice_len(size)
            .max_loaned_samples(1)
            .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )


def delivered(publisher: Any, size: int, fill: Callable[[Any], object]) -> None:
    """``RetryUntilDelivered`` or not, ``send`` gives up (0 receivers) before the subscriber's first look."""
    while True:
        sample = publisher.loan_slice_uninit(size)
        fill(sample.payload())
        if sample.assume_init().send():
            return
        os.sched_yield()


def received(subscriber: Any) -> Any:
    """The slices that come, each valid until the next is asked for."""
    while True:
        sample = subscriber.receive()
        if sample is None:
            os.sched_yield()
            continue
        yield sample.payload()
        sample.delete()
