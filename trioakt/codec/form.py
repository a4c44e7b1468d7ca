"""A form: how the values of one type are turned into plain data and back; it knows no particular type.

Plain data is what MessagePack holds: ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Callable
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
    """

    write: Write
    read: Read
    kind: type[Any]
    label: str
    is_key: bool = False
    exact: frozenset[type[Any]] = frozenset()


ARRAYS: tuple[type[Any], ...] = (list, tuple, set, frozenset)
"""What counts as an array in plain data: MessagePack gives lists, an upcaster may give any of these."""


def same(value: Any) -> Any:
    """Return the value: MessagePack takes it as it is."""
    return value
