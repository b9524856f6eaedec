"""What another process does with tensors."""

from __future__ import annotations

from typing import Any

from tests.support import roles

kept: list[Any] = []


def raw(tensor: Any) -> bytes:
    """The bytes of the elements in C order."""
    import torch  # type: ignore[import-not-found, unused-ignore] # too large for the development environment

    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def add_one_and_sum() -> float:
    """Receive tensors, write to each in place, and add everything up."""
    payload = roles.ends[roles.MAIN].receiver.recv(10.0).payload
    return float(sum(tensor.add_(1).sum().item() for tensor in payload))


def keep() -> float:
    kept.append(roles.ends[roles.MAIN].receiver.recv(10.0).payload)
    return look()


def look() -> float:
    return float(kept[-1].sum().item())
