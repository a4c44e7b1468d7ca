"""The two ends of a reliable stream: numbers, credit and order. Pure: the time is told, and nothing is sent from here.

The outbox numbers what it accepts and keeps it until it is confirmed. It sends as far as the consumer has granted, and
asks when it hears nothing for a while; what the answer shows to be missing is sent again. The inbox puts the parts
into their order, once each. The handshake takes three steps, like TCP's (RFC 9293): a conversation that a late ``Open``
of an earlier life has asked for takes nothing over before a part proves that its producer has heard the answer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from trioakt.delivery.protocol import Grant, Lost, Open, Part, Piece, Reply, Superseded

_REMEMBERED = 16
"""Earlier incarnations of a producer that an inbox knows to be over."""


class Outbox:
    """The producer's end of a stream.

    Attributes:
        confirmed: The number up to which everything is handled.
        last: The highest number given.
        superseded: Whether another producer has taken over this one's name.
        max_size: Bytes of the largest encoded message that the consumer takes.
        next_at: When ``transmit`` is due, in seconds.
    """

    def __init__(
        self, producer_id: str, stream: str, incarnation: str, delay: Callable[[int], float], *, confirmed: int = 0
    ) -> None:
        self.confirmed = self.last = self._received = self._sent = self._granted = confirmed
        self.superseded = False
        self.max_size = 0
        self.next_at = -math.inf
        self._producer_id, self._stream, self._incarnation = producer_id, stream, incarnation
        self._delay = delay
        self._pieces: dict[int, Piece] = {}
        self._session = ""
        self._attempt = 0
        self._oldest = 1
        """Answers to attempts before this one say nothing any more about which conversation there is."""
        self._asking = False
        self._silence = 0
        """Attempts since the last progress."""

    @property
    def room(self) -> int:
        """How many more parts are in demand; a message may begin while there is any."""
        return max(0, self._granted - self.last) if self._session else 0

    @property
    def idle(self) -> bool:
        """Whether everything is confirmed."""
        return self.confirmed == self.last

    def accept(self, pieces: Sequence[Piece]) -> int:
        """Take a message over, and return the number of its last part; it is kept until it is confirmed."""
        for piece in pieces:
            self.last += 1
            self._pieces[self.last] = piece
        return self.last

    def hear(self, reply: Reply) -> None:
        """Take in what the consumer says; ``transmit`` follows."""
        match reply:
            case Superseded(incarnation):
                self.superseded = self.superseded or incarnation == self._incarnation
            case Lost(session) if session and session == self._session:
                self.reopen()
            case Grant(incarnation=incarnation) if incarnation == self._incarnation:
                self._hear_grant(reply)
            case _:  # for an earlier life
                pass

    def reopen(self) -> None:
        """Begin a new conversation, with the same consumer or another one."""
        self._session = ""
        self._oldest = self._attempt + 1
        self.next_at = -math.inf

    def transmit(self, now: float) -> list[Open | Part]:
        """Return what has to be sent now, and set ``next_at``."""
        sent: list[Open | Part] = []
        if self._session:
            end = min(self.last, self._granted)
            sent += [self._part(number) for number in range(self._sent + 1, end + 1)]
            self._sent = max(self._sent, end)
        if self.idle and self.room:
            self.next_at = math.inf  # all is quiet
        elif self.next_at == math.inf:
            self.next_at = now + self._delay(0)
        elif now >= self.next_at:
            self.next_at = now + self._delay(self._silence)
            self._silence += 1
            self._attempt += 1
            self._asking = True
            sent.append(Open(self._producer_id, self._stream, self._incarnation, self._attempt, self.confirmed))
        return sent

    def _part(self, number: int) -> Part:
        piece = self._pieces[number]
        return Part(self._producer_id, self._session, number, self.confirmed, piece.payload, piece.encoded, piece.last)

    def _hear_grant(self, grant: Grant) -> None:
        before = (self._session, self.confirmed, self._received, self._granted)
        if grant.session != self._session:
            if grant.attempt < self._oldest:
                return
            self._adopt(grant)
        self._confirm(min(grant.confirmed, self.last))
        self._received = max(self._received, self.confirmed, min(grant.received, self.last))
        self._granted = max(self._granted, grant.up_to)
        self.max_size = grant.max_size
        if self._asking and grant.attempt == self._attempt:  # what was sent before it asked and is not there is lost
            self._asking = False
            self._sent = self._received
        self._sent = max(self._sent, self._received)
        if (self._session, self.confirmed, self._received, self._granted) != before:
            self._silence = 0
            self.next_at = math.inf

    def _adopt(self, grant: Grant) -> None:
        """Begin to talk under the name that the consumer has given to the conversation."""
        self._session = grant.session
        self._oldest = self._attempt + 1
        self._received = self._sent = self._granted = self.confirmed
        if grant.received > self.last:  # the queue is an older copy of itself: what it lacks has been handled
            self.last = grant.received
            self._confirm(self.last)

    def _confirm(self, number: int) -> None:
        while self.confirmed < number:
            self.confirmed += 1
            self._pieces.pop(self.confirmed, None)


@attrs.frozen(eq=False)
class Arrived:
    """A whole message in its place.

    Attributes:
        stream: Its stream.
        sequence: The number of its last part.
        parts: How many parts it came in.
        payload: The message, or its bytes.
        encoded: Which of the two it is.
    """

    stream: str
    sequence: int
    parts: int
    payload: Any
    encoded: bool


class Inbox:
    """The consumer's end of the streams of one producer, of which the latest counts.

    Attributes:
        oversized: Whether the next message is larger than ``max_size``; it will not be taken.
    """

    def __init__(self, window: int, max_size: int, new_token: Callable[[], str]) -> None:
        self.oversized = False
        self._window = window
        self._max_size = max_size
        self._new_token = new_token
        self._stream: str = ""
        self._incarnation = ""
        self._session = ""
        self._received: int = 0
        self._confirmed = 0
        self._up_to = 0
        self._told = 0
        """What ``up_to`` the producer has heard of."""
        self._pending: tuple[Open, str] | None = None
        """A conversation that was granted, but of which no part has come."""
        self._retired: deque[str] = deque(maxlen=_REMEMBERED)
        self._early: dict[int, Part] = {}
        self._pieces: list[Part] = []
        """Of the message that is not complete yet."""
        self._size = 0
        """Their bytes."""
        self._ready: deque[Arrived] = deque()
        self._waiting = 0
        """Parts of complete messages that are not handled."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be handled."""
        return self._waiting == 0

    def opened(self, asked: Open) -> Grant | Superseded:
        """Answer a producer that asks."""
        if asked.incarnation in self._retired:
            return Superseded(asked.incarnation)
        if asked.incarnation == self._incarnation:
            self._lift(asked.confirmed)
            return self._grant(asked.attempt)
        if self._pending is None or self._pending[0].incarnation != asked.incarnation:
            self._pending = (asked, self._new_token())
        _, session = self._pending
        self._pending = (asked, session)
        received, confirmed = self._place(asked)
        up_to = received + self._credit()
        return Grant(session, asked.incarnation, asked.attempt, received, confirmed, up_to, self._max_size)

    def arrived(self, part: Part) -> Grant | Lost | None:
        """Take a part in, and return what the producer is told, if anything; ``next`` has what it completes."""
        if self._pending is not None and part.session == self._pending[1]:
            self._switch(self._pending[0])
        if not self._session or part.session != self._session:
            return Lost(part.session)
        self._lift(part.confirmed)
        if self._received < part.sequence <= self._up_to:
            self._early[part.sequence] = part
        while (following := self._early.get(self._received + 1)) is not None and self._fits(following):
            del self._early[following.sequence]
            self._take(following)
        self._up_to = max(self._up_to, self._received + self._credit())
        # Only a message in parts gives credit before it is handled: it may need more of them than the window has.
        return self._grant(0) if 2 * (self._up_to - self._told) >= self._window else None

    def next(self) -> Arrived | None:
        """Return the next message to be handled, once; then ``handled`` must follow."""
        return self._ready.popleft() if self._ready else None

    def handled(self, arrived: Arrived) -> Grant:
        """Confirm a message, and return what the producer is told."""
        self._waiting -= arrived.parts
        if arrived.stream == self._stream:
            self._confirmed = max(self._confirmed, arrived.sequence)
        return self._grant(0)

    def _grant(self, attempt: int) -> Grant:
        self._told = self._up_to = max(self._up_to, self._received + self._credit())
        session, incarnation = self._session, self._incarnation
        return Grant(session, incarnation, attempt, self._received, self._confirmed, self._told, self._max_size)

    def _credit(self) -> int:
        return max(0, self._window - self._waiting)

    def _place(self, asked: Open) -> tuple[int, int]:
        """Return the numbers up to which this producer's stream has been received and confirmed here or elsewhere."""
        if asked.stream != self._stream:
            return asked.confirmed, asked.confirmed
        return max(self._received, asked.confirmed), max(self._confirmed, asked.confirmed)

    def _switch(self, asked: Open) -> None:
        """Let the conversation that was pending take the place of the present one."""
        assert self._pending is not None
        if self._incarnation:
            self._retired.append(self._incarnation)
        received, confirmed = self._place(asked)
        if received != self._received or asked.stream != self._stream:
            self._forget_pieces()
        self._early.clear()
        self._stream, self._incarnation, self._session = asked.stream, asked.incarnation, self._pending[1]
        self._received, self._confirmed = received, confirmed
        self._told = self._up_to = received + self._credit()
        self._pending = None
        self.oversized = False

    def _lift(self, confirmed: int) -> None:
        """Skip what the producer knows to be handled: an earlier life of this consumer has done it."""
        self._confirmed = max(self._confirmed, confirmed)
        if confirmed > self._received:
            self._received = confirmed
            self._forget_pieces()
            self._early = {number: part for number, part in self._early.items() if number > confirmed}

    def _fits(self, part: Part) -> bool:
        self.oversized = part.encoded and self._size + len(part.payload) > self._max_size
        return not self.oversized

    def _take(self, part: Part) -> None:
        self._received = part.sequence
        self._pieces.append(part)
        self._size += len(part.payload) if part.encoded else 0
        if part.last:
            payload = b"".join(each.payload for each in self._pieces) if part.encoded else part.payload
            parts = len(self._pieces)
            self._ready.append(Arrived(self._stream, part.sequence, parts, payload, part.encoded))
            self._waiting += parts
            self._forget_pieces()

    def _forget_pieces(self) -> None:
        self._pieces.clear()
        self._size = 0
