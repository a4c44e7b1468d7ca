"""Forms of the types that hold no others: numbers, texts, times, ids, paths, enums and literals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from operator import attrgetter
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from msgspec import convert
from msgspec.msgpack import Ext

from trioakt.codec.faults import Fault, unexpected
from trioakt.codec.form import ARRAYS, Form, Write, same

WIDE_INT = 1
"""MessagePack extension of ours: an int beyond 64 bits, big-endian, two's complement."""

SCALARS: frozenset[type[Any]] = frozenset({type(None), bool, int, float, str, bytes})
"""What is plain data by itself and needs no label."""

_MICROSECOND = timedelta(microseconds=1)


def read_int(value: Any, _: Any = None) -> int:
    """Return an int, a wide one too."""
    if isinstance(value, int):
        return value
    if isinstance(value, Ext) and value.code == WIDE_INT:
        return int.from_bytes(value.data, "big", signed=True)
    raise unexpected("int", value)


def wide_int(value: int) -> Ext:
    """Return an int beyond 64 bits as MessagePack can hold it."""
    return Ext(WIDE_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _write_int(value: Any) -> int:
    if isinstance(value, int):
        return value
    raise unexpected("int", value)


def _float(value: Any, _: Any = None) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(value)
    raise unexpected("float", value)


def _write_bytearray(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise unexpected("bytearray", value)


def _read_bytearray(value: Any, _: Any = None) -> bytearray:
    return bytearray(_write_bytearray(value))


def _write_complex(value: Any) -> tuple[float, float]:
    if isinstance(value, complex):
        return value.real, value.imag
    raise unexpected("complex", value)


def _read_complex(value: Any, _: Any = None) -> complex:
    if isinstance(value, ARRAYS):
        real, imaginary = value
        return complex(_float(real), _float(imaginary))
    raise unexpected("complex", value)


def _write_timedelta(value: Any) -> int:
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    raise unexpected("timedelta", value)


def _read_timedelta(value: Any, _: Any = None) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(microseconds=read_int(value))


def _scalar(kind: type[Any]) -> Form:
    """Return the form of a type that is plain data already: it only checks."""

    def check(value: Any, _: Any = None) -> Any:
        if isinstance(value, kind):
            return value
        raise unexpected(kind.__name__, value)

    return Form(check, check, kind, kind.__name__, is_key=kind is not type(None), exact=frozenset({kind}))


def _text(kind: type[Any], parse: Callable[[str], Any], write: Write = same) -> Form:
    """Return the form of a type that goes as text; a value that an upcaster has made already is taken as it is."""

    def write_it(value: Any) -> Any:
        if isinstance(value, kind):
            return write(value)
        raise unexpected(kind.__name__, value)

    def read(value: Any, _: Any = None) -> Any:
        if isinstance(value, str):
            try:
                return parse(value)
            except Exception as error:
                raise unexpected(kind.__name__, value) from error
        if isinstance(value, kind):
            return value
        raise unexpected(kind.__name__, value)

    return Form(write_it, read, kind, kind.__name__.lower(), is_key=True)


def _write_date(value: date) -> str:
    if isinstance(value, datetime):
        raise unexpected("date", value)
    return value.isoformat()


def _write_time(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise Fault("a time in a zone has no offset without a date")
    return value.isoformat()


_INT = Form(_write_int, read_int, int, "int", is_key=True, exact=frozenset({int, bool}))
_FLOAT = Form(_float, _float, float, "float", is_key=True, exact=frozenset({float}))
_COMPLEX = Form(_write_complex, _read_complex, complex, "complex", depth=1)
_BYTEARRAY = Form(_write_bytearray, _read_bytearray, bytearray, "bytearray")
_TIMEDELTA = Form(_write_timedelta, _read_timedelta, timedelta, "timedelta", is_key=True)

LEAVES: dict[Any, Form] = {
    form.kind: form
    for form in (
        *map(_scalar, (type(None), bool, str, bytes)),
        _INT,
        _FLOAT,
        _COMPLEX,
        _BYTEARRAY,
        _TIMEDELTA,
        _text(UUID, lambda text: convert(text, UUID)),
        _text(Decimal, Decimal),
        _text(datetime, datetime.fromisoformat, datetime.isoformat),
        _text(date, date.fromisoformat, _write_date),
        _text(time, time.fromisoformat, _write_time),
        *(_text(kind, kind, str) for kind in (Path, PurePath, PurePosixPath, PureWindowsPath)),
    )
}
"""The forms by type."""


def enum_form(kind: type[Enum]) -> Form:
    """Return the form of an enum: a member goes by its name, a flag by its number."""
    is_flag = Flag in kind.__mro__
    members = dict(kind.__members__)
    plain = attrgetter("value" if is_flag else "name")

    def write(value: Any) -> Any:
        if isinstance(value, kind):
            return plain(value)
        raise unexpected(f"a member of {kind.__name__}", value)

    def read(value: Any, _: Any = None) -> Any:
        if isinstance(value, kind):
            return value
        if is_flag:
            return kind(read_int(value))
        if isinstance(value, str) and value in members:
            return members[value]
        raise unexpected(f"a member of {kind.__name__}", value)

    return Form(write, read, kind, kind.__name__, is_key=True)


def literal_form(values: tuple[Any, ...]) -> Form:
    """Return the form of ``Literal[...]`` with values of one type; members of enums go by their names."""
    kind = values[0].__class__
    known = {value.name if isinstance(value, Enum) else value: value for value in values}
    wanted = f"one of {values!r}"

    def write(value: Any) -> Any:
        if value.__class__ is kind and value in values:
            return value.name if isinstance(value, Enum) else value
        raise unexpected(wanted, value)

    def read(value: Any, _: Any = None) -> Any:
        found = known.get(value, value)
        if found.__class__ is kind and found in values:
            return found
        raise unexpected(wanted, value)

    return Form(write, read, kind, kind.__name__, is_key=kind is not type(None))
