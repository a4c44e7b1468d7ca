"""The line in front of a producer: what was given to it and is not in demand yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.delivery.protocol import Piece

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef, ReplyTo


@attrs.define(eq=False)
class Waiting:
    """A place in the line, and who waits for news of it.

    Attributes:
        reply_to: The one who waits; nobody, for what was told.
    """

    reply_to: ReplyTo | None

    @property
    def given_up(self) -> bool:
        """Whether the one who waited has gone."""
        return self.reply_to is not None and self.reply_to.asker_gone

    def answer(self) -> None:
        """Tell the one who waits, once."""
        reply_to, self.reply_to = self.reply_to, None
        if reply_to is not None and not reply_to.asker_gone:
            reply_to.reply(None)

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        if self.reply_to is not None:
            self.reply_to.end(error)


@attrs.define(eq=False)
class Mark(Waiting):
    """Someone waits until all that was before it is confirmed: all with a number below ``before``."""

    before: int = 0


@attrs.define(eq=False)
class Call(Waiting):
    """Someone waits until a message in this place would be accepted."""


@attrs.define(eq=False)
class Entry(Waiting):
    """A message on its way through a producer.

    Attributes:
        message: What it is, until a file keeps it.
        sender: Who told it.
        data: It, encoded, where that is needed.
        chunk: Bytes of each of its parts; 0: it travels whole.
        early: Whether the one who waits waits for the acceptance alone.
        number: Of its first part, once there is demand for it.
    """

    message: Any = None
    sender: ActorRef | None = None
    data: bytes | None = None
    chunk: int = 0
    early: bool = False
    number: int = 0

    @property
    def parts(self) -> int:
        """How many parts it makes."""
        return 1 if self.data is None or not self.chunk else max(1, -(-len(self.data) // self.chunk))

    def pieces(self) -> list[Piece]:
        """Return its parts."""
        data, chunk = self.data, self.chunk
        if data is None:
            return [Piece(self.message)]
        if self.parts == 1:
            return [Piece(data, encoded=True)]
        last = self.parts - 1
        return [
            Piece(data[part * chunk : (part + 1) * chunk], encoded=True, last=part == last)
            for part in range(self.parts)
        ]


class Line:
    """First come, first served; who has given up leaves it.

    Attributes:
        told: How many were told: nobody waits for them, so somebody must count them.
    """

    def __init__(self) -> None:
        self.told = 0
        self._waiting: deque[Waiting] = deque()
        self._look_at = 64

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting)

    def join(self, waiting: Waiting) -> None:
        """Put at the end."""
        self.told += waiting.reply_to is None
        self._waiting.append(waiting)
        if len(self._waiting) > self._look_at:  # without demand, those who gave up would pile up
            self._waiting = deque(each for each in self._waiting if not each.given_up)
            self._look_at = max(64, 2 * len(self._waiting))

    def next(self, *, demand: bool) -> Waiting | None:
        """Take out the first one, if there is demand for a message or it is none."""
        while self._waiting and (demand or isinstance(self._waiting[0], Mark)):
            waiting = self._waiting.popleft()
            self.told -= waiting.reply_to is None
            if not waiting.given_up:
                return waiting
        return None
