"""What cannot travel is refused with a CodecError that names the type and the path of the field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, TypedDict

import attrs
import pytest

from tests.codec.shapes import (
    Anything,
    Circle,
    Color,
    Containers,
    Four,
    Level,
    Money,
    Names,
    Pointing,
    Scalars,
    Stray,
    Times,
    Tree,
    Unions,
    Untyped,
    codec,
    refused,
    round_trip,
)
from tests.codec.test_round_trips import MESSAGES, OBJECTS
from trioakt import CodecError, RemoteError, message
from trioakt.codec import Codec
from trioakt.codec.packing import pack, unpack
from trioakt.lowlevel import Address

CONTAINERS: Any = next(each for each in MESSAGES if isinstance(each, Containers))
SCALARS: Any = next(each for each in MESSAGES if isinstance(each, Scalars))
NAMES: Any = next(each for each in MESSAGES if isinstance(each, Names))
TIMES: Any = next(each for each in MESSAGES if isinstance(each, Times))
UNIONS: Any = next(each for each in MESSAGES if isinstance(each, Unions))
WRONG: Any = object()
GONE = object()


class Nowhere(tzinfo):
    """A zone that has no offset without a date, as most have."""

    def utcoffset(self, dt: datetime | None, /) -> None: ...

    def tzname(self, dt: datetime | None, /) -> None: ...

    def dst(self, dt: datetime | None, /) -> None: ...


class Typed(TypedDict):
    number: int


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (attrs.evolve(OBJECTS, money=WRONG), "money"),
        (attrs.evolve(OBJECTS, money=Money(WRONG)), "money.amount"),
        (attrs.evolve(OBJECTS, tree=Tree(1, (Tree(2), Tree(3, (Tree(WRONG),))))), "tree.children[1].children[0].value"),
        (attrs.evolve(OBJECTS, animal=Circle(1.0)), "animal"),
        (attrs.evolve(OBJECTS, animal=Stray("rex")), "animal"),
        (attrs.evolve(CONTAINERS, items=[Money(Decimal(1)), WRONG]), "items[1]"),
        (attrs.evolve(CONTAINERS, items="text"), "items"),
        (attrs.evolve(CONTAINERS, pair=(1, 2)), "pair[1]"),
        (attrs.evolve(CONTAINERS, pair=(1, "a", 2)), "pair"),
        (attrs.evolve(CONTAINERS, by_name={"a": Money(Decimal(1)), "b": 3}), "by_name['b']"),
        (attrs.evolve(CONTAINERS, by_name=[1]), "by_name"),
        (attrs.evolve(CONTAINERS, by_number={2**64: "a"}), "by_number[18446744073709551616]"),
        (attrs.evolve(CONTAINERS, by_pair={(1, "a"): "b"}), "by_pair[0][0][1]"),
        (attrs.evolve(CONTAINERS, levels={Color.RED}), "levels[0]"),
        (attrs.evolve(SCALARS, number=1.5), "number"),
        (attrs.evolve(SCALARS, ratio="1.5"), "ratio"),
        (attrs.evolve(SCALARS, wave=1.5), "wave"),
        (attrs.evolve(SCALARS, buffer="text"), "buffer"),
        (attrs.evolve(NAMES, color=Level.LOW), "color"),
        (attrs.evolve(NAMES, side="top"), "side"),
        (attrs.evolve(NAMES, one_color=Color.GREEN), "one_color"),
        (attrs.evolve(TIMES, span=1.5), "span"),
        (attrs.evolve(TIMES, hour=time(1, tzinfo=Nowhere())), "hour"),
        (attrs.evolve(TIMES, day=datetime(2024, 1, 1)), "day"),
        (attrs.evolve(TIMES, at=date(2024, 1, 1)), "at"),
        (attrs.evolve(UNIONS, either=1), "either"),
        (Anything([1, {"a": WRONG}]), "value[1]['a']"),
        (Anything(Color.RED), "value"),
        (Anything({1: Stray("rex")}), "value[0][1]"),
        (Four(1, "\ud800", 1.0), "customer"),
        (Four("1", "a", 1.0), "order"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Pointing(home=Address("bank")), "home"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_value_that_does_not_fit_its_field_is_refused_when_it_is_sent(value: object, path: str) -> None:
    error = refused(codec.encode, value)
    assert (error.type_name, error.field_path) == (f"tests.codec.shapes.{type(value).__name__}", path)
    assert path in str(error)
    assert error.type_name in str(error)
    assert isinstance(error, RemoteError)


def _changed(value: object, /, **changes: object) -> bytes:
    name, version, body = unpack(codec.encode(value))
    body |= changes
    return pack([name, version, {key: value for key, value in body.items() if value is not GONE}])


CHANGES: list[tuple[object, dict[str, Any], str]] = [
    (Four(1, "a", 2.0), {"order": "1"}, "order"),
    (Four(1, "a", 2.0), {"order": None}, "order"),
    (Four(1, "a", 2.0), {"amount": b""}, "amount"),
    (Four(1, "a", 2.0), {"customer": GONE}, "customer"),
    (CONTAINERS, {"items": [{"amount": "1"}, {}]}, "items[1].amount"),
    (CONTAINERS, {"items": [{"amount": "many"}]}, "items[0].amount"),
    (CONTAINERS, {"by_name": {"a": {"amount": "1", "currency": 3}}}, "by_name['a'].currency"),
    (CONTAINERS, {"items": {"a": 1}}, "items"),
    (CONTAINERS, {"items": "abc"}, "items"),
    (CONTAINERS, {"pair": [1]}, "pair"),
    (CONTAINERS, {"by_id": {"no id": []}}, "by_id['no id']"),
    (CONTAINERS, {"by_name": []}, "by_name"),
    (CONTAINERS, {"names": [["a"]]}, "names[0]"),
    (SCALARS, {"wave": 1.5}, "wave"),
    (SCALARS, {"buffer": "text"}, "buffer"),
    (SCALARS, {"id": 1}, "id"),
    (NAMES, {"color": "BLUE"}, "color"),
    (NAMES, {"access": 64}, "access"),
    (NAMES, {"side": "top"}, "side"),
    (NAMES, {"one_color": "GREEN"}, "one_color"),
    (NAMES, {"path": 1}, "path"),
    (OBJECTS, {"money": []}, "money"),
    (OBJECTS, {"animal": ["test.square", 3, []]}, "animal"),
    (OBJECTS, {"animal": ["test.square", 3, {"side": 1}]}, "animal"),
    (OBJECTS, {"animal": ["no.such", 1, {}]}, "animal"),
    (OBJECTS, {"square": ["test.square", 3, []]}, "square"),
    (OBJECTS, {"shape": {}}, "shape"),
    (UNIONS, {"either": ["Shape", {}]}, "either"),
    (UNIONS, {"either": 3}, "either"),
    (Anything(1), {"value": ["object", 1]}, "value"),
    (Anything(1), {"value": ["dict", 1]}, "value"),
    (Anything(1), {"value": ["set", [["list", []]]]}, "value"),
]


@pytest.mark.parametrize(
    ("value", "changes", "path"),
    CHANGES,
    ids=[path for _, _, path in CHANGES],
)
def test_bytes_that_do_not_fit_a_field_are_refused(value: object, changes: dict[str, Any], path: str) -> None:
    error = refused(codec.decode, _changed(value, **changes))
    assert (error.type_name, error.field_path) == (f"tests.codec.shapes.{type(value).__name__}", path)
    assert path in str(error)


@pytest.mark.parametrize("value", [1, None, "text", [Four(1, "a", 2.0)], Money(Decimal(1)), Stray("rex")], ids=repr)
def test_only_a_registered_message_can_be_sent(value: object) -> None:
    error = refused(codec.encode, value)
    assert error.type_name == type(value).__qualname__
    assert "@message" in str(error)


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Callable[[int], int], "cannot travel"),
        (range, "cannot travel"),
        (Typed, "cannot travel"),
        (list[int] | list[str], "cannot be told apart"),
        ("NoSuchName", "cannot be resolved"),
    ],
)
def test_a_type_that_cannot_travel_is_named_at_the_first_use(annotation: Any, says: str) -> None:
    fields = {"good": attrs.field(type=int), "bad": attrs.field(type=annotation)}
    bad: Any = attrs.make_class("Bad", fields)
    made: Any = message(bad)
    error = refused(codec.encode, made(1, 2))
    assert says in str(error)
    assert error.field_path in ("bad", "")
    assert refused(codec.encode, made(1, 2)).args == error.args


def _positive(made: object, attribute: object, value: int) -> None:
    if value < 0:
        raise ValueError("below zero")


@message
class Positive:
    number: int = attrs.field(validator=_positive)


def test_an_error_of_a_validator_is_the_cause() -> None:
    error = refused(codec.decode, _changed(Positive(1), number=-1))
    assert "below zero" in str(error)
    assert isinstance(error.__cause__, ValueError)


def test_an_error_that_cannot_be_shown_harms_nobody() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    @message
    class Grumpy:
        def __attrs_post_init__(self) -> None:
            if moody:
                raise Rude

    moody = False
    data = codec.encode(Grumpy())
    moody = True
    assert isinstance(refused(codec.decode, data), CodecError)


def test_a_message_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert refused(codec.encode, Anything(circle)).type_name == "tests.codec.shapes.Anything"


def test_limits_hold_both_ways() -> None:
    small, flat = Codec(max_size=100), Codec(max_depth=4)
    long, deep = Four(1, "a" * 100, 1.0), Untyped[Any](1, [[1]])
    assert "100" in str(refused(small.encode, long))
    assert "100" in str(refused(small.decode, codec.encode(long)))
    assert "deeper than 4" in str(refused(flat.encode, deep))
    assert "deeper than 4" in str(refused(flat.decode, codec.encode(deep)))
    assert round_trip(Untyped(1, [2]), flat) == Untyped(1, [2])


def test_a_limit_that_lets_nothing_through_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Codec(max_size=1)
    with pytest.raises(ValueError, match="at least 2"):
        Codec(max_depth=1)


def test_what_is_no_bytes_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError):
        codec.decode("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
