"""The frame that long trials run in: what it keeps, that it ends in time, that a failing case runs again by its file.

The trials here are made up: what is tested is what becomes of their figures and their failures, nothing of the bus.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.faults.torture import __main__ as program
from tests.faults.torture import ending, page, record, trials
from tests.faults.torture.native import Native
from tests.faults.torture.trial import (
    Case,
    Figures,
    Tell,
    Trial,
    Violation,
    amount,
    in_ci,
    spelled,
)
from tests.faults.torture.trials import controllers, quarter
from tests.support.wait import until

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
    there: dict[str, Trial] = {"counting": trial}
    monkeypatch.setattr(trials, "found", lambda: there)
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
    again = torture(REPLAY=str(path))
    assert counting.seen[-1] == (10, 5, {"number": 2})
    assert f"replaying counting, of {record.this_commit()}: 2 is bad\n" in again.output
    assert again.output.endswith("it failed again\n")
    assert (record.CASES / "counting-5-2.json").exists(), "it failed again, and the first file is kept"
    counting.bad = -1
    assert torture(REPLAY=str(path)).output.endswith("it did not fail this time\n")


def test_a_trial_ends_when_its_minutes_are_over(counting: Counting) -> None:
    assert torture(COUNT="1000000000", MINUTES="0.01").exit_code == 0
    kept = json.loads(record.RESULTS.read_text())["counting"]["last"]
    assert 0 < kept["count"] == kept["figures"]["numbers"] < 1_000_000_000
    assert kept["seconds"] >= 0.6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"TRIALS": "counting swimming"}, "TRIALS=swimming: there is none of that name; there are counting"),
        ({"COUNT": "many"}, "COUNT=many is no whole number: give 1 to 1,000,000,000"),
        ({"COUNT": "0"}, "COUNT=0 is not possible: give 1 to 1,000,000,000"),
        ({"SEED": "-1"}, "SEED=-1 is not possible: give 1 to 2,147,483,647"),
        ({"SEED": "x"}, "SEED=x is no whole number: give 1 to 2,147,483,647"),
        ({"MINUTES": "abc"}, "MINUTES=abc is no number: give minutes, 0.01 or more"),
        ({"MINUTES": "nan"}, "MINUTES=nan is no number: give minutes, 0.01 or more"),
        ({"MINUTES": "0"}, "MINUTES=0 is too short: give minutes, 0.01 or more"),
        ({"REPLAY": "no/such"}, "REPLAY=no/such: there is no such file"),
        ({"REPLAY": __file__}, f"REPLAY={__file__} is no failing case's file: give one from .build/torture/"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_refused_in_the_words_that_were_typed(
    counting: Counting, wrong: dict[str, str], said: str
) -> None:
    refused = torture(**wrong)
    assert (refused.exit_code, refused.output) == (2, f"Error: {said}\n")
    assert not counting.seen


def test_a_replay_has_its_trial_and_its_seed(counting: Counting, tmp_path: Path) -> None:
    path = tmp_path / "case"
    case = {"trial": "counting", "count": 3, "seed": 5, "case": {}, "text": "", "commit": "abc"}
    path.write_text(json.dumps(case))
    assert "has a seed, 5: leave SEED=6 out" in torture(REPLAY=str(path), SEED="6").output
    path.write_text(json.dumps(case | {"trial": "swimming"}))
    assert "is of a trial that is no more: swimming" in torture(REPLAY=str(path)).output
    trials.found().update(swimming=counting)
    assert "is of swimming: leave TRIALS=counting out" in torture(REPLAY=str(path), TRIALS="counting").output
    assert not counting.seen


class Interrupted(Counting):
    """Somebody presses Ctrl-C while it counts, so often as it says."""

    def __init__(self, times: int, *, listens: bool) -> None:
        super().__init__()
        self.times = times
        self.listens = listens

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        def interrupting(done: int) -> bool:
            if 3 <= done < 3 + self.times:
                signal.raise_signal(signal.SIGINT)
            return tell(done) or not self.listens

        return super().run(count, seed, interrupting, case)


def test_what_was_done_before_an_interrupt_is_judged_and_kept(counting: Counting) -> None:
    """The trial hears of it from `tell`; no other is begun."""
    first = Interrupted(1, listens=True)
    trials.found().update(counting=first, second=counting)
    done = torture(TRIALS="counting second")
    assert done.exit_code == program.INTERRUPTED
    assert done.output.endswith("interrupted: counting after 3 of 10 numbers: no violation\n")
    assert not counting.seen
    kept = json.loads(record.RESULTS.read_text())
    assert kept.keys() == {"counting"}
    assert (kept["counting"]["largest"]["count"], kept["counting"]["largest"]["figures"]) == (
        3,
        {"numbers": 3},
    )


def test_a_violation_found_while_it_ends_is_one(counting: Counting) -> None:
    first = Interrupted(1, listens=False)
    first.bad = 5
    trials.found().update(counting=first)
    done = torture()
    assert done.exit_code == program.INTERRUPTED
    assert (record.CASES / f"counting-{first.seen[0][1]}-1.json").exists()
    assert "5 is bad" in done.output


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("times", [1, 2])
def test_who_does_not_end_is_cut_off(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the second Ctrl-C, or after a while; what it says then is no violation, and what it did is not kept."""

    class Torn(Interrupted):
        def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
            try:
                super().run(count, seed, tell, case)
                time.sleep(60)
            except KeyboardInterrupt:
                raise Violation({}, "a process has died") from None
            return {}

    monkeypatch.setattr(ending, "GRACE", 0.2)
    trials.found().update(counting=Torn(times, listens=False))
    before = threading.active_count()
    done = torture()
    assert done.exit_code == program.INTERRUPTED
    assert done.output.endswith("of 10 numbers: not judged\n")
    assert "a process has died" not in done.output
    assert not record.CASES.exists()
    assert not record.RESULTS.exists()
    until(lambda: threading.active_count() <= before, "the clock has ended")


