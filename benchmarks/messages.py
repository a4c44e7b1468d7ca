"""The messages all contenders exchange; an action does its own work, so that every contender's handler stays the same.

This module knows neither Trio nor any actor library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BURST: Final = 1000
"""Messages told before the sender waits until all are handled."""

TICK: Final = object()
"""A message whose handling is nothing at all."""


class Recipient(Protocol):
    """Whatever can be told something without waiting."""

    def tell(self, message: Any, /) -> object:
        """Enqueue a message."""
        ...


class Countdown:
    """Call `done` when handled for the `left`-th time."""

    __slots__ = ("done", "left")

    def __init__(self, left: int, done: Callable[[], object]) -> None:
        self.left = left
        self.done = done

    def act(self) -> None:
        """Count one handling."""
        self.left -= 1
        if not self.left:
            self.done()


class Ball:
    """Fly between two players until `left` hops are done."""

    __slots__ = ("done", "left", "players")

    def __init__(self, left: int, players: Sequence[Recipient], done: Callable[[], object]) -> None:
        self.left = left
        self.players = players
        self.done = done

    def act(self) -> None:
        """Go to the other player."""
        self.left -= 1
        if self.left:
            self.players[self.left & 1].tell(self)
        else:
            self.done()


class Flood:
    """Come back to its actor as soon as it is handled, until stopped; count the handlings."""

    __slots__ = ("handled", "recipient", "running")

    def __init__(self, recipient: Recipient) -> None:
        self.recipient = recipient
        self.running = True
        self.handled = 0

    def act(self) -> None:
        """Tell itself to its actor again."""
        self.handled += 1
        if self.running:
            self.recipient.tell(self)
