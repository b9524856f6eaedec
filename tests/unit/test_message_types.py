"""Typed payloads: what a registered class arrives as, and what is refused where."""

from __future__ import annotations

import datetime as dt
import enum
import importlib
import socket
import sys
import threading  # noqa: TC003 # a field's type
import uuid
from collections.abc import Callable  # noqa: TC003 # a field's type
from dataclasses import InitVar, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import pytest

import ipmb
from ipmb import _core
from tests.support import typed
from tests.support.typed import Anything, Checked, Colour, Job, Level, Node, Point, Rights, Row, Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEW = uuid.uuid4  # every class of a test has a UUID of its own: the process keeps it

FULL = Task(
    "full",
    (1, 2, 3),
    {"a", "b"},
    "slow",
    Point(1.0, 2.0, ["t"], Colour.BLUE),
    dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC),
    Decimal("1.10"),
    uuid.UUID(int=7),
    {"k": (1, "v")},
    ipmb.BytesMessage(9, b"nine"),
    b"\0\xff",
    5,
)

OBJECTS: list[Any] = [
    Colour.RED,
    Level.HIGH,
    Rights.READ | Rights.WRITE,
    Point(1.5),
    FULL,
    Job(FULL, Level.HIGH),
    Node(1, [Node(2), Node(3, [Node(4)])]),
    Row(3, "three"),
    Anything({(1, 2): {3}}),
    Checked(50),
    [Point(1.0), {"tasks": [FULL, Colour.RED]}],
]


def through_codec(payload: Any) -> Any:
    kind, head, bulk = _core.encode(payload)
    assert bulk is None
    return _core.decode(kind, head)


@pytest.fixture(scope="module")
def pair() -> Iterator[ipmb.Endpoint]:
    with ipmb.join("test.message_types", "self", timeout=10) as endpoint:
        yield endpoint


@pytest.mark.parametrize("payload", OBJECTS, ids=repr)
def test_every_kind_arrives_equal(pair: ipmb.Endpoint, payload: Any) -> None:
    assert pair.sender.send("self", payload) == 1
    arrived = pair.receiver.recv(timeout=10).payload
    assert arrived == payload
    assert type(arrived) is type(payload)


def test_a_set_and_a_tuple_stay_what_the_fields_say() -> None:
    arrived = through_codec(Job(FULL))
    assert type(arrived.task.numbers) is tuple
    assert type(arrived.task.names) is set
    assert type(arrived.task.point) is Point


def test_a_registered_int_enum_is_no_int() -> None:
    assert through_codec(Level.LOW) is Level.LOW
    assert through_codec([Level.LOW])[0] is Level.LOW


def test_large_objects_travel(pair: ipmb.Endpoint) -> None:
    task = Task("large", data=bytes(range(256)) * 1000)
    pair.sender.send("self", task)
    assert pair.receiver.recv(timeout=10).payload == task


def test_an_extra_attribute_stays_at_home() -> None:
    point = Checked(50)
    point.extra = 1  # type: ignore[attr-defined] # that is what is tested
    assert not hasattr(through_codec(point), "extra")


def test_a_generic_class_and_a_box_of_it(bus: str) -> None:
    from typing import Generic, TypeVar

    value = TypeVar("value")

    @ipmb.message_type(NEW())
    class Wrapped(msgspec.Struct, Generic[value]):
        inside: Any

    with ipmb.join(bus, "self", timeout=10, payloads=Wrapped) as (sender, receiver):
        sender.send("self", Wrapped(3))
        assert receiver.recv(timeout=5).payload == Wrapped(3)
    # The parameter does not travel, so nobody could check it.
    with pytest.raises(TypeError, match=r"Wrapped\[int\]: give .*Wrapped, its fields may be of any type"):
        ipmb.MessageBox(Wrapped[int])


# What is refused where the class is defined.


class Plain:
    pass


@pytest.mark.parametrize("malformed", ["", "no uuid", "0" * 31, "g" * 32])
def test_a_malformed_uuid_is_named(malformed: str) -> None:
    with pytest.raises(ValueError, match=rf"uuid is '{malformed}': give 32 hexadecimal digits"):
        ipmb.message_type(malformed)


@pytest.mark.parametrize("wrong", [1, None, b"0" * 16])
def test_a_uuid_of_another_type_is_refused(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^uuid is (a bytes|an int|None|a NoneType): give a str or a uuid.UUID"
    ):
        ipmb.message_type(wrong)


def test_the_decorator_without_a_uuid_is_explained() -> None:
    with pytest.raises(TypeError, match=r"uuid is the class Plain: write @ipmb.message_type\(uuid\)"):
        ipmb.message_type(Plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 8, 15, 99])
def test_uuids_of_built_in_types_are_taken(number: int) -> None:
    with pytest.raises(ValueError, match="are for built-in types"):
        ipmb.message_type(f"69706d62-0000-8000-8000-{number:012x}")


