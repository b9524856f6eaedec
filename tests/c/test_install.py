"""What `make install` installs can be used in the ways in which C and C++ programs find a library."""

from __future__ import annotations

import os
import subprocess
from shutil import which
from typing import TYPE_CHECKING

import pytest

from tests.support import compiled

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = compiled.ROOT / "crates" / "c" / "install" / "install.sh"

PROGRAM = """
#include "ipmb.h"
#include <cstdio>
int main() { std::printf("%d\\n", ipmb::version().minor); }
"""

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(user CXX)
set(CMAKE_CXX_STANDARD 14)
find_package(ipmb 0.1 REQUIRED)
find_package(ipmb 0.1 REQUIRED)
add_executable(shared program.cpp)
target_link_libraries(shared ipmb::ipmb)
add_executable(static program.cpp)
target_link_libraries(static ipmb::static)
"""


def sh(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The libraries as cargo leaves them, by links to those that are installed."""
    folder = tmp_path / "built"
    folder.mkdir()
    for name in ("libipmb.so", "libipmb.a"):
        (folder / name).symlink_to((compiled.PREFIX / "lib" / name).resolve())
    return folder


def test_a_prefix_and_a_place_to_stage(tmp_path: Path, built: Path) -> None:
    stage = tmp_path / "stage"
    done = sh(INSTALL, built, "/opt/ipmb", "lib64", DESTDIR=str(stage))
    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(stage)) for path in stage.rglob("*") if not path.is_dir()}
    version = compiled.package("--modversion")[0]
    assert found == {
        "opt/ipmb/include/ipmb.h",
        "opt/ipmb/include/ipmb_ffi.h",
        "opt/ipmb/lib64/libipmb.a",
        "opt/ipmb/lib64/libipmb.so",
        f"opt/ipmb/lib64/libipmb.so.{version.split('.')[0]}",
        f"opt/ipmb/lib64/libipmb.so.{version}",
        "opt/ipmb/lib64/pkgconfig/ipmb.pc",
        "opt/ipmb/lib64/cmake/ipmb/ipmb-config.cmake",
        "opt/ipmb/lib64/cmake/ipmb/ipmb-config-version.cmake",
    }
    text = (stage / "opt/ipmb/lib64/pkgconfig/ipmb.pc").read_text()
    assert "prefix=/opt/ipmb\n" in text
    assert "libdir=${prefix}/lib64\n" in text
    assert "@" not in text


def test_a_relative_prefix_is_refused(built: Path) -> None:
    done = sh(INSTALL, built, "opt")
    assert done.returncode == 1
    assert "give an absolute path" in done.stderr


@pytest.mark.skipif(which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("libdir", ["lib", "lib/x86_64-linux-gnu"])
def test_cmake_finds_it_wherever_it_was_moved(tmp_path: Path, built: Path, libdir: str) -> None:
    assert sh(INSTALL, built, tmp_path / "first", libdir).returncode == 0
    moved = (tmp_path / "first").rename(tmp_path / "moved")
    (tmp_path / "program.cpp").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    done = sh(
        "cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dipmb_DIR={moved / libdir / 'cmake' / 'ipmb'}"
    )
    assert done.returncode == 0, done.stderr
    done = sh("cmake", "--build", tmp_path / "build")
    assert done.returncode == 0, done.stdout + done.stderr
    minor = compiled.package("--modversion")[0].split(".")[1]
    for name in ("shared", "static"):
        assert sh(tmp_path / "build" / name).stdout == f"{minor}\n"


@pytest.mark.skipif(which("cmake") is None, reason="cmake is not installed")
def test_cmake_refuses_another_version(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        PROJECT.replace("find_package(ipmb 0.1", "find_package(ipmb 0.0")
    )
    config = compiled.PREFIX / "lib" / "cmake" / "ipmb"
    done = sh("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dipmb_DIR={config}")
    assert done.returncode != 0
    assert "0.0" in done.stderr
