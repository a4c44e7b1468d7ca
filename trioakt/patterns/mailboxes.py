"""Mailboxes with a policy: bounded, by priority, and fair to each sender; give one to ``spawn(mailbox=...)``."""

from __future__ import annotations

import enum
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.lowlevel import Envelope

if TYPE_CHECKING:
    from trioakt.lowlevel import ActorRef


class Overflow(enum.Enum):
    """What a full mailbox does with a message that is told; ``send`` waits whatever the policy."""

    REJECT = "reject"
    """``tell`` raises ``MailboxFullError``."""
    DROP_NEWEST = "drop newest"
    """The message that is told becomes a dead letter."""
    DROP_OLDEST = "drop oldest"
    """The message that has waited longest becomes a dead letter."""


def _capacity(instance: object, attribute: attrs.Attribute[int], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{type(instance).__name__}: {attribute.name} must be at least 1 message, got {value!r}")


@attrs.frozen
class Bounded:
    """First in, first out, for at most ``capacity`` messages.

    Attributes:
        capacity: Messages that may wait.
        overflow: What becomes of a message told beyond that.
    """

    capacity: int = attrs.field(validator=_capacity)
    overflow: Overflow = attrs.field(default=Overflow.REJECT, validator=attrs.validators.instance_of(Overflow))

    def __call__(self) -> BoundedQueue:
        """Make the queue for one actor."""
        return BoundedQueue(self.capacity, self.overflow)


@attrs.frozen
class Priority:
    """The message with the smallest key first, equal keys in order of arrival.

    Attributes:
        key: A function of the message; what it returns is compared with ``<``. When it raises, so does ``tell``.
        capacity: Messages that may wait; beyond that ``tell`` raises ``MailboxFullError``. ``None``: no limit.
    """

    key: Callable[[Any], Any] = attrs.field(validator=attrs.validators.is_callable())
    capacity: int | None = attrs.field(default=None, validator=_capacity)

    def __call__(self) -> PriorityQueue:
        """Make the queue for one actor."""
        return PriorityQueue(self.key, self.capacity)


@attrs.frozen
class Fair:
    """The senders take turns, one message each; those of one sender stay in order. Unbounded.

    Messages without a sender share one turn.
    """

    def __call__(self) -> FairQueue:
        """Make the queue for one actor."""
        return FairQueue()


class BoundedQueue:
    """The queue of ``Bounded``; notices of the toolkit have their place in it but do not count."""

    __slots__ = ("_capacity", "_messages", "_overflow", "_places")

    def __init__(self, capacity: int, overflow: Overflow) -> None:
        self._capacity = capacity
        self._overflow = overflow
        self._places: deque[tuple[Envelope, bool]] = deque()
        self._messages = 0

    @property
    def full(self) -> bool:
        """Whether ``send`` has to wait."""
        return self._messages >= self._capacity

    def put(self, envelope: Envelope) -> Envelope | None:
        """Take an envelope in, or return the one that had to go.

        Raises:
            trio.WouldBlock: It is full and rejects.
        """
        dropped = None
        if self.full:
            if self._overflow is Overflow.REJECT:
                raise trio.WouldBlock
            if self._overflow is Overflow.DROP_NEWEST:
                return envelope
            oldest = next(place for place, (_, counts) in enumerate(self._places) if counts)
            dropped, _ = self._places[oldest]
            del self._places[oldest]
            self._messages -= 1
        self._places.append((envelope, True))
        self._messages += 1
        return dropped

    def put_notice(self, envelope: Envelope) -> None:
        """Take a notice in, whatever the bound."""
        self._places.append((envelope, False))

    def get(self) -> Envelope:
        """Take the oldest envelope out."""
        envelope, counts = self._places.popleft()
        self._messages -= counts
        return envelope

    def __len__(self) -> int:
        return len(self._places)


class _Notices:
    """Notices beside a queue that is not in order of arrival: each is due when all that came before it has left."""

    __slots__ = ("_arrivals", "_next", "_notices")

    def __init__(self) -> None:
        self._next = 0
        self._arrivals: OrderedDict[int, None] = OrderedDict()
        self._notices: deque[tuple[int, Envelope]] = deque()

    def arrive(self) -> int:
        """Number a message that comes in."""
        number, self._next = self._next, self._next + 1
        self._arrivals[number] = None
        return number

    def leave(self, number: int) -> None:
        """Note that a message has left the queue."""
        del self._arrivals[number]

    def put(self, envelope: Envelope) -> None:
        """Take a notice in."""
        self._notices.append((self._next, envelope))

    def due(self) -> Envelope | None:
        """Take out the notice that is due, if one is."""
        if not self._notices:
            return None
        number, envelope = self._notices[0]
        if self._arrivals and next(iter(self._arrivals)) < number:
            return None
        self._notices.popleft()
        return envelope

    def __len__(self) -> int:
        return len(self._notices)


class PriorityQueue:
    """The queue of ``Priority``: a heap, kept stable by the number of arrival."""

    __slots__ = ("_capacity", "_heap", "_key", "_notices")

    def __init__(self, key: Callable[[Any], Any], capacity: int | None) -> None:
        self._key = key
        self._capacity = capacity
        self._heap: list[tuple[Any, int, Envelope]] = []
        self._notices = _Notices()

    @property
    def full(self) -> bool:
        """Whether ``send`` has to wait."""
        return self._capacity is not None and len(self._heap) >= self._capacity

    def put(self, envelope: Envelope) -> None:
        """Take an envelope in.

        Raises:
            trio.WouldBlock: It is full.
        """
        if self.full:
            raise trio.WouldBlock
        entry = (self._key(envelope.message), self._notices.arrive(), envelope)
        try:
            heapq.heappush(self._heap, entry)
        except BaseException:  # keys that cannot be compared: the sender is told, and the queue stays sound
            self._heap = [each for each in self._heap if each is not entry]
            heapq.heapify(self._heap)
            self._notices.leave(entry[1])
            raise

    def put_notice(self, envelope: Envelope) -> None:
        """Take a notice in, whatever the bound."""
        self._notices.put(envelope)

    def get(self) -> Envelope:
        """Take the envelope with the smallest key out."""
        notice = self._notices.due()
        if notice is not None:
            return notice
        _, number, envelope = heapq.heappop(self._heap)
        self._notices.leave(number)
        return envelope

    def __len__(self) -> int:
        return len(self._heap) + len(self._notices)


class FairQueue:
    """The queue of ``Fair``: a lane for each sender that has something waiting, served in turn."""

    __slots__ = ("_lanes", "_messages", "_notices")

    full = False

    def __init__(self) -> None:
        self._lanes: OrderedDict[ActorRef | None, deque[tuple[int, Envelope]]] = OrderedDict()
        self._messages = 0
        self._notices = _Notices()

    def put(self, envelope: Envelope) -> None:
        """Take an envelope into the lane of its sender."""
        lane = self._lanes.setdefault(envelope.sender, deque())
        lane.append((self._notices.arrive(), envelope))
        self._messages += 1

    def put_notice(self, envelope: Envelope) -> None:
        """Take a notice in."""
        self._notices.put(envelope)

    def get(self) -> Envelope:
        """Take the oldest envelope of the sender whose turn it is out."""
        notice = self._notices.due()
        if notice is not None:
            return notice
        sender = next(iter(self._lanes))
        lane = self._lanes[sender]
        number, envelope = lane.popleft()
        if lane:
            self._lanes.move_to_end(sender)
        else:
            del self._lanes[sender]
        self._messages -= 1
        self._notices.leave(number)
        return envelope

    def __len__(self) -> int:
        return self._messages + len(self._notices)