@pytest.mark.parametrize("codec", ["json", "", None, 1])
def test_an_unknown_codec_is_named(codec: Any) -> None:
    with pytest.raises(ValueError, match=r"^codec is .*: give \"msgpack\" or \"pickle\""):
        ipmb.message_type(NEW(), codec=codec)


def test_a_class_of_no_known_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Plain is no dataclass, attrs class, msgspec.Struct or Enum"):
        ipmb.message_type(NEW())(Plain)

    class Below(Point):
        pass

    @dataclass
    class Base:
        x: int

    class Undecorated(Base):
        y: int

    with pytest.raises(TypeError, match="Undecorated is no dataclass"):
        ipmb.message_type(NEW())(Undecorated)
    ipmb.message_type(NEW())(Below)


@pytest.mark.parametrize("wrong", [int, list, Exception])
@pytest.mark.parametrize("codec", ["msgpack", "pickle"])
def test_pythons_own_classes_are_refused(wrong: Any, codec: Any) -> None:
    with pytest.raises(TypeError, match="is Python's own"):
        ipmb.message_type(NEW(), codec=codec)(wrong)


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(TypeError, match="is over a function: put it over a class"):
        ipmb.message_type(NEW())(through_codec)  # type: ignore[type-var]


def test_two_types_with_one_uuid_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"tests\.support\.typed\.Point has: give .*Other one of its own"):

        @ipmb.message_type("00000001-7e57-4000-8000-000000000004")
        @dataclass
        class Other:
            x: int

    assert type(through_codec(Point(1.0))) is Point


def test_two_local_classes_of_one_name_are_two_classes() -> None:
    number = NEW()

    def define() -> type:
        @ipmb.message_type(number)
        @dataclass
        class Same:
            x: int

        return Same

    define()
    with pytest.raises(ValueError, match="Same has: give"):
        define()


def test_a_class_has_one_uuid() -> None:
    ipmb.message_type("00000001-7e57-4000-8000-000000000004")(Point)  # the same again is nothing new
    with pytest.raises(
        ValueError, match="Point is registered already, with uuid 00000001-7e57-4000-8000-000000000004"
    ):
        ipmb.message_type(NEW())(Point)


def test_a_module_may_be_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"reloaded_{NEW().hex}"
    number = NEW()
    source = (
        "import ipmb, msgspec\n"
        "@ipmb.message_type('{}')\n"
        "class Item(msgspec.Struct):\n"
        "    a: int\n"
        "    b: int = {}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / f"{name}.py").write_text(source.format(number, 1))
    module = importlib.import_module(name)
    old = module.Item(1)
    (tmp_path / f"{name}.py").write_text(source.format(number, 22))
    importlib.invalidate_caches()
    importlib.reload(module)
    assert module.Item is not type(old)
    # What was made before is still sent; what arrives is the class as it is now.
    assert through_codec(old) == module.Item(1, 1)
    assert through_codec(module.Item(2)) == module.Item(2, 22)
    with pytest.raises(ValueError, match="Item is registered already"):
        ipmb.message_type(number)(type(old))


def refuses(text: str, make: Callable[[], type]) -> None:
    cls = make()
    with pytest.raises(TypeError, match=text):
        ipmb.message_type(NEW())(cls)
    with pytest.raises(TypeError, match="not registered"):
        ipmb.MessageBox(cls)


@dataclass
class Held:
    name: str
    inner: list[tuple[int, socket.socket]]


def test_fields_that_cannot_travel_are_named() -> None:
    refuses(r"Held\.inner is a socket, which cannot travel", lambda: Held)

    @attrs.define
    class Lock:
        lock: threading.Event | None = None

    refuses(r"Lock\.lock is an Event, which cannot travel", lambda: Lock)

    class Call(msgspec.Struct):
        held: Held
        call: Callable[[], None]

    refuses(r"Call\.held\.inner is a socket", lambda: Call)

    class Complex(msgspec.Struct):
        z: complex

    refuses(r"Complex\.z is a complex", lambda: Complex)

    @dataclass
    class Either:
        one: Task | Checked

    refuses(r"Either cannot travel: Type unions may not contain more than one dataclass", lambda: Either)

    @dataclass
    class Initial:
        one: InitVar[int]

    refuses(r"Initial cannot travel: dataclasses with `InitVar` fields", lambda: Initial)

    @attrs.define
    class Private:
        _secret: int

    refuses(r"Private\._secret would not travel", lambda: Private)


@pytest.mark.parametrize(
    "values", [{"A": 1.5}, {"A": (1, 2)}, {"A": 1, "B": "b"}, {"A": None}, {"A": object()}, {}], ids=str
)
def test_enums_whose_values_cannot_travel_are_refused(values: dict[str, Any]) -> None:
    make: Any = enum.Enum  # the checker wants to see the members
    made = make("Made", values)
    with pytest.raises(TypeError, match="Made cannot travel: Enum"):
        ipmb.message_type(NEW())(made)


# Types that come later.


@ipmb.message_type("00000001-7e57-4000-8000-0000000000e0")
@dataclass
class Early:
    later: Later | None = None
    again: Early | None = None


@dataclass
class Later:
    x: int


def test_a_field_may_name_a_class_that_comes_later(bus: str) -> None:
    value = Early(Later(1), Early(Later(2)))
    assert through_codec(value) == value
    with ipmb.join(bus, "self", timeout=10, payloads=Early) as (sender, receiver):
        sender.send("self", value)
        assert receiver.recv(timeout=5).payload == value


def test_a_field_that_names_nothing_is_said_at_join() -> None:
    namespace: dict[str, Any] = {"__name__": "elsewhere"}
    exec("from dataclasses import dataclass\n@dataclass\nclass Lost:\n    x: 'Nowhere'", namespace)
    cls = ipmb.message_type(NEW())(namespace["Lost"])
    with pytest.raises(
        TypeError, match=r"Lost has a field of an unknown type: name 'Nowhere' is not defined"
    ):
        ipmb.join("test.lost", payloads=cls)
    with pytest.raises(TypeError, match="Nowhere"):
        ipmb.MessageBox(str, cls)


def test_a_field_that_comes_later_may_be_one_that_cannot_travel() -> None:
    module = type(sys)(f"later_{NEW().hex}")
    sys.modules[module.__name__] = module
    exec("from dataclasses import dataclass\n@dataclass\nclass Wait:\n    x: 'Sock'", vars(module))
    cls = ipmb.message_type(NEW())(module.Wait)
    module.Sock = socket.socket  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"Wait\.x is a socket"):
        ipmb.MessageBox(cls)


