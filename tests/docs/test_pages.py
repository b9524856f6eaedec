"""Every page can be followed: what it says to type works, and what it says is seen is seen."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs import terminals
from tests.docs.page import Page
from tests.support import program

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(180)
def test_a_page_can_be_followed(name: str, tmp_path: Path) -> None:
    terminals.run(Page.read(ROOT / name), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_a_page_run(name: str, tmp_path: Path) -> None:
    path = ROOT / name
    examples = Page.read(path).doctest()
    if not examples:
        return
    (tmp_path / path.name).write_text(path.read_text())  # an example reads the page that it stands on
    (tmp_path / "examples.txt").write_text(examples)
    done = program.python("-m", "doctest", "-o", "ELLIPSIS", "examples.txt", seconds=50, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("name", NAMES)
def test_buses_on_a_page_do_not_meet_others(name: str) -> None:
    """All are named `com.example.*`, which every run renames."""
    for block in Page.read(ROOT / name).blocks:
        for identifier in re.findall(r"""join\(\s*["']([^"']*)["']""", block.text):
            assert identifier.startswith("com.example."), f"{name}:{block.line}: {identifier}"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for one, other in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        target = one or other
        url = urlsplit(target)
        if url.scheme:
            assert url.scheme == "https", target
            assert re.fullmatch(r"[\w.-]+\.\w+", url.netloc), target
        elif url.path:
            assert (path.parent / url.path).exists(), f"{name}: {target}"


def test_tests_that_pages_name_exist() -> None:
    for path in PAGES:
        for file, name in re.findall(r"`((?:tests|crates)/[\w/]+\.(?:py|rs))(?:::(\w+))?`", path.read_text()):
            assert (ROOT / file).exists(), f"{path.name}: {file}"
            assert re.search(rf"\b(?:def|fn) {name}\(" if name else "", (ROOT / file).read_text()), (
                f"{path.name}: {file}::{name}"
            )


def test_every_row_about_failures_and_threats_names_a_test() -> None:
    for page in ("docs/failure-semantics.md", "SECURITY.md"):
        rows = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("| ")]
        assert len(rows) > 30, page
        for row in rows:
            text = row.rsplit("|", 2)[1].strip()
            assert text == "shown by" or re.match("`(tests|crates)/|none: ", text), f"{page}: {row}"
