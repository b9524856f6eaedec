"""What a message costs in instructions, beside the figures that are checked in.

Instructions do not depend on what else the machine does, so that a change of a hundredth shows. ``make instructions``
renews the figures; a review then sees what a change costs or saves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.instructions import callgrind
from tests.instructions.figures import TOLERANCE, TOLERANCE_ELSEWHERE, Figures, complaint, tools

if TYPE_CHECKING:
    from tests.instructions.figures import Layer

FIGURES = Figures.read()
ROWS = [(layer, row) for layer, rows in FIGURES.rows.items() for row in rows]

pytestmark = pytest.mark.timeout(600, method="signal")


@pytest.fixture(scope="module")
def costs() -> dict[Layer, dict[str, float]]:
    if absent := callgrind.missing():
        pytest.skip(absent)
    callgrind.build()
    return callgrind.costs()


@pytest.mark.parametrize(("layer", "row"), ROWS, ids=[f"{layer}: {row}" for layer, row in ROWS])
def test_a_call_costs_what_it_did(layer: Layer, row: str, costs: dict[Layer, dict[str, float]]) -> None:
    here = tools()
    if layer == "python" and here["python"] != FIGURES.tools["python"]:
        pytest.skip(f"the figures are those of {FIGURES.tools['python']}; this is {here['python']}")
    same = here["native"] == FIGURES.tools["native"]
    wrong = complaint(
        row, FIGURES.rows[layer][row], costs[layer][row], TOLERANCE if same else TOLERANCE_ELSEWHERE
    )
    assert not wrong, f"{wrong} (figures of {FIGURES.tools['native']}; this is {here['native']})"


def test_every_row_has_a_figure(costs: dict[Layer, dict[str, float]]) -> None:
    measured = {
        layer: {row for row in rows if not row.startswith(callgrind.CONTROL)} for layer, rows in costs.items()
    }
    assert measured == {layer: set(rows) for layer, rows in FIGURES.rows.items()}


def test_one_allocation_more_is_too_much(costs: dict[Layer, dict[str, float]]) -> None:
    native = costs["native"]
    for row in ("ring push, 64 B", "bus send, 64 B"):
        without, beside = native[row], native[callgrind.CONTROL + row]
        assert complaint(row, round(without), beside, TOLERANCE)
        assert without * (1 + 2 * TOLERANCE) < beside < without + 400


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (1000, ""),
        (1019, ""),
        (1021, "dearer"),
        (901, ""),
        (899, "renew"),
    ],
)
def test_too_much_and_much_too_little_are_told(cost: float, says: str) -> None:
    found = complaint("a row", 1000, cost, TOLERANCE)
    assert (says in found) if says else not found


def test_a_few_instructions_are_no_change_of_a_short_call() -> None:
    assert not complaint("a row", 50, 54, TOLERANCE)
    assert complaint("a row", 50, 55, TOLERANCE)


def test_what_surrounds_a_run_is_taken_off() -> None:
    runs = [("0 send", 100), ("0 recv", 10), ("5 send", 600), ("5 recv", 510), ("5 send", 610)]
    assert callgrind.per_call(runs) == {"send": 101, "recv": 100}
