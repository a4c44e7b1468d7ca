"""Shapes: whether two nodes mean the same by a message type, found out when they meet and not when one misreads."""

from __future__ import annotations

from functools import lru_cache

from trioakt.codec import fingerprint
from trioakt.errors import CodecError, ProtocolError
from trioakt.lowlevel import registration, registry

_NAMED = 5
"""Types that an error names."""


def shapes() -> dict[str, str]:
    """Return the fingerprints of all message types of this process that can travel, by name and version."""
    return _shapes_of(registry.revision)


@lru_cache(maxsize=1)
def _shapes_of(revision: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for cls in registry.classes():
        info = registration(cls)
        if info is not None:
            try:
                found[f"{info.name} {info.version}"] = fingerprint(cls)
            except CodecError:  # it stays at home, and says so to whoever sends it
                continue
    return found


def check_shapes(theirs: dict[str, str]) -> None:
    """Compare with what another node knows; a type that only one of the two knows is no matter.

    Raises:
        ProtocolError: A type of one name and version has another shape there.
    """
    ours = shapes()
    other = sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])
    if other:
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        raise ProtocolError(
            f"it has other fields in {', '.join(other[:_NAMED])}{more}: give the new shape a version and an upcaster"
        )
