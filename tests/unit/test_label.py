"""`Label`, `label`, `LabelOp`: sets, expressions and their text."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipmb
from ipmb import Label, LabelOp, label

if TYPE_CHECKING:
    from collections.abc import Callable

ELEMENTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(st.frozensets(ELEMENTS, max_size=10), st.frozensets(ELEMENTS, max_size=10))
def test_a_label_behaves_like_a_frozenset(some: frozenset[str], others: frozenset[str]) -> None:
    mine = Label(*some)
    assert mine == some
    assert some == mine
    assert hash(mine) == hash(some)
    assert set(mine) == some
    assert len(mine) == len(some)
    assert all(element in mine for element in some)
    assert (mine == others) is (some == others)
    assert mine | Label(*others) == some | others
    assert mine | set(others) == some | others
    assert others | mine == some | others
    assert copy.copy(mine) == mine
    assert pickle.loads(pickle.dumps(mine)) == mine


def test_a_label_is_sorted_unique_and_shown_as_its_maker() -> None:
    mine = label("b", "a", "b")
    assert list(mine) == ["a", "b"]
    assert repr(mine) == "label('a', 'b')"
    assert eval(repr(mine)) == mine
    assert "c" not in mine
    assert 3 not in mine
    assert mine != ["a", "b"]


def test_what_cannot_be_a_label() -> None:
    with pytest.raises(ValueError, match=r"^label element is empty: give 1 to 255 bytes$"):
        Label("")
    with pytest.raises(ValueError, match=r"^label element is 256 bytes long: give 1 to 255 bytes$"):
        Label("ä" * 128)
    with pytest.raises(TypeError, match=r"^label element is an int: give strings$"):
        Label(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^label element is a list: give strings$"):
        Label(["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="half a surrogate pair"):
        Label("\ud800")
    with pytest.raises(ValueError, match="64"):
        Label(*(str(number) for number in range(65)))
    assert len(Label(*(str(number) for number in range(64)))) == 64
    with pytest.raises(TypeError):
        label("a") | 3  # type: ignore[operator]
    with pytest.raises(AttributeError):
        label("a").anything = 1  # type: ignore[attr-defined]


def test_an_endless_iterable_is_judged_early() -> None:
    with pytest.raises(ValueError, match="64"):
        LabelOp.TRUE.matches(str(number) for number in itertools.count())


def test_expressions_match_as_python_would() -> None:
    a, b = LabelOp("a"), LabelOp("b")
    table: list[tuple[LabelOp, Callable[[bool, bool], bool]]] = [
        (a & b, lambda x, y: x and y),
        (a | b, lambda x, y: x or y),
        (~a, lambda x, _: not x),
        (a & ~b, lambda x, y: x and not y),
        ("a" & b, lambda x, y: x and y),
        (a | "b", lambda x, y: x or y),
        (LabelOp.TRUE, lambda _x, _y: True),
        (LabelOp.FALSE, lambda _x, _y: False),
    ]
    for op, truth in table:
        for x, y in itertools.product([False, True], repeat=2):
            elements = ["a"] * x + ["b"] * y
            assert op.matches(elements) is truth(x, y), (str(op), elements)


def test_matches_takes_a_label_a_string_or_an_iterable() -> None:
    op = LabelOp("earth")
    assert op.matches(label("earth", "planet"))
    assert op.matches("earth")
    assert not op.matches("e")
    assert op.matches({"earth"})
    with pytest.raises(TypeError, match=r"^label is an int: give a Label, a str, or an iterable of strings$"):
        op.matches(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "true",
        "false",
        "!a",
        "a & b & c",
        "a | b & c",
        "(a | b) & c",
        "!(a & b)",
        "a.b:c-d_e",
        '"1"',
        '"true"',
        '"a b" | "-x"',
        '"\\"\\\\"',
        '"ü 日"',
    ],
)
def test_text_comes_back_as_it_was(text: str) -> None:
    assert str(LabelOp.parse(text)) == text


LEAVES = st.one_of(ELEMENTS.map(LabelOp), st.sampled_from([LabelOp.TRUE, LabelOp.FALSE]))
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda both: both[0] & both[1]),
        st.tuples(inner, inner).map(lambda both: both[0] | both[1]),
        inner.map(lambda op: ~op),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_str_and_parse_are_inverse(op: LabelOp) -> None:
    again = LabelOp.parse(str(op))
    assert again == op
    assert hash(again) == hash(op)
    assert str(again) == str(op)
    assert eval(repr(op)) == op
    assert pickle.loads(pickle.dumps(op)) == op


@pytest.mark.parametrize("text", ["", "a &", "& a", "(a", "a)", "a b", "!", '"a', '""', "1", "a && b", "-a"])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ValueError, match=r"^text is|label element"):
        LabelOp.parse(text)


def test_wrong_arguments_of_expressions() -> None:
    with pytest.raises(TypeError, match=r"^element is an int: give a str$"):
        LabelOp(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^text is None: give a str$"):
        LabelOp.parse(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        LabelOp("")
    with pytest.raises(TypeError):
        LabelOp("a") & 3  # type: ignore[operator]
    with pytest.raises(ValueError, match="empty"):
        LabelOp("a") & ""


def test_and_or_not_do_not_silently_drop_a_side() -> None:
    for use in (
        lambda: LabelOp("a") and LabelOp("b"),
        lambda: LabelOp("a") or LabelOp("b"),
        lambda: not LabelOp("a"),
    ):
        with pytest.raises(TypeError, match=r"combine with & \| ~"):
            use()


def test_nesting_is_bounded() -> None:
    op = LabelOp("a")
    for _ in range(63):
        op = ~op
    with pytest.raises(ValueError, match="64"):
        operator.invert(op)
    with pytest.raises(ValueError, match=r"nest|deep"):
        LabelOp.parse("(" * 1000 + "a" + ")" * 1000)
    with pytest.raises(ValueError, match="256"):
        LabelOp.parse(" & ".join("a" for _ in range(1000)))


def test_names_are_those_of_the_package() -> None:
    assert Label.__module__ == LabelOp.__module__ == "ipmb"
    assert isinstance(ipmb.label("x"), ipmb.Label)
