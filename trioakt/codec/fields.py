"""The fields of attrs classes, dataclasses and named tuples, with their types resolved; it knows nothing of bytes."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs

from trioakt.codec.faults import Fault, describe


@attrs.frozen
class Field:
    """One field that the constructor takes.

    Attributes:
        name: Under which the value is found in the object.
        key: Under which the constructor takes it, and under which it travels: a field ``_x`` travels as ``x``.
        type: Its type.
        required: Whether it has no default.
    """

    name: str
    key: str
    type: Any
    required: bool


def has_fields(kind: Any) -> bool:
    """Tell whether `fields_of` knows the fields of this class."""
    return attrs.has(kind) or dataclasses.is_dataclass(kind) or is_named_tuple(kind)


def is_named_tuple(kind: Any) -> bool:
    """Tell whether this class comes from ``NamedTuple`` or ``namedtuple``."""
    return tuple in kind.__mro__ and hasattr(kind, "_fields")


def fields_of(kind: Any) -> list[Field]:
    """Return the fields of a class, or of a generic class with arguments: ``Page[int]``.

    Raises:
        Fault: An annotation names what cannot be found.
    """
    cls = get_origin(kind) or kind
    types = _types_of(cls)
    variables = _arguments(kind)
    return [
        Field(name, key, substitute(types.get(name, Any), variables), required) for name, key, required in _bare(cls)
    ]


def _bare(cls: Any) -> list[tuple[str, str, bool]]:
    if attrs.has(cls):
        return [(each.name, each.alias, each.default is attrs.NOTHING) for each in attrs.fields(cls) if each.init]
    if dataclasses.is_dataclass(cls):
        missing = dataclasses.MISSING
        return [
            (each.name, each.name, each.default is missing and each.default_factory is missing)
            for each in dataclasses.fields(cls)
            if each.init
        ]
    return [(name, name, name not in cls._field_defaults) for name in cls._fields]


def _types_of(cls: Any) -> dict[str, Any]:
    """Resolve annotations; a class that is not at the top of its module may still speak of itself."""
    try:
        try:
            return _resolved(cls, None)
        except NameError:
            return _resolved(cls, {cls.__name__: cls})
    except Exception as error:
        raise Fault(f"the annotations of {cls.__qualname__} cannot be resolved: {describe(error)}") from error


def _resolved(cls: Any, known: dict[str, Any] | None) -> dict[str, Any]:
    if attrs.has(cls):
        attrs.resolve_types(cls, localns=known)
        return {each.name: Any if each.type is None else each.type for each in attrs.fields(cls)}
    return get_type_hints(cls, localns=known, include_extras=True)


def _arguments(kind: Any) -> dict[Any, Any]:
    """Return what stands for each type variable of a generic class and of its bases."""
    origin = get_origin(kind) or kind
    own = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    found: dict[Any, Any] = {}
    for base in getattr(origin, "__orig_bases__", ()):
        if get_origin(base) is not None and get_args(base):
            found |= {name: substitute(value, own) for name, value in _arguments(base).items()}
    return found | own


def substitute(kind: Any, variables: dict[Any, Any]) -> Any:
    """Put types in the place of type variables; a variable without one stands for anything."""
    if isinstance(kind, TypeVar):
        return variables.get(kind, Any)
    parameters = cast("tuple[Any, ...]", getattr(kind, "__parameters__", ()))
    if not parameters or isinstance(kind, type):
        return kind
    return kind[tuple(variables.get(each, Any) for each in parameters)]
