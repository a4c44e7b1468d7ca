"""What a mailbox is, and the unbounded one; a mailbox keeps envelopes and knows neither actors nor Trio."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import attrs

from trioakt._core.message import Envelope

if TYPE_CHECKING:
    EnvelopeDeque = deque[Envelope]
else:
    EnvelopeDeque = deque


class Mailbox(Protocol):
    """A queue of envelopes with a policy; the signal lane is the cell's own and never comes here."""

    @property
    def full(self) -> bool:
        """Whether ``send`` has to wait for room now."""
        ...

    def put(self, envelope: Envelope) -> Envelope | None:
        """Take an envelope in, and return the one that had to go for it, if one had to (maybe the same one).

        Raises:
            trio.WouldBlock: There is no room, and the policy is to tell the sender.
        """
        ...

    def put_notice(self, envelope: Envelope) -> None:
        """Take an envelope in whatever the bounds; it is served after everything that is waiting now."""
        ...

    def get(self) -> Envelope:
        """Take the next envelope out; only called when there is one."""
        ...

    def __len__(self) -> int:
        """Return how many envelopes wait."""
        ...


class UnboundedQueue(EnvelopeDeque):
    """First in, first out, without a bound: a deque under the names of the protocol, at the speed of C."""

    __slots__ = ()

    full = False
    if TYPE_CHECKING:

        def put(self, envelope: Envelope) -> None: ...
        def put_notice(self, envelope: Envelope) -> None: ...
        def get(self) -> Envelope: ...
    else:
        put = put_notice = deque.append
        get = deque.popleft


NO_MAIL: Mailbox = UnboundedQueue()
"""Stands, always empty, for the queue of an actor that has had no message since it last rested."""


@attrs.frozen
class Unbounded:
    """A mailbox without a bound, first in, first out."""

    def __call__(self) -> UnboundedQueue:
        """Make the queue for one actor."""
        return UnboundedQueue()
