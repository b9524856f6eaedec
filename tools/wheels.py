"""Builds the wheels of the package, one per Python version, and the source distribution.

`python -m tools.wheels` builds into `dist/` what users get, for every interpreter it finds: this one, those on the
path, and pyenv's. `tests/packaging` builds the same from here without optimization, and installs and tries it; there
the versions without an interpreter are built too, from the description of them that maturin carries.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Where the compiled crates go: other interpreters' builds would make `target` stale again and again.
TARGET = ROOT / "target" / "wheels"


def versions() -> list[str]:
    """The Python versions that the package says it runs on, such as "3.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    stem = "Programming Language :: Python :: "
    named = [one.removeprefix(stem) for one in project["classifiers"] if one.startswith(stem)]
    return [version for version in named if version.count(".") == 1]


def interpreters() -> dict[str, Path]:
    """One interpreter of each version that is found and can make virtual environments; this one first."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": Path(sys.executable)}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(one) for one in os.environ.get("PATH", "").split(os.pathsep) if one]
    for version in versions():
        later_first = sorted(pyenv.glob(f"versions/{version}.*/bin"), reverse=True)
        for folder in [*folders, *later_first]:
            if version not in found and _runs(folder / f"python{version}", version):
                found[version] = folder / f"python{version}"
    return {version: found[version] for version in versions() if version in found}


def _runs(candidate: Path, version: str) -> bool:
    """Whether it is this version of CPython, and not a shim for one that is not installed."""
    if not candidate.exists():
        return False
    code = "import ensurepip, sys, venv; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    said = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return said.returncode == 0 and said.stdout.split() == ["cpython", version]


def wheel(interpreter: Path | str, out: Path, *, optimized: bool = True) -> Path:
    """Builds the wheel for one interpreter, or for a name such as "python3.14" of one that is not here."""
    profile = ["--release"] if optimized else ["--profile", "dev"]
    before = set(out.glob("*.whl"))
    _maturin("build", "--quiet", *profile, "--locked", "--interpreter", str(interpreter), "--out", str(out))
    (made,) = set(out.glob("*.whl")) - before
    return made


def sdist(out: Path) -> Path:
    """Builds the source distribution."""
    _maturin("sdist", "--out", str(out))
    (made,) = out.glob("*.tar.gz")
    return made


def environment() -> dict[str, str]:
    """What builds run with: maturin and cargo on the path, a place for what is compiled, no debug information."""
    folders = (
        str(Path(sys.executable).parent),
        os.environ.get("PATH", ""),
        str(Path.home() / ".cargo" / "bin"),
    )
    return os.environ | {
        "PATH": os.pathsep.join(folders),
        "CARGO_TARGET_DIR": str(TARGET),
        "CARGO_PROFILE_DEV_DEBUG": "0",
    }


def _maturin(*arguments: str) -> None:
    command = [sys.executable, "-m", "maturin", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)  # noqa: S603


def main() -> None:
    """Builds everything anew and says where it is."""
    out = ROOT / "dist"
    out.mkdir(exist_ok=True)
    for old in (*out.glob("*.whl"), *out.glob("*.tar.gz")):
        old.unlink()
    made = [sdist(out), *(wheel(interpreter, out) for interpreter in interpreters().values())]
    for path in made:
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
