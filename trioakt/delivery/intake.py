"""What every producer does with the messages it is given: encode, line up until there is demand, store, accept.

It knows neither streams nor workers: where an accepted message goes is for those who build on it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.codec import Codec
from trioakt.delivery.line import Call, Entry, Line, Mark
from trioakt.delivery.queue import DurableQueue
from trioakt.delivery.queue_file import Append, Backlog, Change, Forget, Stored
from trioakt.errors import CodecError, DeliveryError, MessageTooLargeError, QueueError, SupersededError
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


def _named(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, got {value!r}")
    if not value:
        raise ValueError(f"{attribute.name} must not be empty")


def _takes_time(instance: object, attribute: attrs.Attribute[Backoff], value: Backoff) -> None:
    if not value.initial > 0:
        raise ValueError(f"{attribute.name} must wait at first, got initial={value.initial!r}")


@attrs.frozen(kw_only=True)
class Terms:
    """How a producer works; checked."""

    producer_id: str = attrs.field(validator=_named)
    queue: DurableQueue | None
    codec: Codec | None
    chunk_size: int | None = attrs.field(validator=attrs.validators.optional(attrs.validators.ge(1)))
    buffer: int = attrs.field(validator=attrs.validators.ge(0))
    resend: Backoff = attrs.field(validator=_takes_time)

    def entry(self, message: Any, sender: ActorRef | None, reply_to: ReplyTo | None, *, early: bool) -> Entry:
        """Make an entry of a message.

        Raises:
            CodecError: It has to be encoded, and cannot be.
        """
        data = None if self.codec is None else self.codec.encode(message)
        return Entry(reply_to, message, sender, data, self.chunk_size or 0, early)


class Intake(Actor):
    """The actor behind a producer's ref, as far as it does not matter how many consumers there are."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.ctx: CoreContext
        self.changed = trio.Event()
        """Set when there is something to do."""
        self.next_number = 1
        self._line = Line()
        self._storing: list[Entry] = []
        """What is being accepted at this moment."""
        self._open: dict[int, Entry] = {}
        """What is accepted and not confirmed, by its number."""
        self._done: list[int] = []
        """Numbers that are to be deleted from the queue."""
        self._marks: list[Mark] = []

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
            entry = Entry(None, data=stored.data, chunk=stored.chunk, number=stored.number)
            self._open[entry.number] = entry
            self.place(entry)

    def receive(self, ctx: CoreContext, msg: Any) -> Awaitable[None] | None:
        """Take in what is to be delivered, and what consumers say."""
        match msg:
            case Accept(inner):
                self._line_up(ctx, inner, early=True)
            case Flush() if ctx.asked:
                self._line.join(Mark(ctx.reply_to))
            case Demand() if ctx.asked:
                self._line.join(Call(ctx.reply_to))
            case _ if not self.hear(ctx, msg):
                self._line_up(ctx, msg, early=False)
            case _:
                pass
        self.changed.set()
        return None

    async def post_stop(self, ctx: CoreContext) -> None:
        """Delete what is confirmed from the queue, and make dead letters of what is not delivered and in no queue."""
        await self._store([])
        told = [each for each in self._line if isinstance(each, Entry) and each.reply_to is None]
        for entry in (*self._open.values(), *told):
            if self.terms.queue is None or not entry.number:
                ctx.system.dead_letter(entry.message, entry.sender, ctx.self, DeadLetterReason.STOPPED)

    def confirmed(self, entry: Entry) -> None:
        """Note that a message has been handled."""
        del self._open[entry.number]
        if self.terms.queue is not None:
            self._done.append(entry.number)
        entry.answer()
        self._look_at_marks()

    def superseded(self) -> None:
        """End: another producer has this name."""
        path = self.ctx.self.path
        error = SupersededError(f"another producer {self.terms.producer_id!r} has taken over from {path}", path)
        _log.error("%s", error)
        for each in (*self._line, *self._storing, *self._open.values(), *self._marks):
            each.fail(error)
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
        if not ctx.asked and self._line.told >= self.terms.buffer:
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
        self._line.join(entry)

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
            entry.answer()
        self.place(entry)

    def _take_from_line(self) -> None:
        """Take out of the line what is in demand, and number it."""
        room = self.room()
        while (waiting := self._line.next(demand=room > 0)) is not None:
            match waiting:
                case Mark():
                    waiting.before = self.next_number
                    self._marks.append(waiting)
                case Entry(data=data) if data is not None and len(data) > self.size_limit():
                    text = f"{len(data)} bytes are more than the {self.size_limit()} that the consumer takes"
                    self._refuse(waiting, MessageTooLargeError(text, self.ctx.self.path))
                case Entry():
                    waiting.number = self.next_number
                    self.next_number += waiting.parts
                    room -= waiting.parts
                    self._storing.append(waiting)
                case _:
                    waiting.answer()

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
        for mark in self._marks:
            if mark.before <= oldest:
                mark.answer()
        self._marks = [mark for mark in self._marks if mark.before > oldest and not mark.given_up]

    def _refuse(self, entry: Entry, error: DeliveryError) -> None:
        if entry.reply_to is None:
            _log.error("%s did not accept what it was told: %s", self.ctx.self.path, error)
            ctx = self.ctx
            ctx.system.dead_letter(entry.message, entry.sender, ctx.self, DeadLetterReason.MAILBOX_FULL)
        else:
            entry.fail(error)


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
