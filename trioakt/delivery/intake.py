"""What every producer does with the messages it is given: encode, line up until there is demand, store, accept.

It knows neither streams nor workers: where an accepted message goes is for those who build on it.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.codec import Codec
from trioakt.delivery.errors import MessageTooLargeError, QueueError, SupersededError
from trioakt.delivery.protocol import Piece
from trioakt.delivery.queue import DurableQueue
from trioakt.delivery.queue_file import Append, Backlog, Change, Forget, Stored
from trioakt.errors import CodecError, DeliveryError
from trioakt.lowlevel import Actor, ActorRef, DeadLetterReason, PoisonPill, Request, message
from trioakt.supervision import Backoff

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext, ReplyTo

_log = logging.getLogger("trioakt")


@message
class Accept(Request[None]):
    """Accept a message, and answer when that is done."""

    message: Any


@message
class Flush(Request[None]):
    """Answer when all is confirmed that was given to the producer before this."""


@message
class Demand(Request[None]):
    """Answer when another message would be accepted at once."""


@attrs.define(eq=False)
class Entry:
    """A message on its way through a producer.

    Attributes:
        message: What it is, until a file keeps it.
        data: It, encoded, where that is needed.
        chunk: Bytes of each of its parts; 0: it travels whole.
        sender: Who told it.
        reply_to: Who waits.
        early: Whether for the acceptance alone.
        number: Of its first part, once there is demand for it.
    """

    message: Any
    data: bytes | None
    chunk: int
    sender: ActorRef | None = None
    reply_to: ReplyTo | None = None
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


def _named(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, got {value!r}")
    if not value:
        raise ValueError(f"{attribute.name} must not be empty")


@attrs.frozen(kw_only=True)
class Terms:
    """How a producer works; checked."""

    producer_id: str = attrs.field(validator=_named)
    queue: DurableQueue | None
    codec: Codec | None
    chunk_size: int | None = attrs.field(validator=attrs.validators.optional(attrs.validators.ge(1)))
    buffer: int = attrs.field(validator=attrs.validators.ge(0))
    resend: Backoff

    def entry(self, message: Any, sender: ActorRef | None, reply_to: ReplyTo | None, *, early: bool) -> Entry:
        """Make an entry of a message.

        Raises:
            CodecError: It has to be encoded, and cannot be.
        """
        data = None if self.codec is None else self.codec.encode(message)
        return Entry(message, data, self.chunk_size or 0, sender, reply_to, early)


class Intake(Actor):
    """The actor behind a producer's ref, as far as it does not matter how many consumers there are."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.ctx: CoreContext
        self.changed = trio.Event()
        """Set when there is something to do."""
        self.next_number = 1
        self._line: deque[Entry | _Mark | _Call] = deque()
        """What waits for demand, in the order it came."""
        self._told = 0
        self._storing: list[Entry] = []
        """What is being accepted at this moment."""
        self._open: dict[int, Entry] = {}
        """What is accepted and not confirmed, by its number."""
        self._done: list[int] = []
        """Numbers that are to be deleted from the queue."""
        self._marks: list[_Mark] = []

    # ----------------------------------------------------- what a kind of producer adds

    def room(self) -> int:
        """Return how many more parts are in demand."""
        raise NotImplementedError

    def size_limit(self) -> float:
        """Return how many bytes the largest encoded message may have now."""
        raise NotImplementedError

    def place(self, entry: Entry) -> None:
        """Send an accepted message on its way."""
        raise NotImplementedError

    def hear(self, ctx: CoreContext, msg: Any) -> bool:
        """Take a message of the protocol in; false when it is none."""
        raise NotImplementedError

    def send_due(self, now: float) -> float:
        """Send what is due, and return when there will be more to send."""
        raise NotImplementedError

    # -------------------------------------------------------------------------- the actor

    async def pre_start(self, ctx: CoreContext) -> None:
        """Take up what the queue has, and begin to work."""
        self.ctx = ctx
        if self.terms.queue is not None:
            self.resume(await ctx.enter(self.terms.queue.attach(self.terms.producer_id)))
        ctx.nursery.start_soon(self._run, name=f"producer {self.terms.producer_id}")

    def resume(self, backlog: Backlog) -> None:
        """Take up what was accepted in an earlier life."""
        self.next_number = backlog.last + 1
        for stored in backlog.messages:
            entry = Entry(None, stored.data, stored.chunk, number=stored.number)
            self._open[entry.number] = entry
            self.place(entry)

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        """Take in what is to be delivered, and what consumers say."""
        match msg:
            case Accept(inner):
                self._line_up(ctx, inner, early=True)
            case Flush() if ctx.asked:
                self._line.append(_Mark(ctx.reply_to))
            case Demand() if ctx.asked:
                self._line.append(_Call(ctx.reply_to))
            case _ if not self.hear(ctx, msg):
                self._line_up(ctx, msg, early=False)
            case _:
                pass
        self.changed.set()
        return None

    async def post_stop(self, ctx: CoreContext) -> None:
        """Delete what is confirmed from the queue, and make dead letters of what is not delivered and in no queue."""
        await self._store([])
        left = [*self._open.values(), *(each for each in self._line if isinstance(each, Entry) and not each.reply_to)]
        for entry in left:
            if self.terms.queue is None or not entry.number:
                ctx.system.dead_letter(entry.message, entry.sender, ctx.self, DeadLetterReason.STOPPED)

    def confirmed(self, entry: Entry) -> None:
        """Note that a message has been handled."""
        del self._open[entry.number]
        if self.terms.queue is not None:
            self._done.append(entry.number)
        _answer(entry)
        self._look_at_marks()

    def superseded(self) -> None:
        """End: another producer has this name."""
        path = self.ctx.self.path
        error = SupersededError(f"another producer {self.terms.producer_id!r} has taken over from {path}", path)
        _log.error("%s", error)
        for each in (*self._line, *self._open.values(), *self._marks):
            if each.reply_to is not None:
                each.reply_to.end(error)
        self.ctx.stop()

    # ------------------------------------------------------------------- from line to place

    async def _run(self) -> None:
        while True:
            self.changed = trio.Event()
            await self._accept()
            due = self.send_due(trio.current_time())
            with trio.move_on_at(due):
                await self.changed.wait()

    def _line_up(self, ctx: CoreContext, inner: Any, *, early: bool) -> None:
        if not ctx.asked and self._told >= self.terms.buffer:
            ctx.system.dead_letter(inner, ctx.sender, ctx.self, DeadLetterReason.MAILBOX_FULL)
            return
        try:
            entry = self.terms.entry(inner, ctx.sender, ctx.reply_to if ctx.asked else None, early=early)
        except CodecError as error:
            if ctx.asked:
                ctx.reply_to.end(error)
            else:
                _log.error("%s cannot encode what it was told: %s", ctx.self.path, error)
                ctx.unhandled()
            return
        self._told += not ctx.asked
        self._line.append(entry)

    async def _accept(self) -> None:
        """Accept what is in demand; where there is a queue, nothing counts before it is in there."""
        self._take_from_line()
        batch = self._storing
        error = await self._store(batch)
        if error is not None:
            self.next_number = batch[0].number
        for entry in batch:
            if error is not None:  # there may be room for some of them
                entry.number = self.next_number
                refusal = await self._store([entry])
                if refusal is not None:
                    self._refuse(entry, refusal)
                    continue
                self.next_number += entry.parts
            self._accepted(entry)
        self._storing = []
        self._look_at_marks()

    def _accepted(self, entry: Entry) -> None:
        self._open[entry.number] = entry
        if self.terms.queue is not None:
            entry.message = None
        if entry.early:
            _answer(entry)
        self.place(entry)

    def _take_from_line(self) -> None:
        """Take out of the line what is in demand, and number it."""
        room = self.room()
        while self._line and (room > 0 or isinstance(self._line[0], _Mark)):
            entry = self._line.popleft()
            if isinstance(entry, _Mark):
                entry.before = self.next_number
                self._marks.append(entry)
                continue
            if isinstance(entry, _Call):
                _answer(entry)
                continue
            self._told -= entry.reply_to is None
            if entry.reply_to is not None and entry.reply_to.asker_gone:
                continue
            if entry.data is not None and len(entry.data) > self.size_limit():
                text = f"{len(entry.data)} bytes are more than the {self.size_limit()} that the consumer takes"
                self._refuse(entry, MessageTooLargeError(text, self.ctx.self.path))
                continue
            entry.number = self.next_number
            self.next_number += entry.parts
            room -= entry.parts
            self._storing.append(entry)

    async def _store(self, batch: list[Entry]) -> DeliveryError | None:
        queue, producer_id = self.terms.queue, self.terms.producer_id
        if queue is None or not (batch or self._done):
            return None
        done, self._done = self._done, []
        changes: list[Change] = [Forget(producer_id, done)] if done else []
        if batch:
            messages = [Stored(entry.number, entry.chunk, entry.data or b"") for entry in batch]
            changes.append(Append(producer_id, messages, batch[-1].number + batch[-1].parts - 1))
        outcomes: list[QueueError | None] = []
        try:
            with trio.CancelScope(shield=True):  # a second at most; then it is known what is stored
                outcomes = await queue.write(changes)
        except QueueError as error:
            outcomes = [error] * len(changes)
        if done and outcomes[0] is not None:
            self._done += done
        return outcomes[-1] if batch else None

    def _look_at_marks(self) -> None:
        """Answer those who wait until all is confirmed that came before them."""
        if not self._marks:
            return
        oldest = min([*self._open, *(entry.number for entry in self._storing)], default=math.inf)
        for mark in [each for each in self._marks if each.before <= oldest]:
            self._marks.remove(mark)
            _answer(mark)

    def _refuse(self, entry: Entry, error: DeliveryError) -> None:
        if entry.reply_to is None:
            _log.error("%s did not accept what it was told: %s", self.ctx.self.path, error)
            ctx = self.ctx
            ctx.system.dead_letter(entry.message, entry.sender, ctx.self, DeadLetterReason.MAILBOX_FULL)
        else:
            entry.reply_to.end(error)


