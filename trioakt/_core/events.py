"""What happens in an actor system, as frozen values, and the stream that hands them out; it knows no logs."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import trio

from trioakt._core.message import TerminationCause
from trioakt._core.signals import Unwatch, Watch
from trioakt.errors import MailboxFullError
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef

T = TypeVar("T")


class DeadLetterReason(enum.Enum):
    """Why a message was not handled."""

    STOPPED = "stopped"
    NEVER_EXISTED = "never existed"
    MAILBOX_FULL = "mailbox full"
    UNHANDLED = "unhandled"
    STASH_FULL = "stash full"
    NO_ASKER = "no asker"
    ASKER_GONE = "asker gone"
    DECODE_FAILED = "decode failed"
    NOT_ENCODED = "not encoded"
    LINK_LOST = "link lost"
    NODE_GONE = "node gone"


@attrs.frozen
class Event:
    """Something that happened to the actor ``ref`` at ``at`` seconds on Trio's clock."""

    ref: ActorRef
    at: float


@attrs.frozen
class ActorStarted(Event):
    """An actor has started: its ``pre_start`` is done."""


@attrs.frozen
class ActorStopped(Event):
    """An actor has ended."""

    cause: TerminationCause


@attrs.frozen
class ActorFailed(Event):
    """An actor's handler, hook or task has raised."""

    failure: Failure


@attrs.frozen
class ActorRestarted(Event):
    """An actor runs again, with a new instance; ``restarts`` counts those of this ref."""

    failure: Failure
    restarts: int


@attrs.frozen
class ActorSuspended(Event):
    """An actor handles nothing until it is reinstated."""

    failure: Failure


@attrs.frozen
class ActorReinstated(Event):
    """A suspended actor goes on."""


@attrs.frozen
class ActorPassivated(Event):
    """An actor was stopped because it was idle or had done its share."""


@attrs.frozen
class MailboxHigh(Event):
    """An unbounded mailbox has passed 10,000 messages or a doubling of that."""

    depth: int


@attrs.frozen
class ShutdownHookFailed(Event):
    """A hook of the coordinated shutdown raised or took too long, after its retries."""

    hook: str
    failure: Failure


@attrs.frozen
class DeadLetter(Event):
    """A message that no handler took; ``ref`` is its recipient."""

    message: Any
    sender: ActorRef | None
    reason: DeadLetterReason

    @property
    def recipient(self) -> ActorRef:
        """Whom it was meant for."""
        return self.ref


@attrs.frozen
class Missed:
    """Stands in a stream for the ``count`` values that its slow reader lost."""

    count: int


class Subscription(Generic[T]):
    """A bounded stream of values for one reader; the oldest are dropped when the reader is slow.

    Iterate with ``async for``; the iteration ends when the publisher closes. Reading is cancellable and loses nothing.
    """

    def __init__(self, buffer: int) -> None:
        if buffer < 1:
            raise ValueError(f"a buffer holds at least 1 value, got {buffer}")
        self._values: deque[T] = deque()
        self._buffer = buffer
        self._missed = 0
        self.dropped = 0
        """Values lost so far because the reader was slow."""
        self._closed = False
        self._readers = trio.lowlevel.ParkingLot()

    def offer(self, value: T) -> None:
        """Put a value in, dropping the oldest one when the buffer is full."""
        if len(self._values) == self._buffer:
            self._values.popleft()
            self._missed += 1
            self.dropped += 1
        self._values.append(value)
        self._readers.unpark()

    def close(self) -> None:
        """End the iteration after what is buffered."""
        self._closed = True
        self._readers.unpark_all()

    def __aiter__(self) -> AsyncIterator[T | Missed]:
        """Return the iterator."""
        return self

    async def __anext__(self) -> T | Missed:
        """Return the next value, or ``Missed`` in place of lost ones."""
        await trio.lowlevel.checkpoint()
        while not self._values:
            if self._closed:
                raise StopAsyncIteration
            await self._readers.park()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        return self._values.popleft()


class EventStream:
    """Hands each event to those who subscribed to its class; publishing never waits."""

    def __init__(self) -> None:
        self._sinks: dict[object, tuple[Callable[[Event], None], tuple[type, ...]]] = {}
        self._wanted: dict[type, bool] = {}
        self._streams: set[Subscription[Any]] = set()
        self.lost = 0
        """Events that a subscribed actor's full mailbox has rejected."""

    @asynccontextmanager
    async def subscribe(self, *kinds: type[Any], buffer: int = 10_000) -> AsyncGenerator[Subscription[Any]]:
        """Subscribe a task: ``async with system.events.subscribe(DeadLetter) as events: async for event in events``.

        Args:
            *kinds: Event classes, subclasses included; none means all.
            buffer: Events kept for a slow reader; beyond it the oldest make way and ``Missed(count)`` tells so.
        """
        subscription = Subscription[Any](buffer)
        await trio.lowlevel.checkpoint()
        self._add(subscription, subscription.offer, kinds)
        self._streams.add(subscription)
        try:
            yield subscription
        finally:
            self._streams.discard(subscription)
            self._remove(subscription)
            subscription.close()

    def subscribe_ref(self, ref: ActorRef, *kinds: type[Any]) -> None:
        """Tell events to an actor, until it ends or ``unsubscribe_ref``."""

        def tell(event: Event) -> None:
            if not ref.is_alive:
                self.unsubscribe_ref(ref)
                return
            try:
                ref.tell(event)
            except MailboxFullError:  # its own mailbox says that it may lose events; whoever published is not to blame
                self.lost += 1

        ref.recipient.signal(Watch(self))
        if ref.is_alive:
            self._add(ref, tell, kinds)

    def unsubscribe_ref(self, ref: ActorRef) -> None:
        """Tell no more events to this actor."""
        self._remove(ref)
        ref.recipient.signal(Unwatch(self))

    def terminated(self, ref: ActorRef, cause: TerminationCause) -> None:
        """Hear that a subscribed actor has ended; the kernel calls this."""
        self._remove(ref)

    @contextmanager
    def listen(self, function: Callable[[Any], None], *kinds: type[Any]) -> Generator[None]:
        """Call a plain function with each event at once, while the block lasts; it must be quick and must not raise."""
        key = object()
        self._add(key, function, kinds)
        try:
            yield
        finally:
            self._remove(key)

    def wants(self, kind: type[Event]) -> bool:
        """Return whether anybody would get an event of this class, so that it need not be made for nobody."""
        if not self._sinks:
            return False
        wanted = self._wanted.get(kind)
        if wanted is None:
            wanted = self._wanted[kind] = any(issubclass(kind, kinds) for _, kinds in self._sinks.values())
        return wanted

    def publish(self, event: Event) -> None:
        """Hand an event to its subscribers now."""
        for sink, kinds in tuple(self._sinks.values()):
            if isinstance(event, kinds):
                sink(event)

    def close(self) -> None:
        """End all subscriptions."""
        for stream in tuple(self._streams):
            stream.close()
        self._sinks.clear()
        self._wanted.clear()

    def _add(self, key: object, sink: Callable[[Any], None], kinds: tuple[type, ...]) -> None:
        for kind in kinds:
            if not isinstance(kind, type):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"subscribe to event classes, got {kind!r}")
        self._sinks[key] = (sink, kinds or (object,))
        self._wanted.clear()

    def _remove(self, key: object) -> None:
        self._sinks.pop(key, None)
        self._wanted.clear()
