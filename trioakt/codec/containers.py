"""Forms of lists, tuples, sets, dicts and optional values, made of the forms of what they hold.

Each has two shapes: a quick one, and a careful one that notes on failure where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from trioakt.codec.faults import at, shorten, unexpected
from trioakt.codec.form import ARRAYS, Form, depth_over

Items = Iterable[tuple[Any, Any]]
_GIVEN: tuple[type[Any], ...] = (*ARRAYS, deque)


def _each(convert: Callable[..., Any], values: Iterable[Any], *rest: Any) -> list[Any]:
    """Convert values one by one, noting the place of one that fails."""
    made: list[Any] = []
    for index, value in enumerate(values):
        with at(f"[{index}]"):
            made.append(convert(value, *rest))
    return made


def array_form(item: Form, kind: type[Any], *, careful: bool) -> Form:
    """Return the form of a list, a set or a tuple of any length."""
    write_item, read_item, exact = item.write, item.read, item.exact

    def write(values: Any) -> Any:
        if not isinstance(values, _GIVEN):
            raise unexpected(kind.__name__, values)
        if exact.issuperset(map(type, values)):
            return list(values)
        return _each(write_item, values) if careful else [write_item(value) for value in values]

    def read(values: Any, _: Any = None) -> Any:
        if not isinstance(values, ARRAYS):
            raise unexpected(kind.__name__, values)
        if exact.issuperset(map(type, values)):
            return kind(values)
        return kind(_each(read_item, values, None) if careful else [read_item(value, None) for value in values])

    return Form(write, read, kind, kind.__name__, depth=depth_over([item]))


def tuple_form(items: list[Form], *, careful: bool) -> Form:
    """Return the form of a tuple whose length and types are fixed."""
    writes, reads = [item.write for item in items], [item.read for item in items]
    length = len(items)

    def paired(converts: list[Any], values: Any) -> Iterator[tuple[Any, Any]]:
        if not isinstance(values, ARRAYS) or len(values) != length:
            raise unexpected(f"a tuple of {length}", values)
        return zip(converts, values, strict=True)

    def write(values: Any) -> Any:
        pairs = paired(writes, values)
        return _each(_apply, pairs) if careful else [convert(value) for convert, value in pairs]

    def read(values: Any, _: Any = None) -> Any:
        pairs = paired(reads, values)
        return tuple(_each(_apply, pairs, None) if careful else [convert(value, None) for convert, value in pairs])

    return Form(write, read, tuple, "tuple", depth=depth_over(items))


def _apply(pair: tuple[Callable[..., Any], Any], *rest: Any) -> Any:
    convert, value = pair
    return convert(value, *rest)


def dict_form(key: Form, value: Form, kind: type[Any], *, careful: bool) -> Form:
    """Return the form of a dict: a map where the keys are scalars, else a list of pairs."""
    if not key.is_key:
        return _pairs_form(key, value, kind, careful=careful)
    write_key, write_value, read_key, read_value = key.write, value.write, key.read, value.read

    def write(values: Any) -> Any:
        if not isinstance(values, Mapping):
            raise unexpected(kind.__name__, values)
        items = cast("Items", values.items())
        if careful:
            return dict(_each_item(write_key, write_value, items))
        return {write_key(each): write_value(held) for each, held in items}

    def read(values: Any, _: Any = None) -> Any:
        if values.__class__ is not dict:
            raise unexpected(kind.__name__, values)
        if careful:
            return kind(_each_item(read_key, read_value, values.items(), None))
        return kind({read_key(each, None): read_value(held, None) for each, held in values.items()})

    return Form(write, read, kind, "dict", depth=depth_over([key, value]))


def _each_item(
    convert_key: Callable[..., Any], convert_value: Callable[..., Any], items: Items, *rest: Any
) -> Iterator[tuple[Any, Any]]:
    for key, value in items:
        with at(f"[{shorten(repr(key))}]"):
            pair = convert_key(key, *rest), convert_value(value, *rest)
        yield pair


def _pairs_form(key: Form, value: Form, kind: type[Any], *, careful: bool) -> Form:
    pairs = array_form(tuple_form([key, value], careful=careful), list, careful=careful)

    def write(values: Any) -> Any:
        if not isinstance(values, Mapping):
            raise unexpected(kind.__name__, values)
        return pairs.write(list(cast("Items", values.items())))

    def read(values: Any, _: Any = None) -> Any:
        return kind(values if values.__class__ is dict else pairs.read(values, None))

    return Form(write, read, kind, "dict", depth=depth_over([pairs]))


def optional_form(form: Form) -> Form:
    """Return the form of a value that may be ``None``."""
    write_it, read_it = form.write, form.read

    def write(value: Any) -> Any:
        return None if value is None else write_it(value)

    def read(value: Any, _: Any = None) -> Any:
        return None if value is None else read_it(value, None)

    return Form(write, read, object, "optional", depth=form.depth)