#: Runs torture with records of its own.
DRIVER = """
import pathlib, sys
from tests.faults.torture import __main__ as program, record
folder = pathlib.Path(sys.argv.pop())
record.RESULTS, record.CASES = folder / "torture.json", folder / "torture"
program.main()
"""


@pytest.mark.parametrize(
    ("name", "sign", "end"),
    [
        ("joins", "warming up: [1-9]", "0 of 300 joins: not judged"),
        ("storm", " [1-9][0-9]*/300 ", r"[1-9]\d* of 300 kills: no violation"),
    ],
)
def test_an_interrupt_in_a_terminal(name: str, sign: str, end: str, tmp_path: Path) -> None:
    """A terminal's Ctrl-C goes to all of the foreground group; the processes of a trial are in none.

    Seen to fail with children in the group of their parent: "controller died of SIGINT", kept as a violation.
    """
    terminal, other = os.openpty()
    environment = {**os.environ, "TRIALS": f"{name} fuzz", "COUNT": "300", "TERM": "xterm", "COLUMNS": "140"}
    words = ["setsid", "--ctty", sys.executable, "-c", DRIVER, str(tmp_path)]
    with subprocess.Popen(
        words, cwd=record.ROOT, env=environment, stdin=other, stdout=other, stderr=other
    ) as run:
        os.close(other)
        seen = b""
        while chunk := _read(terminal):
            if re.search(sign.encode(), chunk):
                os.write(terminal, b"\x03")
                sign = "only once"
            seen += chunk
        os.close(terminal)
    said = seen.decode()
    assert run.returncode == program.INTERRUPTED, said
    assert re.search(rf"interrupted: {name} after {end}\r\n$", said), said
    assert "fuzz" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "torture").exists()
    if name == "storm":
        kept = json.loads((tmp_path / "torture.json").read_text())
        assert kept.keys() == {name}
        assert 0 < kept[name]["largest"]["count"] == kept[name]["largest"]["figures"]["kills"] < 300


def _read(terminal: int) -> bytes:
    """What is shown; nothing when everybody has closed it."""
    with contextlib.suppress(OSError):
        return os.read(terminal, 1 << 16)
    return b""


