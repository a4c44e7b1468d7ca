"""What a parked task of the kernel is woken with: nothing, and always the same nothing."""

from __future__ import annotations


class _Wake:
    """An outcome without a value that, unlike Trio's own, can be used again and again."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Return nothing to the task that wakes."""


WAKE = _Wake()
