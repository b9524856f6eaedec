"""What stands in two places says the same in both: docstrings and stubs, documents and code."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from tools import stubs

import ipmb
from ipmb import _core

ROOT = Path(__file__).parents[2]


def documented() -> dict[str, str]:
    """Every docstring of the package by the name of what it describes."""
    found: dict[str, str] = {}

    def visit(name: str, thing: Any) -> None:
        if thing.__doc__:
            found[name] = inspect.cleandoc(thing.__doc__)
        if inspect.isclass(thing):
            for member in vars(thing):
                value = getattr(thing, member)
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    visit(f"{name}.{member}", value)

    for info in pkgutil.walk_packages(ipmb.__path__, "ipmb."):
        if info.name == "ipmb.__main__":
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError as error:
            if error.name != "torch":  # an optional library, too large for the development environment
                raise
            continue
        visit(info.name, module)
        for name, thing in vars(module).items():
            if (inspect.isclass(thing) or isinstance(thing, FunctionType)) and thing.__module__ == info.name:
                visit(f"{info.name}.{name}", thing)
    for name in _core.__all__:
        if callable(getattr(_core, name)):
            visit(f"ipmb._core.{name}", getattr(_core, name))
    visit("ipmb", ipmb)
    visit("ipmb.label", ipmb.label)
    visit("ipmb.version", ipmb.version)
    return found


EXAMPLES = {name: text for name, text in documented().items() if ">>>" in text}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_in_docstrings_run(name: str) -> None:
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, None)
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert result.attempted > 0
    assert not result.failed, "".join(output)


def test_what_is_called_has_an_example() -> None:
    names = {
        *("ipmb", "ipmb.label", "ipmb.version", "ipmb.endpoint.join", "ipmb.endpoint.Endpoint"),
        *("ipmb.message_types.message_type", "ipmb.message_box.MessageBox", "ipmb.values.BytesMessage"),
        *("ipmb.membership.Membership.peers", "ipmb.membership.Membership.stats", "ipmb.values.Options"),
        *(f"ipmb._core.{name}" for name in ("Label", "LabelOp", "LabelOp.parse", "LabelOp.matches")),
        *(
            f"ipmb._core.{name}"
            for name in ("Selector", "Selector.unicast", "Selector.multicast", "EndpointInfo")
        ),
        *(f"ipmb._core.{name}" for name in ("Message", "Message.reply", "Sender.send")),
        *(f"ipmb._core.{name}" for name in ("Receiver.recv", "Receiver.recv_many", "Receiver.fileno")),
    }
    assert names <= set(EXAMPLES)


def test_the_stub_has_the_docstrings_of_the_module() -> None:
    stub = stubs.STUB.read_text()
    assert stubs.updated(stub) == stub, "run python tools/stubs.py"


def test_every_name_of_the_native_module_is_in_the_stub() -> None:
    names = set(re.findall(r"^(?:class|def) (\w+)|^([A-Z_]+): ", stubs.STUB.read_text(), re.MULTILINE))
    assert {one or other for one, other in names} == set(_core.__all__)


def named_for_development() -> list[str]:
    """What requirements/dev.in names, without extras in brackets and where it is for."""
    lines = (ROOT / "requirements" / "dev.in").read_text().splitlines()
    return [re.split(r"[\[;]", line)[0].strip() for line in lines if line and not line.startswith("#")]


def test_every_dependency_is_explained() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    explained = set(re.findall(r"^\| `([@\w/-]+)` \|", text, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        re.split(r"[<>=~ ]", line)[0]
        for line in [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    }
    needed |= set(named_for_development())
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    fuzzers = tomllib.loads((ROOT / "fuzz" / "Cargo.toml").read_text())
    needed |= {
        name
        for name, how in {**workspace["dependencies"], **fuzzers["dependencies"]}.items()
        if not (isinstance(how, dict) and "path" in how)
    }
    node = json.loads((ROOT / "crates" / "node" / "package.json").read_text())
    needed |= set(node.get("dependencies", {})) | set(node["devDependencies"])
    assert explained == needed


def test_every_development_tool_is_pinned() -> None:
    pinned = dict(
        line.lower().partition(";")[0].split("==")
        for line in (ROOT / "requirements" / "dev.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(named_for_development()) <= set(pinned)


def test_what_is_missing_on_a_machine_is_said_clearly(tmp_path: Path) -> None:
    for tool in ("sh", "sed", "uname", "dirname"):
        found = subprocess.run(["which", tool], check=True, capture_output=True, text=True).stdout.strip()
        (tmp_path / tool).symlink_to(found)
    need = [str(tmp_path / "sh"), str(ROOT / "tools" / "need.sh"), "languages"]
    bare = subprocess.run(need, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert bare.returncode == 1
    assert bare.stdout == ""
    for tool in ("Python 3.11 or later", "cargo", "a C compiler", "a C++ compiler", "pkg-config"):
        assert f"{tool} is missing" in bare.stderr
    for tool in ("cargo", "cc"):
        (tmp_path / tool).symlink_to("/bin/true")
    rust = subprocess.run(
        [*need[:2], "rust"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (rust.returncode, rust.stderr) == (0, ""), "C and Node are built without Python"
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what any check of the version says on Python 3.10
    old.chmod(0o755)
    assert (
        "Python 3.11 or later"
        in subprocess.run(
            need, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
        ).stderr
    )
    whole = subprocess.run(
        need,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:{_cargo()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert whole.returncode == 0, whole.stderr
    assert Path(whole.stdout.strip()).exists()


def _cargo() -> str:
    import os

    return f"{os.environ['PATH']}:{Path.home() / '.cargo' / 'bin'}"
