"""The consumer: takes streams in, hands each message to an actor until it is handled, and only then confirms it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.codec import Codec
from trioakt.delivery.protocol import Join, Lost, Open, Part, tell
from trioakt.delivery.window import Arrived, Inbox
from trioakt.errors import NoReplyError, UnhandledMessageError
from trioakt.lowlevel import Actor, ActorRef, Ask, Spawner, Terminated, passes_through
from trioakt.supervision import Backoff, Failure

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext

RETRY = Backoff(initial=0.1, maximum=10.0)
"""How long a consumer waits before it hands over a message again that was not handled."""

_LARGE = 256 * 1024
"""Bytes from which on a message is decoded in a thread."""
_CHANNELS = 10_000
"""Producers that a consumer remembers at least, the latest ones."""
_JOIN_EVERY = 5.0
"""Seconds after which a worker says again that it is there."""


@attrs.frozen
class Delivery:
    """A message with its place, for a consumer that keeps account of what it has done.

    Attributes:
        message: The message.
        producer_id: Whose it is.
        stream: What its number counts; with a durable queue it lives as long as the queue.
        sequence: Its number, which grows within a stream, not always by one.
    """

    message: Any
    producer_id: str
    stream: str
    sequence: int


@attrs.frozen(kw_only=True)
class _Terms:
    to: ActorRef[Any] = attrs.field(validator=attrs.validators.instance_of(ActorRef))
    source: ActorRef[Any] | None
    window: int = attrs.field(validator=attrs.validators.ge(1))
    max_size: int = attrs.field(validator=attrs.validators.ge(1))
    wrap: Callable[[Delivery], object] | None
    codec: Codec
    retry: Backoff


@attrs.define(eq=False)
class _Channel:
    """What comes from one producer."""

    producer_id: str
    inbox: Inbox
    producer: ActorRef | None = None
    busy: bool = False


class _Consumer(Actor):
    def __init__(self, terms: _Terms) -> None:
        self._terms = terms
        self._channels: OrderedDict[str, _Channel] = OrderedDict()

    def pre_start(self, ctx: CoreContext) -> None:
        ctx.watch(self._terms.to)
        ctx.nursery.start_soon(self._stay, ctx)

    def receive(self, ctx: CoreContext, msg: Any) -> None:
        match msg:
            case Open(producer_id):
                tell(ctx, ctx.sender, self._channel(producer_id).inbox.opened(msg))
            case Part(producer_id):
                self._take(ctx, self._channel(producer_id), msg)
            case Terminated():
                ctx.stop()
            case _:
                ctx.unhandled()

    def _channel(self, producer_id: str) -> _Channel:
        channel = self._channels.get(producer_id)
        if channel is None:
            inbox = Inbox(self._terms.window, self._terms.max_size, lambda: token_hex(8))
            channel = self._channels[producer_id] = _Channel(producer_id, inbox)
            if len(self._channels) > _CHANNELS and next(iter(self._channels.values())).inbox.idle:
                self._channels.popitem(last=False)
        self._channels.move_to_end(producer_id)
        return channel

    def _take(self, ctx: CoreContext, channel: _Channel, part: Part) -> None:
        reply = channel.inbox.arrived(part)
        tell(ctx, ctx.sender, reply)
        if isinstance(reply, Lost):
            return
        channel.producer = ctx.sender
        if channel.inbox.oversized:
            ctx.log.error("%s sends more than %d bytes, which is refused", part.producer_id, self._terms.max_size)
        if not channel.busy and not channel.inbox.idle:
            channel.busy = True
            ctx.nursery.start_soon(self._hand_over, ctx, channel, name=f"delivery of {channel.producer_id}")

    async def _hand_over(self, ctx: CoreContext, channel: _Channel) -> None:
        """Hand over what waits, one message after the other; then rest."""
        while (arrived := channel.inbox.next()) is not None:
            for attempt in count():
                if await self._handle(ctx, channel, arrived):
                    break
                await trio.sleep(self._terms.retry.delay(attempt, ctx.system.settings.rng))
            tell(ctx, channel.producer, channel.inbox.handled(arrived))
        channel.busy = False

    async def _handle(self, ctx: CoreContext, channel: _Channel, arrived: Arrived) -> bool:
        """Let the actor handle a message; false when it has to be tried again."""
        to = self._terms.to
        try:
            message = await self._message(channel, arrived)
            await _handled(to, message)
        except BaseException as error:
            if passes_through(error):
                raise
            if not to.is_alive:  # this consumer ends with it
                await trio.sleep_forever()
            failure = Failure.of(error)
            ctx.log.warning("%s has not handled %d of %s: %s", to.path, arrived.sequence, channel.producer_id, failure)
            return False
        return True

    async def _message(self, channel: _Channel, arrived: Arrived) -> object:
        message, wrap = arrived.payload, self._terms.wrap
        if arrived.encoded and len(message) > _LARGE:
            message = await trio.to_thread.run_sync(self._terms.codec.decode, message)
        elif arrived.encoded:
            message = self._terms.codec.decode(message)
        if wrap is None:
            return message
        return wrap(Delivery(message, channel.producer_id, arrived.stream, arrived.sequence))

    async def _stay(self, ctx: CoreContext) -> None:
        """Ask for work, where it comes from such a producer. An actor with a task is not at rest: nobody evicts it."""
        while self._terms.source is not None:
            tell(ctx, self._terms.source, Join())
            await trio.sleep(_JOIN_EVERY)
        await trio.sleep_forever()


class _Handover(Ask):
    """A message that was told, as far as its actor can see; the consumer notices how its handler ends."""

    __slots__ = ()

    asked = False
    lapses = True  # left in a mailbox at the end, it is not lost: its producer still has it, and answers for it


async def _handled(to: ActorRef, message: object) -> None:
    """Return when an actor has handled a message: its handler has ended, or has answered by its ``ctx.reply_to``.

    Raises:
        TrioaktError: It failed or refused, or had no room.
    """
    slot = _Handover(message, None, None, math.inf, to.recipient)
    to.recipient.deliver(slot)
    try:
        await slot.wait()
    except UnhandledMessageError:  # it is a dead letter now; to try again would not help
        return
    except NoReplyError:
        if slot.holder is None:  # a handle that was taken and lost
            raise


async def spawn_consumer(
    spawner: Spawner,
    *,
    to: ActorRef[Any],
    window: int = 20,
    max_size: int = 16 * 2**20,
    wrap: Callable[[Delivery], object] | None = None,
    codec: Codec | None = None,
    retry: Backoff = RETRY,
    name: str | None = None,
) -> ActorRef[Any]:
    """Start a consumer: the ref that producers deliver to. It ends with the actor it hands the messages to.

    That actor gets the messages as they were sent, one at a time from each producer. One is confirmed when its handler
    has ended without an error, or where the handler took ``ctx.reply_to``, when that was answered. Otherwise it comes
    again: after a failure, a restart, ``ctx.reply_to.fail``, or when the mailbox had no room.

    Args:
        spawner: A system or a context: the parent.
        to: The actor of this process that handles the messages; a restart of it changes nothing.
        window: Messages, or parts of large ones, that may be on the way or wait here, for each producer.
        max_size: Bytes of the largest encoded message that is taken.
        wrap: Makes what the actor gets out of a ``Delivery``, for one that wants to know the number of a message.
        codec: Decodes what producers have encoded.
        retry: Seconds before a message comes again, longer each time.
        name: Of the actor; without one, a name is made.

    Raises:
        NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
    """
    return await _spawn(spawner, to, None, window, max_size, wrap, codec, retry, name)


async def spawn_worker(
    spawner: Spawner,
    *,
    to: ActorRef[Any],
    source: ActorRef[Any],
    window: int = 1,
    max_size: int = 16 * 2**20,
    wrap: Callable[[Delivery], object] | None = None,
    codec: Codec | None = None,
    retry: Backoff = RETRY,
    name: str | None = None,
) -> ActorRef[Any]:
    """Start a consumer that asks a work producer for work, until it ends. It ends with the actor that does the work.

    What was not confirmed then goes to others.

    Args:
        spawner: A system or a context: the parent.
        to: The actor of this process that does the work; a restart of it changes nothing.
        source: The producer, from ``spawn_work_producer``.
        window: Messages, or parts of large ones, that it takes at a time.
        max_size: As ``spawn_consumer``.
        wrap: As ``spawn_consumer``.
        codec: As ``spawn_consumer``.
        retry: As ``spawn_consumer``.
        name: Of the actor; without one, a name is made.

    Raises:
        NameTakenError, ActorStoppedError, TypeError, ValueError: As ``spawn``.
    """
    return await _spawn(spawner, to, source, window, max_size, wrap, codec, retry, name)


async def _spawn(
    spawner: Spawner,
    to: ActorRef[Any],
    source: ActorRef[Any] | None,
    window: int,
    max_size: int,
    wrap: Callable[[Delivery], object] | None,
    codec: Codec | None,
    retry: Backoff,
    name: str | None,
) -> ActorRef[Any]:
    terms = _Terms(
        to=to,
        source=source,
        window=window,
        max_size=max_size,
        wrap=wrap,
        codec=codec or Codec(max_size=max_size),
        retry=retry,
    )

    def consumer() -> Actor:
        return _Consumer(terms)

    return await spawner.spawn(consumer, name=name)
