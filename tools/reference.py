"""Lets the site show docstrings as they are written here: an extension of griffe, see mkdocs.yml.

Three of our habits are not griffe's. Examples stand under `Example:`, which it would take for a remark in Markdown.
Classes are made by `__new__`, while it looks for the arguments of a class in `__init__`. And in the stub of the native
module, what has several signatures has nothing but these; it would pass over such a method.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class OurDocstrings(griffe.Extension):
    """Turns the one into the other, before docstrings are parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ARG002
        """Names the section with examples as griffe does."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:  # noqa: ARG002
        """Shows how an object is made, and the methods that have several signatures."""
        for name, versions in cls.overloads.items():
            if name not in cls.members:
                cls.members[name] = versions[-1]  # the one with the docstring
                versions[-1].overloads = list(versions)
        # In the order of the file: what refers to another comes after it.
        for name in sorted(cls.members, key=lambda name: cls.members[name].lineno or 0):
            cls.members[name] = cls.members.pop(name)
        make = cls.members.get("__new__")
        if not isinstance(make, griffe.Function) or "__init__" in cls.members:
            return
        if make.docstring is None or "see the class" in make.docstring.value:
            make.name = "__init__"
            make.docstring = None
            cls.members["__init__"] = make
            del cls.members["__new__"]
