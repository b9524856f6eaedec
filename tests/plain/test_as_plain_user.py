"""The guarantees and the faults once more, as a plain user with ``ulimit -n 1024``.

Root is exempt from the kernel's budget of descriptors in flight and from most permission checks, so that what
root has seen to work is not yet shown. Each folder runs in a pytest of its own, which reports here as one
test. By hand: ``python -m tests.support.plain_user python -m pytest tests/faults``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import plain_user

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

#: How many are killed in the storms this time: what it is about here are the kernel's limits, not the numbers.
FEWER = {
    "IPMB_TORTURE_SHARE": "0.1",
    "IPMB_KILLS": "100",
    "IPMB_REGION_ROUNDS": "10",
}


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder for temporary files that the plain user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="plain-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(600, method="signal")
@pytest.mark.parametrize("folder", ["guarantees", "faults"])
def test_as_plain_user(folder: str, own_folder: Path) -> None:
    """Everything in the folder passes without privileges and with 1,024 descriptors."""
    done = subprocess.run(
        [
            *plain_user.wrap(plain_user.NOBODY if os.getuid() == 0 else os.getuid()),
            *(sys.executable, "-m", "pytest", f"tests/{folder}", "-q", "-p", "no:cacheprovider"),
            f"--basetemp={own_folder}/pytest",
        ],
        cwd=ROOT,
        env={**os.environ, **FEWER},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout, done.stdout
