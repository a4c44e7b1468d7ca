"""Messages and classes of many shapes, shared by the tests of the codec."""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, TypeVar
from uuid import UUID

import attrs

from trioakt import ActorRef, CodecError, message
from trioakt.codec import Codec
from trioakt.lowlevel import Address

T = TypeVar("T")
UserId = NewType("UserId", int)


class Color(enum.Enum):
    RED = 1
    GREEN = ("a", 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Money:
    amount: Decimal
    currency: str = "EUR"


@attrs.define(kw_only=True)
class Private:
    _owner: str
    _notes: list[str] = attrs.Factory(list[str])


@dataclasses.dataclass
class Box:
    width: float
    tags: list[str] = dataclasses.field(default_factory=list[str])


class Point(NamedTuple):
    x: int
    y: int = 0


@attrs.frozen
class Tree:
    value: int
    children: tuple[Tree, ...] = ()


@attrs.frozen
class Page(Generic[T]):
    items: list[T]
    next: T | None = None


@attrs.frozen
class Dated(Page[date]):
    by: str = ""


class Shape:
    """A base without fields, only its registered subclasses travel."""


@message
class Circle(Shape):
    radius: float


@message(name="test.square", version=3)
class Square(Shape):
    side: int


@message
class Animal:
    name: str


@message
class Dog(Animal):
    tricks: frozenset[str] = frozenset()


class Stray(Animal):
    """A subclass that nobody registered."""


@message
class Scalars:
    flag: bool
    number: int
    ratio: float
    text: str
    raw: bytes
    nothing: None
    buffer: bytearray
    wave: complex
    id: UUID
    price: Decimal


@message
class Times:
    at: datetime
    day: date
    hour: time
    span: timedelta


@message
class Names:
    user: UserId
    color: Color
    level: Level
    access: Access
    side: Literal["left", "right"]
    mixed: Literal[1, "one", None] | None
    open: Literal["on"] | Literal["off"] | str | None
    one_color: Literal[Color.RED]
    path: Path
    pure: PurePosixPath
    noted: Annotated[int, ["cannot be hashed"]]
    last: Final[int]


@message
class Containers:
    items: list[Money]
    row: tuple[int, ...]
    pair: tuple[int, str]
    names: set[str]
    levels: frozenset[Level]
    queue: deque[int]
    by_name: dict[str, Money]
    by_number: dict[int, str]
    by_id: dict[UUID, list[date]]
    by_pair: dict[tuple[int, int], str]
    ordered: OrderedDict[str, int]
    read_only: Sequence[int]
    table: Mapping[str, int]


@message
class Objects:
    money: Money
    private: Private
    box: Box
    point: Point
    tree: Tree
    page: Page[UUID]
    dated: Dated
    shape: Shape
    square: Square
    animal: Animal


@message
class Unions:
    maybe: Money | None
    scalar: int | str | None
    either: Money | Box
    id: UUID | str
    many: list[int] | dict[str, int] | None
    when: datetime | date | float


@message
class Anything:
    value: Any


@message
class Untyped(Generic[T]):
    value: T
    others: list[T]


@message
class Pointing:
    to: ActorRef[Any] | None = None
    home: Address | None = None


@message
class Four:
    order: int
    customer: str
    amount: float
    note: str = ""


codec = Codec()


def made(name: str, version: int = 1, **types: Any) -> Any:
    """Return a new message class with fields of these types."""
    plain: Any = attrs.make_class("Made", {key: attrs.field(type=kind) for key, kind in types.items()}, frozen=True)
    return message(name=name, version=version)(plain)


def round_trip(value: Any, by: Codec = codec) -> Any:
    return by.decode(by.encode(value))


def refused(encode: Any, value: Any) -> CodecError:
    """Return the error of an encoding or a decoding that must fail."""
    try:
        result = encode(value)
    except CodecError as error:
        return error
    raise AssertionError(f"not refused: {result!r}")
