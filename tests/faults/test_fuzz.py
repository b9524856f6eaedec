"""Fuzzers of everything that reads the bytes of another process, for a minute each, from the corpus that was kept.

Each was seen to fail; what was taken out of the production code for that stands in docs/testing.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.torture import fuzzing, trial
from tests.faults.torture.trials.fuzz import BESIDE, GRACE, Fuzz

#: Seconds for the first build.
BUILD = 400


@pytest.mark.timeout(BUILD + (Fuzz.ci + GRACE) * -(-len(fuzzing.targets()) // BESIDE), method="signal")
@pytest.mark.skipif(
    not os.access(fuzzing.FUZZ, os.W_OK), reason="only who owns the checkout can build fuzzers"
)
def test_no_bytes_crash_or_hang_a_reader() -> None:
    figures = trial.in_ci(Fuzz())
    assert figures["crashes"] == 0
    for target in fuzzing.targets():
        assert int(str(figures[target]).split()[0].replace(",", "")) > 1000, figures


@pytest.mark.parametrize("target", fuzzing.targets())
def test_the_corpus_is_small(target: str) -> None:
    cases = [Path(case) for case in (fuzzing.CORPUS / target).iterdir()]
    assert 5 < len(cases) < 500
    assert all(case.stat().st_size <= 2 * fuzzing.LONGEST for case in cases)


def test_the_corpus_of_payloads_is_harmless() -> None:
    """The Rust targets' corpora run in `cargo test`; this one needs Python, and no fuzzer."""
    program = [sys.executable, f"{fuzzing.FUZZ}/targets/payload.py", "--cases", f"{fuzzing.CORPUS}/payload"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
