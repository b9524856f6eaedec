"""What `import ipmb` gives, and what it costs."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys

import pytest

import ipmb

PUBLIC = {
    *(
        "BytesMessage",
        "EndpointInfo",
        "Endpoint",
        "Label",
        "LabelOp",
        "MemoryRegion",
        "MemoryRegistry",
        "Message",
        "MessageBox",
        "Object",
        "Options",
        "Receiver",
        "Selector",
        "SelectorMode",
    ),
    *("PeerEvent", "Queue", "Sender", "Stats", "Version", "Watch"),
    *("errors", "join", "label", "message_type", "serve", "version"),
}


def test_all_is_sorted_exists_and_is_what_we_promise() -> None:
    assert sorted(ipmb.__all__) == sorted({*PUBLIC, *ipmb.errors.__all__})
    assert all(hasattr(ipmb, name) for name in ipmb.__all__)


def test_everything_public_is_documented() -> None:
    undocumented = [
        f"{name}.{member}" if member else name
        for name in ipmb.__all__
        for member in ("", *(vars(getattr(ipmb, name)) if inspect.isclass(getattr(ipmb, name)) else ()))
        if not member.startswith("_")
        and not inspect.getdoc(getattr(getattr(ipmb, name), member) if member else getattr(ipmb, name))
        # Attributes are described in the docstring of their class.
        and not (member and f"{member}:" in (inspect.getdoc(getattr(ipmb, name)) or ""))
        and member
        not in {"TRUE", "FALSE", "UNICAST", "MULTICAST", "objects", "memory_regions", "name", "value"}
    ]
    assert undocumented == []


def test_the_log_is_silent_until_asked_for() -> None:
    handlers = logging.getLogger("ipmb").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_import_loads_nothing_that_is_not_needed() -> None:
    heavy = [
        "msgspec",
        "rich",
        "click",
        "typer",
        "numpy",
        "pyarrow",
        "torch",
        "attr",
        "attrs",
        "pickle",
        "asyncio",
        "anyio",
        "zenoh",
        "multiprocessing",
        "pydantic",
    ]
    loaded = run(f"import sys, ipmb; print([name for name in {heavy} if name in sys.modules])")
    assert loaded == "[]"


def test_what_event_loops_need_is_there_when_it_is_named() -> None:
    named = "import sys, ipmb; before = 'anyio' in sys.modules; ipmb.aio.join; print(before, 'anyio' in sys.modules)"
    assert run(named) == "False True"
    with pytest.raises(AttributeError, match="module 'ipmb' has no attribute 'aoi'"):
        _ = ipmb.aoi


def test_import_takes_less_than_100_ms() -> None:
    # The processor's time: what else the machine does at the moment is not ours.
    code = "import time; t = time.process_time(); import ipmb; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.1


def test_version() -> None:
    protocol, package = ipmb.version()
    assert protocol == ipmb.version().protocol >= 1
    assert package == ipmb.version().package
    assert run("import importlib.metadata as m; print(m.version('ipmb'))") == package
