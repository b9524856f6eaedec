"""The tree of exceptions: drawn once, complete, and importable from the top."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import ipmb
from ipmb import errors


def drawn_tree() -> dict[str, str]:
    """Each class in the picture of the docstring, and the class it hangs from."""
    assert errors.__doc__ is not None
    above: dict[int, str] = {}
    tree = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^([ │├└─]*)([A-Z]\w+)(?=\s|$)", line)
        if not found or (found[2] != "IpmbError" and not re.search("[├└]", found[1])):
            continue
        depth = len(found[1])
        parents = [at for at in above if at < depth]
        tree[found[2]] = above[max(parents)] if parents else "Exception"
        above = {at: name for at, name in above.items() if at < depth} | {depth: found[2]}
    return tree


def test_the_picture_is_the_tree() -> None:
    classes = {
        name: cls.__bases__[0].__name__
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, Exception)
    }
    assert drawn_tree() == classes
    assert sorted(classes) == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_documented_and_at_the_top(name: str) -> None:
    cls = getattr(errors, name)
    assert getattr(ipmb, name) is cls
    assert name in ipmb.__all__
    assert cls.__doc__
    assert issubclass(cls, errors.IpmbError)


def test_errors_are_also_what_python_calls_them() -> None:
    for cls in (errors.JoinTimeout, errors.SendTimeout, errors.RecvTimeout):
        assert issubclass(cls, TimeoutError)
    assert issubclass(errors.PermissionDenied, PermissionError)
    assert issubclass(errors.TooLarge, ValueError)


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_can_be_made_copied_and_pickled(name: str) -> None:
    error = getattr(errors, name)("what happened")
    assert str(error) == "what happened"
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == "what happened"


def test_send_timeout_says_how_many_have_it() -> None:
    error = errors.SendTimeout("no room", delivered=3)
    assert error.delivered == 3
    assert pickle.loads(pickle.dumps(error)).delivered == 3
    assert errors.SendTimeout("no room").delivered == 0


def test_a_decode_error_says_who_sent_it() -> None:
    sender = ipmb.EndpointInfo(7, ipmb.label("moon"), 4242)
    error = errors.DecodeError("what came", sender=sender)
    assert pickle.loads(pickle.dumps(error)).sender == sender
    assert errors.DecodeError("what came").sender is None
