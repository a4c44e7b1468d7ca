"""Plain data to MessagePack and back, ints beyond 64 bits included; it knows nothing of messages."""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Decoder, Encoder

from trioakt.codec.faults import at, shorten
from trioakt.codec.form import ARRAYS
from trioakt.codec.leaves import wide_int

_WIDEST = 2**63

pack = Encoder().encode
unpack = Decoder().decode


def pack_wide(plain: Any) -> bytes:
    """Pack data in which there are ints beyond 64 bits."""
    return pack(_widened(plain))


def _widened(plain: Any) -> Any:
    if isinstance(plain, int):
        return plain if -_WIDEST <= plain < 2 * _WIDEST else wide_int(plain)
    if plain.__class__ is dict:
        return {key: _widened(value) for key, value in plain.items()}
    return [_widened(value) for value in plain] if isinstance(plain, ARRAYS) else plain


def check_packable(plain: Any) -> None:
    """Raise the fault of the first value in this data that cannot be packed."""
    if plain.__class__ is dict:
        for key, value in plain.items():
            with at(f"[{shorten(repr(key))}]"):
                pack({key: None})
                check_packable(value)
    elif isinstance(plain, ARRAYS):
        for index, value in enumerate(plain):
            with at(f"[{index}]"):
                check_packable(value)
    else:
        pack_wide(plain)
