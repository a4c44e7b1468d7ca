"""A form: how the values of one type are turned into plain data and back; it knows no particular type.

Plain data is what MessagePack holds: ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

Write = Callable[[Any], Any]
Read = Callable[[Any, Any], Any]
"""The second argument is not used; cattrs hands the type there."""


@attrs.frozen
class Form:
    """The two directions for one type.

    Attributes:
        write: From a value to plain data.
        read: From plain data to a value; it raises whatever it likes when the data does not fit.
        kind: The class of its values, by which a union tells its arms apart.
        label: What marks such a value in a union.
        is_key: Whether its plain data is a scalar that can be the key of a dict.
        exact: Classes whose objects pass both ways as they are.
        depth: How deep its plain data nests at most; ``None`` when the type does not tell.
    """

    write: Write
    read: Read
    kind: type[Any]
    label: str
    is_key: bool = False
    exact: frozenset[type[Any]] = frozenset()
    depth: int | None = 0


def depth_over(inner: Iterable[Form]) -> int | None:
    """Return the depth of a container of these."""
    depth = 0
    for form in inner:
        if form.depth is None:
            return None
        depth = max(depth, form.depth)
    return depth + 1


ARRAYS: tuple[type[Any], ...] = (list, tuple, set, frozenset)
"""What counts as an array in plain data: MessagePack gives lists, an upcaster may give any of these."""


def same(value: Any) -> Any:
    """Return the value: MessagePack takes it as it is."""
    return value
