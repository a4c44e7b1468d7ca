"""What an annotation comes down to for the bytes; it makes nothing of it."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin


def plain_type(kind: Any) -> Any:
    """Take off what says nothing about the bytes: ``Annotated``, ``Final``, ``NewType``, aliases."""
    while True:
        origin = get_origin(kind)
        if origin is Annotated or origin is Final:
            kind = get_args(kind)[0]
        elif isinstance(kind, NewType):
            kind = kind.__supertype__
        elif hasattr(kind, "__value__") and not isinstance(kind, type):
            kind = kind.__value__
        else:
            return kind


def members_of(kind: Any) -> list[Any]:
    """Return the members of a union, those of unions inside it too; a type that is none is its only member.

    Literals count by the type of their values: ``Literal["a", 1]`` has two members, ``Literal["a"] | str`` has one.
    """
    members: list[Any] = []
    literals: dict[type[Any], list[Any]] = {}
    for each in _flat(kind):
        if get_origin(each) is Literal:
            for value in get_args(each):
                literals.setdefault(value.__class__, []).append(value)
        elif each not in members:
            members.append(each)
    if literals.pop(type(None), None) and type(None) not in members:
        members.append(type(None))
    return [*members, *(Literal[tuple(values)] for one, values in literals.items() if one not in members)]


def _flat(kind: Any) -> list[Any]:
    kind = plain_type(kind)
    if get_origin(kind) in (Union, UnionType):
        return [each for member in get_args(kind) for each in _flat(member)]
    return [kind]
