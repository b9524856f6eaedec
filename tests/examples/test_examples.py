"""The examples run by themselves, end soon, show what they say, and are explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import program

EXAMPLES = Path(__file__).parents[2] / "examples"

#: What each must print, in this order.
PRINTED = {
    "camera_frames.py": [
        r"viewer \d+: 60 of 60 frames seen in the camera's own memory",
        r"viewer \d+: 60 of 60 frames seen in the camera's own memory",
        r"camera: 373 MB of frames in [1-5] regions of 6\.2 MB each",
    ],
    "pipe_handover.py": [
        r"writer \d+: got a pipe from process \d+: write your lines into this",
        r"reader \d+: 100,000 lines, the last is 'line 99999', then the end of the file",
    ],
    "privileged_file.py": [
        r"opener, user \d+: opened a file with the permissions [60]",
        r"reader, user \d+: opening it by its name fails: Permission denied",
        r"reader, user \d+: reading what was handed over: 'the key is under the mat'",
    ],
    "worker_pool.py": [
        r"boss: killed worker \d+ with kill -9",
        r"boss: worker \d+ did \d+ tasks",
        r"boss: worker \d+ did \d+ tasks",
        r"boss: worker \d+ did \d+ tasks",
        r"boss: 300 results, all right",
    ],
}


def test_every_example_is_tested_and_explained() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == set(PRINTED)
    page = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"\*\*\[(\w+\.py)\]\(\1\)\*\*:", page)) == names


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_shows_what_it_says(name: str) -> None:
    done = program.python("-W", "error", EXAMPLES / name, seconds=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(".*".join(PRINTED[name]), done.stdout, re.DOTALL), done.stdout


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_is_read_in_two_minutes(name: str) -> None:
    """One file, its reason first, and how to start it."""
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) <= 120
    assert text.startswith('"""')
    assert f"python examples/{name}" in text.partition('"""\n\n')[0]