# What is refused at send.


class Shade(enum.Enum):
    DARK = 1


@dataclass
class Unregistered:
    x: int


@pytest.mark.parametrize("value", [Unregistered(1), Shade.DARK, Plain(), typed.Raw(b"", b"")], ids=repr)
def test_an_unregistered_class_is_named(pair: ipmb.Endpoint, value: Any) -> None:
    name = type(value).__name__
    before = pair.stats().sent
    with pytest.raises(
        TypeError, match=rf"^payload is an? {name}: .*{name} is not registered: put @ipmb\.message_type"
    ):
        pair.sender.send("self", value)
    with pytest.raises(
        TypeError, match=rf"^payload\['a'\]\[1\] is an? {name}: .*@ipmb\.message_type\(uuid\)"
    ):
        pair.sender.send("self", {"a": [0, value]})
    assert pair.stats().sent == before


def test_a_subclass_needs_a_uuid_of_its_own(pair: ipmb.Endpoint) -> None:
    class Sharp(Point):
        z: float = 0.0

    with pytest.raises(TypeError, match=r"its base Point is registered, .*Sharp is not"):
        pair.sender.send("self", Sharp(1.0))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (Task("x", numbers=(2**64,)), ValueError, r"\.numbers\[0\] is an int out of range: give -2"),
        (Task("\ud800"), ValueError, r"\.name is a str with half a surrogate pair: give valid Unicode"),
        (Point(socket.socket), TypeError, r"\.x is a type: give None"),  # type: ignore[arg-type]
        (Anything(lambda: 1), TypeError, " is an Anything that cannot be sent: "),
    ],
    ids=["int", "text", "class", "pickle"],
)
def test_a_value_that_cannot_travel_is_named(
    pair: ipmb.Endpoint, value: Any, error: type[Exception], text: str
) -> None:
    before = pair.stats().sent
    with pytest.raises(error, match=f"^payload{text}"):
        pair.sender.send("self", value)
    assert pair.stats().sent == before


def test_an_object_that_holds_itself_is_refused() -> None:
    node = Node(1, [])
    node.children.append(node)
    with pytest.raises(ValueError, match=r"^payload is a Node that is nested too deep: flatten it"):
        _core.encode(node)


def test_pickled_objects_travel_only_by_themselves() -> None:
    with pytest.raises(
        TypeError, match=r"payload\[0\] is an Anything: Anything is pickled, and that only by itself"
    ):
        _core.encode([Anything(1)])
    kind = _core.encode(Anything(1))[0]
    with pytest.raises(ipmb.DecodeError, match="does not know"):
        _core.decode(_core.BUILTIN_TYPES["list"], b"\x91\xc7\x14\x0b" + kind + b"1234")


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the pickle ran",))


def test_nothing_is_pickled_without_being_asked() -> None:
    """The bytes of a pickle under any other type are garbage."""
    import pickle

    bomb = pickle.dumps(Bomb())
    for cls in typed.REGISTERED:
        if cls is Anything:
            continue
        kind = next(raw for raw in [_core.encode(one)[0] for one in OBJECTS] if type_of(raw) is cls)
        with pytest.raises(ipmb.DecodeError):
            _core.decode(kind, bomb)


def type_of(raw: bytes) -> type | None:
    from ipmb.registrations import BY_UUID

    return BY_UUID[raw].cls if raw in BY_UUID else None


def test_a_local_class_cannot_be_pickled() -> None:
    @ipmb.message_type(NEW(), codec="pickle")
    class Local:
        pass

    with pytest.raises(TypeError, match=r"Local that cannot be sent: .*local object"):
        _core.encode(Local())
