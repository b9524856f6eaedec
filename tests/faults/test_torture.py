"""The frame that long trials run in: what it keeps, that it ends in time, that a failing case runs again by its file.

The trials here are made up: what is tested is what becomes of their figures and their failures, nothing of the bus.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.faults.torture import __main__ as program
from tests.faults.torture import record, trials
from tests.faults.torture.native import Native
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation, in_ci

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


class Counting(Trial):
    """Counts until the number that is bad, if there is one."""

    name = "counting"
    title = "counting to the end"
    unit = "numbers"
    ci = 4
    demand = 10
    bad = -1

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, Case | None]] = []

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        self.seen.append((count, seed, case))
        done = 0
        while done < count:
            if done == self.bad:
                raise Violation({"number": done}, f"{done} is bad")
            done += 1
            if not tell(done):
                break
        return {"numbers": done}


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counting:
    trial = Counting()
    monkeypatch.setattr(trials, "found", lambda: {"counting": trial})
    monkeypatch.setattr(record, "RESULTS", tmp_path / "torture.json")
    monkeypatch.setattr(record, "CASES", tmp_path / "torture")
    for name in ("TRIALS", "COUNT", "SEED", "MINUTES", "REPLAY"):
        monkeypatch.delenv(name, raising=False)
    return trial


def torture(**env: str) -> Result:
    return CliRunner().invoke(program.main, [], env=env)


def test_figures_are_kept_and_the_largest_run_stays(counting: Counting) -> None:
    assert torture().exit_code == 0
    assert torture(COUNT="3", SEED="7").exit_code == 0
    kept = json.loads(record.RESULTS.read_text())["counting"]
    assert (kept["largest"]["count"], kept["largest"]["figures"]) == (10, {"numbers": 10})
    assert (kept["last"]["count"], kept["last"]["seed"]) == (3, 7)
    assert kept["last"]["commit"] == record.this_commit()


def test_the_seed_is_said_first(counting: Counting) -> None:
    said = torture(SEED="4711").output
    assert said.startswith("seed 4711\n")
    assert counting.seen == [(10, 4711, None)]


def test_a_failing_case_runs_again_by_its_file(counting: Counting) -> None:
    counting.bad = 2
    failed = torture(SEED="5")
    assert failed.exit_code == 1
    path = record.CASES / "counting-5-1.json"
    assert "2 is bad" in failed.output
    assert json.loads(record.RESULTS.read_text())["counting"]["last"]["replay"] == str(path)
    assert "largest" not in json.loads(record.RESULTS.read_text())["counting"]
    torture(REPLAY=str(path))
    assert counting.seen[-1] == (10, 5, {"number": 2})
    assert (record.CASES / "counting-5-2.json").exists(), "it failed again, and the first file is kept"


def test_a_trial_ends_when_its_minutes_are_over(counting: Counting) -> None:
    assert torture(COUNT="1000000000", MINUTES="0.01").exit_code == 0
    kept = json.loads(record.RESULTS.read_text())["counting"]["last"]
    assert 0 < kept["count"] == kept["figures"]["numbers"] < 1_000_000_000
    assert kept["seconds"] >= 0.6


def test_a_name_that_is_none_is_refused(counting: Counting) -> None:
    refused = torture(TRIALS="counting swimming")
    assert refused.exit_code == 2
    assert "swimming" in refused.output
    assert not counting.seen


def test_a_violation_fails_the_test_and_names_the_file(
    counting: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    counting.bad = 0
    with pytest.raises(AssertionError, match=r"0 is bad\nagain: make torture REPLAY=.*counting-"):
        in_ci(counting)
    assert f"seed {counting.seen[0][1]}" in capsys.readouterr().out


def native(code: str) -> Native:
    return Native(
        "native", title="a program", unit="points", ci=2, demand=3, command=[sys.executable, "-c", code]
    )


def test_a_program_tells_its_progress_and_its_figures() -> None:
    told: list[int] = []

    def tell(done: int) -> bool:
        told.append(done)
        return True

    code = """if True:
        import os
        print('noise')
        print('progress 1', os.environ['IPMB_COUNT'])
        print('progress 3 3')
        print('figure takeover p99 = 41 ms')
        print('figure seed', os.environ['IPMB_SEED'])
    """
    assert native(code).run(3, 9, tell) == {"points": 3, "takeover p99": "41 ms", "seed": 9}
    assert told == [1, 3]


@pytest.mark.parametrize("end", ["print('case 17 of push')", "print('case 17 of push'); raise SystemExit(3)"])
def test_a_programs_violation_carries_what_replays_it(end: str) -> None:
    with pytest.raises(Violation) as raised:
        native(f"print('why'); {end}").run(3, 9, lambda _: True)
    assert raised.value.case == {"case": "17 of push"}
    assert "why" in raised.value.text
    again = native("import os; print('figure case', os.environ['IPMB_CASE'].replace(' ', '-'))")
    assert again.run(3, 9, lambda _: True, raised.value.case)["case"] == "17-of-push"


def test_a_program_that_dies_is_a_violation() -> None:
    with pytest.raises(Violation, match="ended with -9"):
        native("import os; os.kill(os.getpid(), 9)").run(3, 9, lambda _: True)


def test_a_program_is_ended_when_time_is_over() -> None:
    code = "import time\nprint('progress 1 3', flush=True)\ntime.sleep(600)"
    assert native(code).run(3, 9, lambda _: False) == {"points": 1}


def test_every_trial_says_what_it_is() -> None:
    """All that are found have a count for both, the larger one on demand."""
    for name, trial in trials.found().items():
        assert name == trial.name
        assert trial.title
        assert trial.unit
        assert 0 < trial.ci <= trial.demand
