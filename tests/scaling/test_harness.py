"""The scaling studies run: each, with figures too small to mean anything, so that none rots unseen."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benches.pair import BenchError
from benches.scaling import studies
from benches.scaling.crew import Crew, bus
from benches.scaling.studies import receivers, senders

from tests.support import program
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
SMALL = {
    "rounds": 1,
    "seconds": 0.02,
    "drift": 5,
    "idle": 0.3,
    "kills": 1,
    "members": 20,
    "receivers": 8,
    "senders": 4,
}
COMMAND = ["-m", "benches.scaling", "--quick"]
COMMAND += [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]

#: How many claims each study makes; a figure that nobody compares with anything is not enough.
CLAIMS = {"senders": 2, "receivers": 1, "members": 2, "drift": 2, "memory": 0, "idle": 2, "takeover": 2}


@pytest.mark.timeout(240, method="signal")
def test_every_study_runs_and_leaves_a_table_a_file_and_a_picture(tmp_path: Path) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "picture.svg"
    run = program.python(*COMMAND, "--json", figures, "--svg", picture, seconds=230)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not run.stderr
    found: dict[str, Any] = json.loads(figures.read_text())
    assert found["failed"] == {}
    assert set(found["studies"]) == set(studies.NAMES) == set(CLAIMS)
    for name, study in found["studies"].items():
        assert len(study["claims"]) == CLAIMS[name]
        assert study["figures"]
        for table in study["tables"]:
            assert table["rows"], f"{name} has an empty table"
            assert all(len(row) == len(table["columns"]) for row in table["rows"])
            assert table["title"].split(":")[0] in run.stdout
        for panel in study["panels"]:
            for line in panel["lines"]:
                assert len(line["x"]) == len(line["y"]) > 0
    panels = sum(len(study["panels"]) for study in found["studies"].values())
    drawn = ET.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}g")
    assert sum(group.get("id", "").startswith("axes_") for group in drawn) >= panels


@pytest.mark.timeout(120, method="signal")
def test_an_interrupted_run_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [
        sys.executable,
        *COMMAND,
        "--rounds",
        "100000",
        "--json",
        str(tmp_path / "figures.json"),
        "receivers",
    ]
    with program.interrupted(command) as (leader, _):
        until(lambda: processes_of(leader) > 9, "all processes are there", bound=40)


def processes_of(leader: int) -> int:
    """How many processes the group of a leader has."""
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += os.getpgid(int(name)) == leader
        except ProcessLookupError:
            continue
    return found


def test_a_message_that_is_not_the_next_one_is_no_figure() -> None:
    """The receiver of ``senders`` looks at every message: what sender 1 sends, sender 0 must not have sent."""
    with Crew(senders.__name__) as crew:
        receiver, sender = crew.hire(2)
        name = bus()
        receiver.call("join", name=name, label="receiver")
        sender.call("join", name=name, label="sender")
        sender.tell("send", sender=1, at=time.monotonic() + 0.05, seconds=0.01)
        with pytest.raises(BenchError, match="IndexError"):
            receiver.call("receive", senders=1)
        crew.lose(sender)  # its ring is full, and nobody reads any more


def test_a_message_that_somebody_else_took_is_no_figure() -> None:
    """Of a multicast everybody must get every number; what goes to two in turn is not that."""
    with Crew(receivers.__name__) as crew:
        sender, one, other = crew.hire(3)
        name = bus()
        for hand, labels in ((sender, ["sender"]), (one, ["1", "2"]), (other, ["2"])):
            hand.call("join", name=name, labels=labels)
        other.tell("receive", size=64, whole=True)
        one.tell("receive", size=64, whole=True)
        sender.call("send", mode="unicast", label="2", size=64, seconds=0.05)
        assert not one.answer()["ordered"], "every other number went elsewhere"
        assert not other.answer()["ordered"]


def test_a_process_that_dies_fails_its_study() -> None:
    with Crew(senders.__name__) as crew:
        (hand,) = crew.hire(1)
        hand.call("join", name=bus(), label="receiver")
        hand.tell("receive", senders=1)
        os.kill(hand.pid, signal.SIGKILL)
        with pytest.raises(BenchError, match="ended with -9"):
            hand.answer()
