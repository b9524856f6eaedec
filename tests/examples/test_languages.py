"""`make demo-languages`: everybody hears of everybody."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from tools import demo_languages


def test_each_language_prints_what_it_gets_from_the_others() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo_languages"],
        cwd=demo_languages.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    languages = {"Python", "C", "C++"}
    if shutil.which("node") and demo_languages.ADDON.exists():
        languages.add("Node")
    told = re.findall(r"^(\S+) got 'hello from (\S+)' from (\S+), process \d+$", done.stdout, re.MULTILINE)
    assert sorted(told) == sorted((me, other, other) for me in languages for other in languages - {me})
