"""What goes into bytes comes out of them equal, and of the same types."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import attrs
import pytest

from tests.codec.shapes import (
    Access,
    Animal,
    Anything,
    Box,
    Circle,
    Color,
    Containers,
    Dated,
    Dog,
    Four,
    Level,
    Money,
    Names,
    Objects,
    Page,
    Point,
    Private,
    Scalars,
    Shape,
    Square,
    Times,
    Tree,
    Unions,
    Untyped,
    UserId,
    codec,
    round_trip,
)
from trioakt import PoisonPill, message

ID = UUID("12345678-1234-5678-1234-567812345678")
SOME = Money(Decimal("1.50"))
PRIVATE = Private(owner="ada", notes=["x"])  # pyright: ignore[reportCallIssue]
OBJECTS: Any = Objects(
    money=SOME,
    private=PRIVATE,
    box=Box(1.5, ["a"]),
    point=Point(1, 2),
    tree=Tree(1, (Tree(2, (Tree(3),)), Tree(4))),
    page=Page([ID], ID),
    dated=Dated([date(2024, 2, 29)], None, "bob"),
    shape=Circle(2.0),
    square=Square(3),
    animal=Dog("rex", frozenset({"roll"})),
)

MESSAGES: list[Any] = [
    Scalars(True, -(2**63), 0.1, "Grüße \0 🎭", b"\x00\xff", None, bytearray(b"ab"), 1 - 2j, ID, Decimal("-0.00")),
    Scalars(False, 2**64 - 1, float("inf"), "", b"", None, bytearray(), 0j, ID, Decimal("1E+99")),
    Times(datetime(2024, 1, 2, 3, 4, 5, 6), date.min, time.max, timedelta.max),
    Times(datetime(1, 1, 1, tzinfo=UTC), date.max, time(1, 2, tzinfo=UTC), -timedelta(microseconds=1)),
    Names(
        UserId(7),
        Color.GREEN,
        Level.HIGH,
        Access.READ | Access.WRITE,
        "left",
        None,
        "half",
        Color.RED,
        Path("/tmp/x"),
        PurePosixPath("a/b"),
        1,
        2,
    ),
    Names(UserId(7), Color.RED, Level.LOW, Access(0), "right", "one", "on", Color.RED, Path(), PurePosixPath(), 1, 2),
    Containers(
        items=[SOME, SOME],
        row=(1, 2, 3),
        pair=(1, "one"),
        names={"a", "b"},
        levels=frozenset({Level.LOW}),
        queue=deque([1, 2]),
        by_name={"a": SOME},
        by_number={-1: "a", 2**63: "b"},
        by_id={ID: [date(2024, 1, 1)]},
        by_pair={(1, 2): "a"},
        ordered=OrderedDict(b=1, a=2),
        read_only=(1, 2),
        table={"a": 1},
    ),
    OBJECTS,
    attrs.evolve(OBJECTS, shape=Square(1), animal=Animal("cat")),
    Unions(SOME, 1, SOME, ID, [1], datetime(2024, 1, 1, tzinfo=UTC)),
    Unions(None, "1", Box(1.0), str(ID), {"a": 1}, date(2024, 1, 1)),
    Unions(None, None, Box(1.0), "", None, 1.5),
    Untyped[Any](SOME.amount, [ID, 1, "a"]),
    Four(1, "ada", 1.5),
    PoisonPill(),
]


@pytest.mark.parametrize("given", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_equal(given: Any) -> None:
    back = round_trip(given)
    assert back == given
    assert type(back) is type(given)
    kind: Any = given.__class__
    values = [(getattr(back, each.name), getattr(given, each.name)) for each in attrs.fields(kind)]
    assert [type(value) for value, _ in values] == [type(value) for _, value in values]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1,
        2**200,
        -(2**64),
        1.5,
        "text",
        b"raw",
        bytearray(b"raw"),
        1j,
        [1, [2, ["x"]]],
        (1, (2,)),
        {1, 2},
        frozenset({"a"}),
        {"a": {"b": [None]}},
        {1: "a", (1, 2): [3], None: 4},
        ID,
        Decimal("1.5"),
        datetime(2024, 1, 1, tzinfo=UTC),
        date(2024, 1, 1),
        time(1),
        timedelta(1),
        Path("/tmp"),
        PurePosixPath("a"),
        Circle(1.0),
        [Square(1), {"a": Dog("rex")}],
    ],
    ids=repr,
)
def test_a_field_of_any_type_holds_plain_data_and_messages(value: object) -> None:
    back = round_trip(Anything(value)).value
    assert back == value
    assert type(back) is type(value)


def test_a_number_that_is_not_a_number_stays_so() -> None:
    back = round_trip(Scalars(True, 1, float("nan"), "", b"", None, bytearray(), 1j, ID, Decimal("sNaN")))
    assert back.ratio != back.ratio
    assert back.price.is_snan()


def test_a_wide_int_travels_in_any_place() -> None:
    wide = 2**64
    given = Untyped[Any](wide, [-wide, [wide], {"a": wide}, Four(wide, "", 0.0)])
    assert round_trip(given) == given


def test_a_zone_becomes_its_offset() -> None:
    zone = timezone(timedelta(hours=5, minutes=30), "IST")
    back = round_trip(Times(datetime(2024, 1, 1, tzinfo=zone), date.min, time.min, timedelta()))
    assert back.at == datetime(2024, 1, 1, tzinfo=zone)
    assert back.at.utcoffset() == timedelta(hours=5, minutes=30)


def test_an_int_in_a_float_field_comes_back_as_a_float() -> None:
    back = round_trip(Circle(2))
    assert type(back.radius) is float


def test_a_private_field_travels_under_the_name_its_constructor_takes() -> None:
    assert b"_owner" not in codec.encode(OBJECTS)
    assert b"owner" in codec.encode(OBJECTS)


def _double(made: Any) -> int:
    return 2 * int(made.once)


@message
class Doubled:
    once: int
    twice: int = attrs.field(init=False, default=attrs.Factory(_double, takes_self=True))


def test_a_field_without_init_is_made_anew() -> None:
    assert round_trip(Doubled(3)).twice == 6
    assert b"twice" not in codec.encode(Doubled(3))


def test_bytes_may_come_as_a_view() -> None:
    assert codec.decode(memoryview(codec.encode(Four(1, "a", 2.0)))) == Four(1, "a", 2.0)


def test_a_message_may_be_declared_inside_a_function_and_speak_of_itself() -> None:
    @message
    class Node:
        value: int
        left: Node | None = None

    assert round_trip(Node(1, Node(2))) == Node(1, Node(2))


@message
class Ticket:
    class State(Enum):
        OPEN = 1
        CLOSED = 2

    state: State
    date: date


def test_a_field_may_be_of_a_class_inside_its_own_and_named_like_its_type() -> None:
    ticket = Ticket(Ticket.State.CLOSED, date(2024, 1, 1))
    assert round_trip(ticket) == ticket


def test_the_base_of_a_field_may_be_a_plain_class() -> None:
    assert isinstance(round_trip(OBJECTS).shape, Shape)
