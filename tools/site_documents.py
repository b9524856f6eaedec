"""Brings documents that lie outside docs/ into the site: a hook of MkDocs, see mkdocs.yml.

ARCHITECTURE.md, SECURITY.md and CHANGELOG.md stand at the root, where people look for them in a repository, and link
to `docs/...`; pages in docs/ link to `../SECURITY.md`. In the site all lie in one directory, so links are rewritten on
their way in. What of the repository is no page of the site (programs, tests) is named on its pages, not linked.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the documents of the root."""
    for name in DOCUMENTS:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Makes links between the two places links within the site."""
    if page.file.src_uri in DOCUMENTS:
        # The README's place is taken by the home page, which has no such headings.
        return re.sub(r"\]\(README\.md(?:#[\w-]+)?\)", "](index.md)", markdown.replace("](docs/", "]("))
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\]\({re.escape(up)}\.\./({'|'.join(DOCUMENTS)})", rf"]({up}\1", markdown)