def test_a_violation_fails_the_test_and_names_the_file(
    counting: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    counting.bad = 0
    with pytest.raises(AssertionError, match=r"0 is bad\nagain: make torture REPLAY=.*counting-"):
        in_ci(counting)
    assert f"seed {counting.seen[0][1]}" in capsys.readouterr().out


def native(code: str) -> Native:
    return Native(
        "native",
        title="a program",
        unit="points",
        ci=2,
        demand=3,
        means="",
        command=[sys.executable, "-c", code],
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
    assert list(dict.fromkeys(done for done in told if done)) == [1, 3]


@pytest.mark.parametrize("end", ["print('case 17 of push')", "print('case 17 of push'); raise SystemExit(3)"])
def test_a_programs_violation_carries_what_replays_it(end: str) -> None:
    with pytest.raises(Violation) as raised:
        native(f"print('why'); {end}").run(3, 9, lambda _: True)
    assert raised.value.case == {"case": "17 of push"}
    assert "why" in raised.value.text
    again = native("import os; print('figure case', os.environ['IPMB_CASE'].replace(' ', '-'))")
    assert again.run(3, 9, lambda _: True, raised.value.case)["case"] == "17-of-push"


def test_a_program_that_does_nothing_is_a_violation() -> None:
    """It ends well, and all it says is why it cannot."""
    with pytest.raises(Violation, match=r"did nothing\nnot built for this"):
        native("print('not built for this')").run(3, 9, lambda _: True)


def test_a_program_that_dies_is_a_violation() -> None:
    with pytest.raises(Violation, match="ended with -9"):
        native("import os; os.kill(os.getpid(), 9)").run(3, 9, lambda _: True)


def test_a_program_is_ended_when_time_is_over() -> None:
    code = "import time\nprint('progress 1 3', flush=True)\ntime.sleep(600)"
    assert native(code).run(3, 9, lambda done: done < 1) == {"points": 1}


def test_a_program_that_says_nothing_is_ended_when_time_is_over() -> None:
    assert native("import time\ntime.sleep(600)").run(3, 9, lambda _: False) == {"points": 0}


def test_a_program_that_is_ended_has_found_what_it_has_found() -> None:
    code = "import time\nprint('case 17', flush=True)\ntime.sleep(600)"
    with pytest.raises(Violation, match="was ended\ncase 17"):
        native(code).run(3, 9, lambda _: False)


def test_every_trial_says_what_it_is() -> None:
    """All that are found have a count for both, the larger one on demand."""
    for name, trial in trials.found().items():
        assert name == trial.name
        assert trial.title
        assert trial.unit
        assert trial.means.endswith("."), f"{name} says what its figures mean"
        assert 0 < trial.ci <= trial.demand


def test_what_runs_on_demand_judges_nearer_to_its_target(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter that stands, and takeovers, with figures between the two bounds, and beyond both."""
    in_ci(counting)
    nearer = [counting.on_demand]
    torture()
    assert [*nearer, counting.on_demand] == [False, True]
    for ratio, on_demand, fails in (
        (1.1, True, False),
        (1.6, False, False),
        (1.6, True, True),
        (2.1, False, True),
    ):
        monkeypatch.setattr(quarter, "stop_once", lambda ratio=ratio: ([ratio] * 3, 0))
        trial = quarter.Quarter()
        trial.on_demand = on_demand
        with pytest.raises(Violation, match="times as slow") if fails else contextlib.nullcontext():
            trial.run(1, 1, lambda _: True)
    scene = object.__new__(controllers.Scene)
    quick, slow, slower = [0.05] * 100, [0.05] * 98 + [0.6] * 2, [1.1] * 100
    for scene.nearer, takeovers, pause, fails in (
        (True, quick, 0.01, False),
        (False, slow, 0.06, False),
        (True, slow, 0.01, True),
        (True, quick, 0.06, True),
        (False, slower, 0.01, True),
        (False, quick, 0.11, True),
    ):
        with pytest.raises(AssertionError) if fails else contextlib.nullcontext():
            scene.figures(takeovers, [pause] * 3, [0.001] * 3)


def test_the_page_says_how_much_of_what_is_wanted_was_reached(counting: Counting) -> None:
    assert page.row(counting, None)[3:] == ("not run yet", "", "", "")
    torture(COUNT="4")
    counting.bad = 0
    torture(SEED="5")
    kept = json.loads(record.RESULTS.read_text())["counting"]
    name, ci, demand, run, found, *_ = page.row(counting, kept)
    assert (name, ci, demand) == ("**counting**: counting to the end", "4 numbers", "10 numbers")
    assert run == "4 numbers in 0 s: 40 % of it"
    assert found == f"no violation; later **a violation** (seed 5, {record.this_commit()}): 0 is bad"


@pytest.mark.parametrize(
    ("done", "said"), [(10_000, "reached"), (2345, "23 % of it"), (123, "1.2 % of it"), (1, "a beginning")]
)
def test_a_part_of_what_is_wanted(done: int, said: str) -> None:
    assert page.share(done, 10_000) == said


def test_figures_in_words() -> None:
    assert amount(1, "stops of 10 s") == "1 stop of 10 s"
    assert amount(2000, "kills") == "2,000 kills"
    figures = {"kills": 5, "violations": 0, "messages": 168246, "longest": "3 ms"}
    assert spelled(figures, "kills") == "messages 168,246, longest 3 ms"
