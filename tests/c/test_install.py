"""What `make install` installs can be used in the ways in which C and C++ programs find a library."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from shutil import which

import pytest

from tests.support import compiled

INSTALL = compiled.ROOT / "crates" / "c" / "install" / "install.sh"
UNINSTALL = INSTALL.with_name("uninstall.sh")

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


#: What a program in C needs to be a whole one: it joins, and talks to itself.
SPOKEN = """
#include "ipmb_ffi.h"
#include <stdio.h>
int main(int argc, char **argv) {
    Label label = ipmb_label();
    ipmb_label_insert(&label, "self");
    Options options = {argv[argc - 1], &label, "", true};
    Sender sender;
    Receiver receiver;
    ErrorCode error = ipmb_join(options, 10000, &sender, &receiver);
    LabelOp op = ipmb_label_op_leaf("self");
    Selector selector = {&op, kUnicast, 0};
    Message message = NULL;
    if (error == 0 && ipmb_send(&sender, ipmb_message(selector, 7, NULL, 0)) == 0) {
        error = ipmb_recv(&receiver, &message, 10000);
    }
    printf("%s\\n", ipmb_error_name(error));
    ipmb_message_drop(message);
    ipmb_label_op_drop(op);
    ipmb_label_drop(label);
    ipmb_sender_drop(sender);
    ipmb_receiver_drop(receiver);
    return 0;
}
"""


def interface() -> str:
    """The version of the interface: below 1.0 each minor version has one of its own."""
    major, minor, *_ = compiled.package("--modversion")[0].split(".")
    return f"0.{minor}" if major == "0" else major


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def told(prefix: Path, *what: str) -> list[str]:
    """What pkg-config says of the library below a prefix, as a shell takes it."""
    done = sh("pkg-config", *what, "ipmb", PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig"))
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


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
    version = compiled.package("--modversion")[0]
    assert files(stage) == {
        "opt/ipmb/include/ipmb.h",
        "opt/ipmb/include/ipmb_ffi.h",
        "opt/ipmb/lib64/libipmb.a",
        "opt/ipmb/lib64/libipmb.so",
        f"opt/ipmb/lib64/libipmb.so.{interface()}",
        f"opt/ipmb/lib64/libipmb.so.{version}",
        "opt/ipmb/lib64/pkgconfig/ipmb.pc",
        "opt/ipmb/lib64/cmake/ipmb/ipmb-config.cmake",
        "opt/ipmb/lib64/cmake/ipmb/ipmb-config-version.cmake",
    }
    text = (stage / "opt/ipmb/lib64/pkgconfig/ipmb.pc").read_text()
    assert "prefix=/opt/ipmb\n" in text
    assert "libdir=${prefix}/lib64\n" in text
    assert "@" not in text
    listed = [line.strip() for line in done.stdout.splitlines()[1:]]
    assert {os.path.relpath(name, stage) for name in listed} == files(stage)

    (stage / "opt/ipmb/lib64/pkgconfig/other.pc").touch()
    (stage / "opt/ipmb/lib64/libipmb.so.0.0").touch()  # of another version, which another program uses
    wrong = sh(UNINSTALL, "/opt/ipmb", DESTDIR=str(stage))
    assert (wrong.returncode, len(files(stage))) == (1, 11)
    assert "give the PREFIX, LIBDIR and DESTDIR that it was installed with" in wrong.stderr
    done = sh(UNINSTALL, "/opt/ipmb", "lib64", DESTDIR=str(stage))
    assert done.returncode == 0, done.stderr
    assert files(stage) == {"opt/ipmb/lib64/pkgconfig/other.pc", "opt/ipmb/lib64/libipmb.so.0.0"}
    assert not (stage / "opt/ipmb/lib64/cmake/ipmb").exists()


@pytest.mark.skipif(which("readelf") is None, reason="binutils are not installed")
def test_the_name_of_the_library_is_that_of_its_interface() -> None:
    """What a program asks the loader for, the link that it finds, and what CMake and the version say."""
    library = (compiled.PREFIX / "lib" / "libipmb.so").resolve()
    dynamic = sh("readelf", "-d", library).stdout
    (soname,) = re.findall(r"SONAME.*\[(.*)\]", dynamic)
    assert soname == f"libipmb.so.{interface()}"
    assert (compiled.PREFIX / "lib" / soname).resolve() == library
    config = (compiled.PREFIX / "lib" / "cmake" / "ipmb" / "ipmb-config.cmake").read_text()
    assert f'IMPORTED_SONAME "{soname}"' in config


@pytest.mark.skipif(
    not (compiled.ROOT / "target" / "release" / "libipmb.a").exists(), reason="the library is built elsewhere"
)
@pytest.mark.parametrize("staged", [True, False])
def test_make_install_and_uninstall_take_spaces(tmp_path: Path, staged: bool) -> None:
    """`make` itself. What is built already is not built again: who installs may be root, who has no cargo."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cargo").symlink_to("/bin/false")
    prefix = tmp_path / "a prefix & more"
    stage = tmp_path / "a stage" if staged else None
    to = Path(f"{stage or ''}{prefix}")
    given = [f"PREFIX={prefix}", *([f"DESTDIR={stage}"] if stage else [])]
    path = f"{tools}:{os.environ['PATH']}"
    command = ("make", "--old-file=.build/libipmb", "-C", compiled.ROOT)
    done = sh(*command, "install", *given, PATH=path)
    assert done.returncode == 0, done.stderr
    hint = f"PKG_CONFIG_PATH={prefix}/lib/pkgconfig"
    assert (hint in done.stdout) == (not staged)
    assert f"  {to}/lib/libipmb.so\n" in done.stdout
    assert f"prefix={prefix}\n" in (to / "lib/pkgconfig/ipmb.pc").read_text()
    if not staged:
        source = tmp_path / "program.cpp"
        source.write_text(PROGRAM)
        program = tmp_path / "program"
        libraries = [*told(prefix, "--cflags", "--libs"), f"-Wl,-rpath,{prefix / 'lib'}"]
        done = sh("c++", "-std=c++14", source, "-o", program, *libraries)
        assert done.returncode == 0, done.stderr
        assert sh(program).stdout == f"{compiled.package('--modversion')[0].split('.')[1]}\n"
    done = sh(*command, "uninstall", *given, PATH=path)
    assert done.returncode == 0, done.stderr
    assert files(to) == set()


