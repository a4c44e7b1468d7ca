"""How deep plain data and MessagePack bytes nest; it knows nothing of messages."""

from __future__ import annotations

import sys
from typing import Any

_CONTAINERS = frozenset({*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF})
_OTHERS = bytes(byte for byte in range(256) if byte not in _CONTAINERS)

_HOLDING: frozenset[type[Any]] = frozenset({list, tuple, set, frozenset, dict})

_BOUND_IS_LOOSE = sys.version_info < (3, 12)
_SAFE = 10_000
"""Levels that fit on the stack of any thread."""

_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""How many bytes the length takes: bin, ext and str."""

_SIZES = {
    0xCA: 5,
    0xCB: 9,
    0xCC: 2,
    0xCD: 3,
    0xCE: 5,
    0xCF: 9,
    0xD0: 2,
    0xD1: 3,
    0xD2: 5,
    0xD3: 9,
    0xD4: 3,
    0xD5: 4,
    0xD6: 6,
    0xD7: 10,
    0xD8: 18,
    **{byte: byte - 0xA0 + 1 for byte in range(0xA0, 0xC0)},
}
_STEPS = [0 if byte in _CONTAINERS or byte in _LENGTHS else _SIZES.get(byte, 1) for byte in range(256)]
"""The size of a value by its first byte; 0 where the bytes after it tell."""


def check_plain(plain: Any, data: bytes, limit: int) -> None:
    """Refuse plain data whose containers nest deeper than the limit; ``data`` are its bytes.

    Most data is through at once: its bytes have fewer that could begin a container than the limit.

    Raises:
        ValueError: It nests deeper.
    """
    if len(data.translate(None, _OTHERS)) <= limit:
        return
    level: list[Any] = [plain]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if outer.__class__ is dict else outer)
            if inner.__class__ in _HOLDING
        ]
        if not level:
            return
    raise ValueError(f"it nests deeper than {limit}")


def check_bytes(data: bytes, limit: int) -> None:
    """Refuse bytes so deep that unpacking them would overflow the stack.

    Since Python 3.12 the interpreter bounds this by itself. Before, its bound is the recursion limit, which a program
    may have raised; then the bytes are walked through first.

    Raises:
        ValueError: They nest deeper than the limit, or are cut off.
    """
    if _BOUND_IS_LOOSE and sys.getrecursionlimit() > _SAFE and len(data.translate(None, _OTHERS)) > limit:
        walk(data, limit)


def walk(data: bytes, limit: int) -> None:
    """Refuse bytes in which containers nest deeper than the limit, or that are cut off; see `check_bytes`."""
    try:
        _walk(data, limit)
    except IndexError:
        raise ValueError("the bytes are cut off") from None


def _walk(data: bytes, limit: int) -> None:
    waiting: list[int] = []
    left, place = 1, 0
    while True:
        while left:
            first = data[place]
            left -= 1
            if step := _STEPS[first]:
                place += step
            elif first in _CONTAINERS:
                waiting.append(left)
                if len(waiting) > limit:
                    raise ValueError(f"it nests deeper than {limit}")
                left, place = _opened(data, first, place)
            else:
                width = _LENGTHS[first]
                is_ext = 0xC7 <= first <= 0xC9
                place += 1 + width + is_ext + int.from_bytes(data[place + 1 : place + 1 + width], "big")
        if not waiting:
            return
        left = waiting.pop()


def _opened(data: bytes, first: int, place: int) -> tuple[int, int]:
    """Return how many values a container holds, and where the first of them is."""
    if first < 0xA0:
        return (first & 0x0F) * (2 if first < 0x90 else 1), place + 1
    width = 2 if first in (0xDC, 0xDE) else 4
    count = int.from_bytes(data[place + 1 : place + 1 + width], "big")
    return count * (2 if first >= 0xDE else 1), place + 1 + width
