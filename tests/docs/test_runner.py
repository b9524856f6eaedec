"""The runner of pages finds what is wrong with a page: each way to be wrong, and the same page when it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs import terminals
from tests.docs.page import Page, PageError

if TYPE_CHECKING:
    from pathlib import Path

HELLO = '```python title="hello.py"\nprint("hello")\nprint("world")\n```\n'
RUN = "```console\n$ python hello.py\nhello\nworld\n```\n"
WAITS = """```python title="waits.py"
import os, time
try:
    print("I am", os.getpid())
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
```
"""


def follow(text: str, directory: Path, patience: float = 20) -> None:
    terminals.run(Page.parse("page.md", text), directory, patience)


@pytest.mark.parametrize(
    "text",
    [
        HELLO + RUN,
        HELLO + RUN.replace("hello\nworld", "...\nworld"),
        HELLO + RUN.replace("hello\nworld", "hel...\nworld\n..."),
        HELLO + RUN + '```python title="part of hello.py"\nprint("world")\n```\n',
        HELLO + '```python title="use.py"\nimport hello\n```\n' + RUN.replace("hello.py", "use.py"),
        RUN.replace("python hello.py", "printf 'hello\\nworld\\n'")
        + '```python title="a fragment"\nx = 1\n```\n',
        WAITS + "```console\n$ python waits.py\nI am 4201\n^C\ninterrupted\n```\n",
        WAITS
        + '```console title="one"\n$ python waits.py\nI am 4201\n```\n'
        + '```console title="two"\n$ kill -9 4201\n```\n'
        + '```console title="one"\nKilled\n```\n',
        "```console\n$ make test     # everything\n```\n",
    ],
)
def test_a_page_that_is_right(text: str, tmp_path: Path) -> None:
    follow(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HELLO + RUN.replace("world", "moon"), "the page shows"),
        (HELLO + RUN.replace("world\n", ""), "the page shows"),
        (HELLO + RUN.replace("world\n", "world\nmore\n"), "the page shows"),
        (HELLO + RUN.replace("hello.py", "other.py").replace("hello\nworld", "..."), "nothing runs hello.py"),
        (HELLO, "nothing runs hello.py"),
        (HELLO + RUN + '```python title="part of hello.py"\nprint("moon")\n```\n', "no part of hello.py"),
        ("```python\nprint(1)\n```\n", "nothing runs this"),
        ('```python title="a fragment"\nx = = 1\n```\n', "invalid syntax"),
        ('```python title="x.py"\nx = = 1\n```\n', "invalid syntax"),
        ("```bash\nls\n```\n", "nothing runs a block in 'bash'"),
        ("```\nls\n```\n", "opens a block"),
        ("  ```text\nls\n```\n", "opens a block"),
        ("```text\nls\n", "not closed"),
        ("```console\nls\n```\n", "nothing runs that could show"),
        ("```console\n^C\n```\n", "nothing runs"),
        ("```console\n$ make nonsense\n```\n", "has no nonsense"),
        (WAITS + "```console\n$ python waits.py\nI am 4201\n```\n", "still running"),
        (
            WAITS + "```console\n$ python waits.py\nI am 4201\n$ echo 4201\n4201\n```\n",
            "still running",
        ),
        (
            '```python title="x.py"\n1 / 0\n```\n```console\n$ python x.py\n...\n```\n',
            "the page shows",
        ),
    ],
)
def test_a_page_that_is_wrong(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=problem):
        follow(text, tmp_path, patience=1)


def test_examples_keep_their_lines() -> None:
    page = Page.parse("page.md", "# Title\n\n```python\n>>> 1 + 1\n2\n```\n\n```python\n>>> 3\n3\n```\n")
    assert page.doctest().splitlines() == ["", "", "", ">>> 1 + 1", "2", "", "", "", ">>> 3", "3", ""]


def test_buses_are_renamed_in_code_and_output_alike() -> None:
    pages = [
        Page.parse("page.md", "```python\n>>> \"com.example.earth\"\n'com.example.earth'\n```\n")
        for _ in range(2)
    ]
    (one,), (other,) = (page.blocks for page in pages)
    assert one.text != other.text
    code, output = one.text.splitlines()
    assert code == f'>>> "{output[1:-1]}"'
