"""A peer that loses, reorders, doubles or changes messages has no figure, and its reason stands in the report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.benches.conftest import FAULTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def figures(faulty_run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((faulty_run / "figures.json").read_text())
    return found


def row(figures: dict[str, Any], kind: str, size: int) -> dict[str, Any]:
    (found,) = [
        one for one in figures["groups"]["bytes"]["rows"] if (one["kind"], one["size"]) == (kind, size)
    ]
    return dict(found)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_peer_has_no_figure(figures: dict[str, Any], fault: str) -> None:
    size, _ = FAULTS[fault]
    found = row(figures, "rate", size)
    assert "wrong, missing or out of order" in found["failures"][fault]
    assert fault not in found["figures"]
    assert found["figures"]["pipe"][0] > 0
    assert not {"ipmb", "pipe"} & found["failures"].keys()


def test_a_failure_costs_the_other_rows_nothing(figures: dict[str, Any]) -> None:
    trips = row(figures, "round trip", 64)
    assert not trips["failures"]
    assert FAULTS.keys() <= trips["figures"].keys()


def test_the_targets_stand_beside_honest_peers_only(figures: dict[str, Any]) -> None:
    (line,) = [one for one in figures["targets"] if one["what"] == "bytes, 64 B"]
    assert line["found"]
    assert not any(f" {fault}" in line["found"] for fault, (size, _) in FAULTS.items() if size == 64)
