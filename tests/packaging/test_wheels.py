"""The wheels, for every Python here: what is in them, and whether a user who installs one gets on with it.

They are built without optimization, since what is tried is the packaging and the interpreter's interface. The one for
this interpreter is built from the source distribution, as `pip install` does where there is no wheel. For versions
without an interpreter on this machine the wheel is built and looked at, and cannot be tried.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tools import wheels

if TYPE_CHECKING:
    from collections.abc import Callable

#: A wheel takes about 20 s, the first one a minute more; a cold registry and a busy machine take longer.
pytestmark = pytest.mark.timeout(900)

HERE = wheels.interpreters()
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
SMOKE = Path(__file__).with_name("smoke.py")
LICENCES = {"LICENSE-APACHE", "LICENSE-MIT"}


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The wheel for a version, built at most once."""
    made: dict[str, Path] = {}

    def get(version: str) -> Path:
        if version in made:
            return made[version]
        out = tmp_path_factory.mktemp("wheel")
        if version == THIS:
            # Without isolation: the build needs nothing but maturin, and that is here.
            env = wheels.environment() | {"MATURIN_PEP517_ARGS": "--profile dev"}
            command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
            run(*command, "--wheel-dir", out, sdist, cwd=out, env=env)
            (made[version],) = out.glob("*.whl")
        else:
            made[version] = wheels.wheel(HERE.get(version, f"python{version}"), out, optimized=False)
        return made[version]

    return get


@pytest.mark.parametrize("version", wheels.versions())
def test_a_wheel_holds_the_package_and_nothing_else(wheel: Callable[[str], Path], version: str) -> None:
    with zipfile.ZipFile(wheel(version)) as archive:
        found = set(archive.namelist())
        (info,) = {name.split("/")[0] for name in found if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    digits = version.replace(".", "")
    source = wheels.ROOT / "python"
    modules = [*source.rglob("*.py"), *source.rglob("*.pyi"), *source.rglob("py.typed")]
    assert found == {
        *(str(path.relative_to(source)) for path in modules),
        f"ipmb/_core.cpython-{digits}-x86_64-linux-gnu.so",
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")),
        *(f"{info}/licenses/{name}" for name in LICENCES),
    }
    assert {"ipmb/py.typed", "ipmb/_core.pyi"} <= found
    assert set(metadata.get_all("License-File", [])) == LICENCES
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert f"Programming Language :: Python :: {version}" in metadata.get_all("Classifier", [])


@pytest.mark.parametrize("version", HERE)
def test_a_wheel_installs_and_works(wheel: Callable[[str], Path], version: str, tmp_path: Path) -> None:
    """In an environment and a directory of its own, without a sight of the checkout."""
    away = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    run(HERE[version], "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel(version), "numpy", cwd=tmp_path, env=away)
    smoke = tmp_path / "smoke.py"
    smoke.write_text(SMOKE.read_text())
    assert run(python, "-W", "error", smoke, cwd=tmp_path, env=away) == "well\n"
    for command in ((python, "-m", "ipmb"), (tmp_path / "venv/bin/ipmb",)):
        assert "ipmb" in run(*command, "--version", cwd=tmp_path, env=away)
    assert "No broken requirements" in run(python, "-m", "pip", "check", cwd=tmp_path, env=away)
    if version == THIS:
        # It looks for the package where the first python of the path has it.
        known = away | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        verify = (sys.executable, "-m", "pyright", "--ignoreexternal", "--verifytypes", "ipmb")
        assert "completeness score: 100%" in run(*verify, cwd=tmp_path, env=known)


def test_the_source_distribution_holds_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", *LICENCES} <= found
    assert {"python/ipmb/py.typed", "python/ipmb/_core.pyi", "crates/python/src/lib.rs"} <= found
    top = {name.split("/")[0] for name in found}
    assert top == {
        "PKG-INFO",
        "pyproject.toml",
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "crates",
        "python",
        *LICENCES,
    }
    assert not [name for name in found if name.endswith((".so", ".pyc", ".log"))]
