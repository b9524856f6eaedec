"""What is kept of trials: figures in .build/torture.json, failing cases in .build/torture/.

Of each trial the file holds the last run and the largest one without a violation, with the date and the commit, so that
a quick look in between does not wipe out a night's figures. The documentation is made of it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.faults.torture.trial import Trial, Violation

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / ".build" / "torture.json"
CASES = ROOT / ".build" / "torture"


def this_commit() -> str:
    """The commit that is tested; with ``-dirty`` when files differ from it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass
class Run:
    """One run of one trial."""

    title: str
    unit: str
    count: int
    seed: int
    seconds: float
    figures: dict[str, object] = field(default_factory=dict)
    #: What was violated, and the file that replays it.
    violation: str = ""
    replay: str = ""
    #: Whether it came to its end, or to one in time, so that what it did was looked at.
    judged: bool = True
    date: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    commit: str = field(default_factory=this_commit)


def keep(name: str, run: Run) -> None:
    """Note a run as the last of its trial, and as the largest if it is that."""
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    runs = found.setdefault(name, {})
    runs["last"] = asdict(run)
    if not run.violation and run.count >= runs.get("largest", {}).get("count", 0):
        runs["largest"] = asdict(run)
    RESULTS.parent.mkdir(exist_ok=True)
    fresh = RESULTS.with_suffix(".new")
    fresh.write_text(json.dumps(found, indent=1) + "\n")
    fresh.rename(RESULTS)


def write_case(trial: Trial, count: int, seed: int, violation: Violation) -> Path:
    """Write down what replays a violation; the file's path."""
    folder = CASES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the next line
        probe.close()
    except OSError:  # the plain user may not write there
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
    paths = (folder / f"{trial.name}-{seed}-{number}.json" for number in itertools.count(1))
    path = next(one for one in paths if not one.exists())
    case = {
        "trial": trial.name,
        "count": count,
        "seed": seed,
        "case": dict(violation.case),
        "text": violation.text,
        "commit": this_commit(),
    }
    path.write_text(json.dumps(case, indent=1) + "\n")
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


class NoCaseError(ValueError):
    """A file that :func:`write_case` has not written."""


def read_case(path: Path) -> dict[str, Any]:
    """What :func:`write_case` wrote.

    Raises:
        NoCaseError: It has written something else, or nothing.
    """
    kinds = {"trial": str, "count": int, "seed": int, "case": dict, "text": str, "commit": str}
    try:
        found = json.loads(path.read_text())
        if not all(isinstance(found[name], kind) for name, kind in kinds.items()):
            raise NoCaseError(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoCaseError(path) from error
    return dict(found)
