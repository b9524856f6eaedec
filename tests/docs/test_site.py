"""The site builds without complaint, says everything there is, and needs nobody else to be read."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import pytest

import ipmb
from tests.support import program

ROOT = Path(__file__).parents[2]

#: What comes from the standard library with an exception or a tuple, and is described there.
INHERITED = {
    *dir(Exception),
    *dir(tuple),
    *("errno", "filename", "filename2", "strerror", "characters_written"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning an error: links, anchors, docstrings."""
    directory = tmp_path_factory.mktemp("site")
    words = ("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory)
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = program.python(*words, seconds=50, env=quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    shown = {
        name
        for page in (site / "reference").glob("*.html")
        for name in re.findall(r'id="(ipmb\.[\w.]+)"', page.read_text())
    }
    wanted: set[str] = set()
    for module in (ipmb, ipmb.aio):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                continue
            place = ipmb.errors if name in ipmb.errors.__all__ else module
            home = f"{place.__name__}.{name}"
            wanted.add(home)
            if inspect.isclass(thing):
                wanted |= {
                    f"{home}.{member}"
                    for member, what in vars(thing).items()
                    if not member.startswith("_") and member not in INHERITED and callable(what)
                }
    assert wanted <= shown, sorted(wanted - shown)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """Neither scripts nor styles nor fonts nor pictures: a reader without a network sees the same."""
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)",
            page.read_text(),
        )
        assert fetched == [], f"{page.name}: {fetched}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text()), style.name


def test_documents_of_the_root_are_pages(site: Path) -> None:
    for name in ("ARCHITECTURE", "SECURITY", "CHANGELOG"):
        assert "README.md" not in (site / f"{name}.html").read_text()
        assert "docs/" not in re.findall(r'href="([^"]+)"', (site / f"{name}.html").read_text())