@attrs.define(eq=False)
class _Mark:
    """A place in the line: someone waits until all that was before it is confirmed."""

    reply_to: ReplyTo | None
    before: int = 0


@attrs.define(eq=False)
class _Call:
    """A place in the line: someone waits until a message in this place would be accepted."""

    reply_to: ReplyTo | None


def _answer(waiting: Entry | _Mark | _Call) -> None:
    reply_to, waiting.reply_to = waiting.reply_to, None
    if reply_to is not None and not reply_to.asker_gone:
        reply_to.reply(None)


class ProducerRef(ActorRef[Any]):
    """The ref of a producer. What it is told, sent or asked to deliver is delivered reliably, in this order.

    ``tell(message)`` never waits: what is not in demand yet waits in the producer, and beyond ``buffer`` it becomes a
    dead letter. ``stop()`` ends the producer; what is not confirmed stays in its queue, or becomes dead letters.
    """

    __slots__ = ()

    async def send(self, message: Any, sender: ActorRef[Any] | None = None) -> None:
        """Wait until the message is in demand and accepted; with a durable queue, until it is on the disk.

        When cancelled, it is not accepted, unless it is being stored at this moment.

        Raises:
            CodecError: It has to be encoded, and cannot be.
            MessageTooLargeError: It is larger than the consumer takes.
            QueueError, QueueFullError: It cannot be stored.
            SupersededError: Another producer has taken over.
            ActorStoppedError: The producer has ended.
        """
        if message.__class__ is PoisonPill:
            await super().send(message)
        else:
            await self.ask(Accept(message))

    async def deliver(self, message: Any) -> None:
        """Send a message, and wait until it has been handled. When cancelled, it is delivered all the same.

        Raises:
            CodecError, MessageTooLargeError, QueueError, ...: As ``send``.
        """
        await self.ask(message)

    async def wait_demand(self) -> None:
        """Wait until another message would be accepted at once, as long as nobody else sends one meanwhile.

        Raises:
            SupersededError, ActorStoppedError: As ``send``.
        """
        await self.ask(Demand())

    async def wait_confirmed(self) -> None:
        """Wait until all is handled that this producer was given so far.

        Raises:
            SupersededError, ActorStoppedError: As ``send``.
        """
        await self.ask(Flush())
