"""Payloads are the same bytes in every language: this is Python's reading of the vectors that all of them share.

Seen to fail: with one of the bytes changed in each of the three kinds of vectors.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import ipmb
from ipmb import _core

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "payloads.json").read_text())


@ipmb.message_type("5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2dee")
@dataclass
class Lamp:
    """The type of the vectors that has a UUID of its own."""

    name: str
    place: list[Any]


def value(notation: list[Any]) -> Any:  # noqa: PLR0911 # one line for each kind
    """What a notation means."""
    match notation:
        case ["none"]:
            return None
        case ["bool" | "str", plain]:
            return plain
        case ["int", digits]:
            return int(digits)
        case ["float", bits]:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case ["bytes", data]:
            return bytes.fromhex(data)
        case ["list", items]:
            return [value(item) for item in items]
        case ["dict", items]:
            return {value(key): value(item) for key, item in items}
        case ["datetime", text]:
            return datetime.fromisoformat(text)
        case ["uuid", text]:
            return UUID(text)
        case ["bytes_message", number, data]:
            return ipmb.BytesMessage(number, bytes.fromhex(data))
        case ["typed", uuid, fields]:
            assert uuid == "5f0f6a3e-7f0b-4f5e-8d57-0c1b8f7a2dee"
            return Lamp(**value(fields))
        case _:
            pytest.fail(f"no notation: {notation}")


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types all the way down; NaN is equal to itself."""
    if type(one) is not type(other):
        return False
    match one:
        case list():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return same(list(one), list(other)) and all(map(same, one.values(), other.values()))
        case float():
            return (math.isnan(one) and math.isnan(other)) or (one, math.copysign(1, one)) == (
                other,
                math.copysign(1, other),
            )
        case datetime():
            return bool(one == other) and one.utcoffset() == other.utcoffset()
        case _:
            return bool(one == other)


def by_name(kind: str) -> Any:
    """The vectors of a kind, each under its name."""
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[kind]]


@pytest.mark.parametrize("vector", by_name("exact"))
def test_encoded(vector: dict[str, Any]) -> None:
    """A value is these bytes under this UUID."""
    uuid, data, bulk = _core.encode(value(vector["value"]))
    assert (str(UUID(bytes=uuid)), data.hex(), bulk) == (vector["type"], vector["bytes"], None)


@pytest.mark.parametrize("vector", by_name("exact") + by_name("also"))
def test_decoded(vector: dict[str, Any]) -> None:
    """These bytes are that value."""
    got = _core.decode(UUID(vector["type"]).bytes, bytes.fromhex(vector["bytes"]))
    assert same(got, value(vector["value"])), got


@pytest.mark.parametrize("vector", by_name("garbage"))
def test_garbage(vector: dict[str, Any]) -> None:
    """These bytes are an error, of one kind."""
    with pytest.raises(ipmb.DecodeError):
        _core.decode(UUID(vector["type"]).bytes, bytes.fromhex(vector["bytes"]))


def test_there_are_some_of_each() -> None:
    """A file that is cut short is not taken for one that is right."""
    assert {kind: len(VECTORS[kind]) > 9 for kind in ("exact", "also", "garbage")} == dict.fromkeys(
        ("exact", "also", "garbage"), True
    )