@pytest.mark.parametrize("how", ["the library alone", "all"])
def test_pkg_config_links_statically(tmp_path: Path, bus: str, how: str) -> None:
    """`--static` names all that the archive needs, whether the C library is static, too, or not."""
    source = tmp_path / "program.c"
    source.write_text(SPOKEN)
    program = tmp_path / "program"
    libraries = told(compiled.PREFIX, "--static", "--cflags", "--libs")
    if how == "all":
        libraries.append("-static")
    else:
        libraries[libraries.index("-lipmb")] = "-l:libipmb.a"
    done = sh("cc", "-std=c11", *compiled.STRICT, source, "-o", program, *libraries)
    if how == "all" and "cannot find -lc" in done.stderr:
        pytest.skip("there is no static C library")
    assert done.returncode == 0, done.stderr
    needed = sh("readelf", "-d", program).stdout
    assert "libipmb" not in needed
    assert ("NEEDED" in needed) == (how != "all")
    assert sh(program, bus).stdout == "success\n"


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
@pytest.mark.parametrize(
    ("installed", "asked", "found"),
    [
        ("0.1.0", "", True),
        ("0.1.0", "0", True),
        ("0.1.0", "0.1", True),
        ("0.1.0", "0.1.0", True),
        ("0.1.0", "0.0", False),
        ("0.1.0", "0.1.1", False),
        ("0.2.3", "0.1", False),
        ("0.2.3", "0.2.1", True),
        ("1.2.0", "1", True),
        ("1.2.0", "1.1", True),
        ("1.2.0", "1.3", False),
        ("1.2.0", "0.2", False),
        ("1.2.0", "0", False),
        ("2.0.0", "1.2", False),
    ],
)
def test_cmake_takes_what_has_the_same_interface(
    tmp_path: Path, installed: str, asked: str, found: bool
) -> None:
    major, minor, _ = installed.split(".")
    text = (INSTALL.parent / "ipmb-config-version.cmake").read_text()
    text = text.replace("@VERSION@", installed).replace(
        "@INTERFACE@", f"0.{minor}" if major == "0" else major
    )
    (tmp_path / "ipmb-config-version.cmake").write_text(text)
    (tmp_path / "ipmb-config.cmake").write_text("")
    script = tmp_path / "CMakeLists.txt"
    script.write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(user NONE)\nfind_package(ipmb {asked} REQUIRED)\n"
    )
    done = sh("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dipmb_DIR={tmp_path}")
    assert (done.returncode == 0) == found, done.stderr
