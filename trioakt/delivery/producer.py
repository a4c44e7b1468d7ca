"""The producer of a stream to one consumer, which gets every message once and in order."""

from __future__ import annotations

import math
from collections import deque
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs

from trioakt.codec import Codec
from trioakt.delivery.intake import Intake, ProducerRef, Terms
from trioakt.delivery.line import Entry
from trioakt.delivery.protocol import Grant, Lost, Superseded, tell
from trioakt.delivery.queue import DurableQueue
from trioakt.delivery.queue_file import Backlog
from trioakt.delivery.window import Outbox
from trioakt.lowlevel import Actor, ActorRef, Spawner, message
from trioakt.supervision import Backoff

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext

RESEND = Backoff(initial=0.5, maximum=10.0)
"""How long a producer waits without news before it asks its consumer what has arrived."""


@message
class Redirect:
    """Deliver to another consumer from now on."""

    to: ActorRef


@attrs.define
class _Course:
    """Where a producer delivers to; it outlives a restart of the producer."""

    to: ActorRef[Any] = attrs.field(validator=attrs.validators.instance_of(ActorRef))


class _Producer(Intake):
    def __init__(self, terms: Terms, course: _Course) -> None:
        super().__init__(terms)
        self._course = course
        self._stream = token_hex(8)  # a token names one life in the world: it must not repeat with a seed
        self._outbox = self._new_outbox(0)
        self._under_way: deque[tuple[int, Entry]] = deque()

    def _new_outbox(self, confirmed: int) -> Outbox:
        producer_id, incarnation = self.terms.producer_id, token_hex(8)
        return Outbox(producer_id, self._stream, incarnation, self._delay, confirmed=confirmed)

    def _delay(self, silence: int) -> float:
        return self.terms.resend.delay(silence, self.ctx.system.settings.rng)

    def resume(self, backlog: Backlog) -> None:
        self._stream = backlog.stream
        self._outbox = self._new_outbox(backlog.messages[0].number - 1 if backlog.messages else backlog.last)
        super().resume(backlog)

    def room(self) -> int:
        return self._outbox.room

    def size_limit(self) -> int:
        return self._outbox.max_size

    def place(self, entry: Entry) -> None:
        if entry.number != self._outbox.last + 1:
            raise RuntimeError(f"message {entry.number} does not follow {self._outbox.last}")
        self._under_way.append((self._outbox.accept(entry.pieces()), entry))

    def hear(self, ctx: CoreContext, msg: Any) -> bool:
        match msg:
            case Grant() | Lost() | Superseded():
                self._outbox.hear(msg)
                self.next_number = max(self.next_number, self._outbox.last + 1)
                while self._under_way and self._under_way[0][0] <= self._outbox.confirmed:
                    self.confirmed(self._under_way.popleft()[1])
                if self._outbox.superseded:
                    self.superseded()
            case Redirect(to):
                self._course.to = to
                self._outbox.reopen()
            case _:
                return False
        return True

    def send_due(self, now: float) -> float:
        if not self._course.to.is_alive:  # until it is redirected
            return math.inf
        for each in self._outbox.transmit(now):
            tell(self.ctx, self._course.to, each)
        return self._outbox.next_at


class StreamProducerRef(ProducerRef):
    """The ref of a producer with one consumer."""

    __slots__ = ()

    def redirect(self, to: ActorRef[Any]) -> None:
        """Deliver to another consumer from now on, one that takes the place of the first.

        What the first one has handled without having told so is delivered to the other one too.
        """
        self.tell(Redirect(to))


async def spawn_producer(
    spawner: Spawner,
    producer_id: str,
    *,
    to: ActorRef[Any],
    queue: DurableQueue | None = None,
    codec: Codec | None = None,
    chunk_size: int | None = None,
    buffer: int = 1000,
    resend: Backoff = RESEND,
    name: str | None = None,
) -> StreamProducerRef:
    """Start a producer: an actor that delivers what it is given to a consumer, each message once and in order.

    Args:
        spawner: A system or a context: the parent.
        producer_id: Names the producer to its consumer, which knows what it has had from it; one at a time has it.
        to: The consumer, from ``spawn_consumer``.
        queue: Keeps what was accepted until it is confirmed, across the death of the process.
        codec: Encodes, where there is a queue or a chunk size.
        chunk_size: Bytes; larger messages travel in parts of this size. Without it, each travels whole.
        buffer: Messages that were told and may wait for demand.
        resend: Seconds without news after which the consumer is asked what has arrived; what has not is sent again.
        name: Of the actor; without one, a name is made.

    Raises:
        StartError: The queue has a producer of this name already, or fails (the cause).
        NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
    """
    terms = terms_of(producer_id, queue, codec, chunk_size, buffer, resend)
    course = _Course(to)

    def producer() -> Actor:
        return _Producer(terms, course)

    return StreamProducerRef((await spawner.spawn(producer, name=name)).recipient)


def terms_of(
    producer_id: str,
    queue: DurableQueue | None,
    codec: Codec | None,
    chunk_size: int | None,
    buffer: int,
    resend: Backoff,
) -> Terms:
    """Check how a producer shall work; it has a codec only where it encodes."""
    encodes = queue is not None or chunk_size is not None
    return Terms(
        producer_id=producer_id,
        queue=queue,
        codec=(codec or Codec()) if encodes else None,
        chunk_size=chunk_size,
        buffer=buffer,
        resend=resend,
    )
