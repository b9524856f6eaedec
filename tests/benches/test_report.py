"""What a run says: the targets are computed as they are worded, the picture is made, the probe has looked."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from benches.groups import Row, size_name
from benches.report import Report, Results

from benches import groups, machine, pictures, probe, targets, thin

ROOT = Path(__file__).parents[2]


class Named:
    """As much of a peer as a report needs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return "1"


def report(figures: dict[tuple[str, int], dict[str, list[float]]]) -> Report:
    """A report of bytes as a run would have left it."""
    peers: Any = {module: Named(module) for row in figures.values() for module in row}
    found = Report("bytes", groups.load("bytes"), peers, [])
    for (kind, size), row in figures.items():
        found.rows[Row(kind, size_name(size), size)] = Results(figures=row)
    return found


def line(report: Report, what: str) -> targets.Target:
    (found,) = [one for one in targets.of_run({"bytes": report}) if one.what == what]
    return found


@pytest.mark.parametrize(
    ("ours", "other", "ring", "ratio"),
    [
        (70.0, 50.0, 100.0, 1.0),  # 70 % of the ring is less than five times the other
        (35.0, 50.0, 100.0, 0.5),
        (60.0, 10.0, 100.0, 1.2),  # five times the other is 50, which is half of the ring
        (50.0, 2.0, 100.0, 1.0),  # five times the other would be 10: less than half of the ring is too little
        (49.0, 2.0, 100.0, 0.98),
    ],
)
def test_small_messages_beside_the_best_other_and_the_ring(
    ours: float, other: float, ring: float, ratio: float
) -> None:
    rounds = {"ipmb": [ours] * 3, "pipe": [other] * 3, "queue": [1.0] * 3, "ring": [ring] * 3}
    found = line(report({("rate", 16): rounds}), "bytes, 16 B")
    assert found.ratios == pytest.approx([ratio] * 3)
    assert found.reached == (ratio >= 1)
    assert " pipe" in found.found


def test_a_time_reaches_its_target_when_it_is_short() -> None:
    trips = report({("round trip", 16): {"ipmb": [3.0, 3.0, 5.0], "ring": [2.0, 2.0, 2.0]}})
    found = line(trips, "round trip, awake")
    assert found.ratios == pytest.approx([4 / 3, 4 / 3, 0.8])
    assert found.reached


def test_a_ring_that_waited_for_a_core_is_no_measure() -> None:
    trips = report({("round trip", 16): {"ipmb": [3.0, 20.0, 20.0], "ring": [2.0, 30.0, 30.0]}})
    assert line(trips, "round trip, awake").ratios == pytest.approx([4 / 3])
    busy = report({("round trip", 16): {"ipmb": [20.0], "ring": [30.0]}})
    assert line(busy, "round trip, awake").reached is None


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    found = line(report({("rate", 16): {"ipmb": [1.0]}}), "bytes, 16 B")
    assert found.reached is None
    assert "reached" in found.as_dict()


def test_who_failed_once_is_not_the_best_other() -> None:
    found = report({("rate", 16): {"ipmb": [7.0], "pipe": [1.0], "queue": [9.0], "ring": [10.0]}})
    ((_, results),) = found.rows.items()
    results.failures["queue"] = "lost a message in the second round"
    assert "7x pipe" in line(found, "bytes, 16 B").found


def test_a_run_leaves_its_picture_beside_its_figures(faulty_run: Path, tmp_path: Path) -> None:
    drawn = (faulty_run / "figures.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")
    found = json.loads((faulty_run / "figures.json").read_text())
    # Texts are drawn as shapes; what each says stands before it as a comment.
    for text in ("ipmb", "mp.Pipe", "thin ring, the limit", pictures.caption(found)):
        assert f"<!-- {text} -->" in drawn
    pictures.draw(found, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == drawn


def test_a_run_says_on_what_it_ran(faulty_run: Path) -> None:
    found = json.loads((faulty_run / "figures.json").read_text())
    assert found["machine"].keys() == machine.describe().keys()
    assert len(found["probes"]) == 2  # before its only group, and in the end
    for seen in found["probes"]:
        assert {"wake", "copy near", "copy far"} <= seen.keys() <= probe.UNITS.keys()
        assert all(value > 0 for value in seen.values())
    assert all(0 < seconds < 10 for seconds in found["import"])


def test_a_caption_names_the_commit() -> None:
    found = {"machine": {**machine.describe(), "commit": "abc1234+"}, "began": 0.0}
    assert pictures.caption(found).startswith("1970-01-01, ")
    assert pictures.caption(found).endswith(", commit abc1234+")


def test_the_probe_says_what_it_found() -> None:
    assert probe.sentence({"line": 60.4, "wake": 12.34}) == (
        "a cache line to the other core 60 ns, eventfd to a sleeper and back 12.3 µs"
    )


def test_without_a_compiler_the_ring_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin, "BUILT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ImportError, match="no C compiler: install"):
        thin.built()


def test_readme_shows_a_picture_of_this_kind() -> None:
    drawn = (ROOT / "docs" / "performance.svg").read_text()
    assert "docs/performance.svg" in (ROOT / "README.md").read_text()
    for text in ("ipmb", "thin ring, the limit", "zenoh", "pyzmq", "mp.Queue"):
        assert f"<!-- {text} -->" in drawn
