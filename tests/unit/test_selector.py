"""`Selector`, `SelectorMode`, `EndpointInfo`, `Message`, `Options`: values that programs make and compare."""

from __future__ import annotations

import gc
import math
import pickle
import weakref
from collections.abc import Callable

import pytest

from ipmb import EndpointInfo, LabelOp, Message, Options, Selector, SelectorMode, label

Make = Callable[..., Selector]
MAKERS = [(Selector.unicast, SelectorMode.UNICAST), (Selector.multicast, SelectorMode.MULTICAST)]


@pytest.mark.parametrize(("make", "mode"), MAKERS)
def test_a_selector_says_what_it_was_made_of(make: Make, mode: SelectorMode) -> None:
    op = LabelOp("a") & ~LabelOp("b")
    selector = make(op, ttl=1.5)
    assert selector.label_op == op
    assert selector.mode is mode
    assert selector.ttl == 1.5
    assert make("a").label_op == LabelOp("a")
    assert make("a").ttl == 0
    assert make("a", 2).ttl == 2
    assert make("a", ttl=None).ttl is None
    assert make("a", ttl=math.inf).ttl is None


@pytest.mark.parametrize(("make", "mode"), MAKERS)
def test_selectors_are_values(make: Make, mode: SelectorMode) -> None:
    selector = make(LabelOp("a") | "b", ttl=1.5)
    assert selector == make("a" | LabelOp("b"), 1.5)
    assert hash(selector) == hash(make(LabelOp("a") | "b", ttl=1.5))
    assert selector != make("a", ttl=1.5)
    assert selector != make(LabelOp("a") | "b")
    assert selector != "a"
    assert len({make("x"), make("x"), make("x", ttl=None)}) == 2
    for one in (selector, make("x"), make("x", ttl=None)):
        assert pickle.loads(pickle.dumps(one)) == one
        assert eval(repr(one)) == one
    assert make("x") != {SelectorMode.UNICAST: Selector.multicast, SelectorMode.MULTICAST: Selector.unicast}[
        mode
    ]("x")


@pytest.mark.parametrize(("make", "mode"), MAKERS)
def test_wrong_arguments_of_selectors(make: Make, mode: SelectorMode) -> None:
    with pytest.raises(TypeError, match=r"^op is an int: give a LabelOp or a str$"):
        make(3)
    for ttl, shown in [(-1, "-1"), (-0.001, "-0.001"), (math.nan, "NaN"), (-math.inf, "-inf")]:
        with pytest.raises(ValueError, match=rf"^ttl is {shown}: give 0 or more seconds, or None for ever$"):
            make("a", ttl=ttl)
    with pytest.raises(TypeError, match=r"^ttl is a str: give 0 or more seconds"):
        make("a", ttl="1")
    with pytest.raises(ValueError, match="ttl is an int too large"):
        make("a", ttl=10**400)
    with pytest.raises(ValueError, match="empty"):
        make("")


def test_modes_are_an_enumeration() -> None:
    assert list(SelectorMode) == [SelectorMode.UNICAST, SelectorMode.MULTICAST]
    assert SelectorMode["UNICAST"] is SelectorMode.UNICAST


def test_endpoint_info_is_a_value() -> None:
    info = EndpointInfo(2**64 - 1, label("a"), 42)
    assert info == EndpointInfo(2**64 - 1, ["a"], 42)
    assert hash(info) == hash(EndpointInfo(2**64 - 1, "a", 42))
    assert info != EndpointInfo(1, "a", 42)
    assert pickle.loads(pickle.dumps(info)) == info
    match info:
        case EndpointInfo(id=number, label=elements, pid=process):
            assert (number, set(elements), process) == (2**64 - 1, {"a"}, 42)
    with pytest.raises(AttributeError):
        info.pid = 1  # type: ignore[misc]


def test_a_message_made_by_a_program() -> None:
    payload = [1]
    message = Message("earth", payload)
    assert message.selector == Selector.unicast("earth")
    assert message.payload is payload
    assert message.objects == ()
    assert message.memory_regions == ()
    assert message.redelivered is False
    assert repr(message) == "Message(Selector.unicast('earth'), [1])"
    assert not hasattr(message, "sender")
    with pytest.raises(TypeError, match="received"):
        message.reply("x")
    with message as same:
        assert same is message
    message.close()
    selector = Selector.multicast("a")
    assert Message(selector, None).selector is selector
    assert Message(LabelOp("a") & "b", None, (), ()).selector == Selector.unicast(LabelOp("a") & "b")
    assert len(repr(Message("a", "x" * 10_000))) < 150


def test_wrong_arguments_of_messages() -> None:
    with pytest.raises(TypeError, match=r"^selector is an int: give a Selector, a LabelOp or a str$"):
        Message(3, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^objects\[0\] is a str: give an Object"):
        Message("a", None, objects=["3"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"^memory_regions\[0\] is a bytes"):
        Message("a", None, memory_regions=[b""])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"^objects is an int: give a list of them$"):
        Message("a", None, objects=3)  # type: ignore[arg-type]


def test_options_keep_the_token_to_themselves() -> None:
    options = Options("com.solar", "earth", token="secret", controller_affinity=False)
    assert "secret" not in repr(options)
    assert options == Options("com.solar", "earth", "secret", False)
    with pytest.raises(AttributeError):
        options.token = "x"  # type: ignore[misc]


def test_a_message_in_its_own_payload_is_collected() -> None:
    class Witness:
        pass

    witness = Witness()
    gone = weakref.ref(witness)
    payload: list[object] = [witness]
    payload.append(Message("a", payload))
    del payload, witness
    gc.collect()
    assert gone() is None
