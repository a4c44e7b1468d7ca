"""How deep MessagePack bytes nest, found out before anything is built of them; it knows nothing of messages."""

from __future__ import annotations

_CONTAINERS = frozenset({*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF})
_OTHERS = bytes(byte for byte in range(256) if byte not in _CONTAINERS)

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


def check_depth(data: bytes, limit: int) -> None:
    """Refuse bytes in which containers nest deeper than the limit.

    Most messages are through at once: they have fewer bytes that could begin a container than the limit.

    Raises:
        ValueError: They nest deeper, or are cut off.
    """
    if len(data.translate(None, _OTHERS)) > limit:
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
                    raise ValueError(f"the bytes nest deeper than {limit}")
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
