"""Exports: the actors of this node that other nodes know, each under a number that is never used again."""

from __future__ import annotations

from itertools import count
from typing import Any

from trioakt.lowlevel import ActorRef, Recipient, TerminationCause, Watch

_USERS = ("/user/", "/grains/")


class Exports:
    """Gives out numbers for refs. A number lasts as long as its actor; nobody can name an actor that has none.

    What lives above ``/user/`` and is no grain is for this node alone: its numbers name nobody.
    """

    def __init__(self) -> None:
        self._refs: dict[int, ActorRef[Any]] = {}
        self._numbers: dict[Recipient, int] = {}
        self._next = count(1)

    def number_of(self, ref: ActorRef[Any]) -> int:
        """Return the number of an actor, a new one when it has none."""
        number = self._numbers.get(ref.recipient)
        if number is None:
            number = next(self._next)
            if ref.is_alive and ref.path.startswith(_USERS):
                self._numbers[ref.recipient] = number
                self._refs[number] = ref
                ref.recipient.signal(Watch(_End(self, ref)))
        return number

    def ref_of(self, number: int) -> ActorRef[Any] | None:
        """Return the actor with this number, unless it has ended."""
        return self._refs.get(number)

    def forget(self, ref: ActorRef[Any]) -> None:
        """Let a number name nobody any more."""
        number = self._numbers.pop(ref.recipient, None)
        if number is not None:
            del self._refs[number]


class _End:
    """Hears of the end of what a ref names, which may be known to itself by another ref."""

    __slots__ = ("_exports", "_ref")

    def __init__(self, exports: Exports, ref: ActorRef[Any]) -> None:
        self._exports = exports
        self._ref = ref

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        if not self._ref.is_alive:  # a grain is there for its next activation too
            self._exports.forget(self._ref)
