"""A short name for the shape of a message type, the same in every process that has this shape."""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Any, Literal, get_args, get_origin

from trioakt.codec.annotations import members_of
from trioakt.codec.faults import Fault
from trioakt.codec.fields import fields_of, has_fields
from trioakt.errors import CodecError
from trioakt.lowlevel import registration


def fingerprint(cls: type) -> str:
    """Return 16 hexadecimal digits for a message type's name, version, and fields with their types.

    Classes inside that are not registered count with their fields, enums with their members, registered ones with
    name and version. The order of fields and of the members of a union does not count, nor does where a class lives.

    Raises:
        CodecError: The class is not registered, or an annotation cannot be resolved.
    """
    info = registration(cls)
    if info is None:
        raise CodecError(f"{cls.__qualname__} is not a registered message: it needs @message", cls.__qualname__)
    try:
        shape = f"{info.name} {info.version} {_fields(cls, frozenset({cls}))}"
    except Fault as fault:
        raise CodecError(f"{info.name}: {fault.text}", info.name) from fault
    return sha256(shape.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _fields(kind: Any, above: frozenset[Any]) -> str:
    known = [f"{each.key}{'' if each.required else '?'}: {_shape(each.type, above)}" for each in fields_of(kind)]
    return "{" + ", ".join(sorted(known)) + "}"


def _shape(kind: Any, above: frozenset[Any]) -> str:
    members = members_of(kind)
    if len(members) > 1:
        return " | ".join(sorted(_shape(each, above) for each in members))
    kind = members[0]
    cls = get_origin(kind) or kind
    if cls is Literal:
        return f"Literal[{', '.join(sorted(map(_literal, get_args(kind))))}]"
    if not hasattr(cls, "__mro__"):
        return "..." if cls is Ellipsis else "None" if cls is None else "Any"
    arguments = ", ".join(_shape(each, above) for each in get_args(kind))
    return _class(kind, cls, above) + (f"[{arguments}]" if arguments else "")


def _class(kind: Any, cls: Any, above: frozenset[Any]) -> str:
    info = registration(cls)
    if info is not None:
        return f"{info.name} {info.version}"
    if Enum in cls.__mro__:
        return f"{cls.__name__}<{', '.join(sorted(cls.__members__))}>"
    if has_fields(cls) and kind not in above:
        return f"{cls.__name__}" + _fields(kind, above | {kind})
    return f"{cls.__name__}"


def _literal(value: object) -> str:
    return str(value.name) if isinstance(value, Enum) else repr(value)
