"""The context a handler is given: the message in hand, and what the actor may do; it forwards to the cell."""

from __future__ import annotations

import logging
from bisect import insort
from collections import deque
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trioakt._core.ask import Ask, AskerGoneError, ReplyTo
from trioakt._core.asking import holdings, refuse_cycle
from trioakt._core.events import DeadLetterReason
from trioakt._core.message import Envelope, Request
from trioakt._core.signals import STOP, Unwatch, Watch
from trioakt._core.spawning import Spawner
from trioakt.errors import CodecError, DeliveryError, MailboxFullError, UnhandledMessageError

if TYPE_CHECKING:
    from trioakt._core.actor import Handler
    from trioakt._core.cell import Cell
    from trioakt._core.nursery import ActorNursery
    from trioakt._core.possessions import Possessions
    from trioakt._core.ref import ActorRef
    from trioakt._core.system import CoreSystem

T = TypeVar("T")
R = TypeVar("R")


class _ActorLog(logging.LoggerAdapter[logging.Logger]):
    """Adds the actor to what a log call says itself (``merge_extra=True`` does that from Python 3.13 on)."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(self.extra or {}), **kwargs.get("extra", {})}}


class Conversation:
    """The part of the context about the message in hand; between messages it has none."""

    __slots__ = ("actor", "cell", "envelope")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.actor = cell.actor
        self.envelope: Envelope | None = None

    @property
    def sender(self) -> ActorRef[Any] | None:
        """Who sent the message in hand, if that was said."""
        return None if self.envelope is None else self.envelope.sender

    @property
    def asked(self) -> bool:
        """Whether somebody waits, or has waited, for an answer to the message in hand."""
        return isinstance(self.envelope, Ask) and self.envelope.asked

    @property
    def deadline(self) -> float:
        """When the asker stops waiting, in seconds on Trio's clock; ``inf`` without an asker or a deadline."""
        envelope = self.envelope
        return envelope.deadline if isinstance(envelope, Ask) else float("inf")

    @property
    def asker_gone(self) -> bool:
        """Whether the asker of the message in hand has given up."""
        envelope = self.envelope
        return isinstance(envelope, Ask) and envelope.given_up

    @property
    def reply_to(self) -> ReplyTo:
        """A handle to answer the message in hand later, maybe from another task.

        Raises:
            RuntimeError: The message in hand was told, not asked: answer its ``sender`` with ``tell``.
        """
        envelope = self._in_hand("reply_to")
        if not isinstance(envelope, Ask):
            raise RuntimeError(f"{self.cell.path}: reply_to is for requests, this message was told; use ctx.sender")
        return self._own().promise(envelope)

    def reply(self, value: Any) -> None:
        """Answer the message in hand: the asker's ``ask`` returns it, the sender of a told message is told it.

        Raises:
            RuntimeError: There is no message in hand, or it was answered before.
        """
        envelope = self._in_hand("reply()")
        cell = self.cell
        if isinstance(envelope, Ask):
            if not envelope.reply(value):
                cell.late_reply()
        elif envelope.sender is not None:
            envelope.sender.tell(value, sender=cell.ref)
        else:
            cell.system.dead_letter(value, cell.ref, cell.ref, DeadLetterReason.NO_ASKER)

    def forward(self, ref: ActorRef[Any]) -> None:
        """Pass the message in hand on; its sender and its asker stay the same, and the reply goes straight to them.

        Raises:
            MailboxFullError: The mailbox of that actor is full and rejects a message that was told. When it was
                asked, the asker is told so instead.
        """
        envelope = self._in_hand("forward()")
        if hasattr(envelope, "age"):
            del envelope.age
        if not isinstance(envelope, Ask):
            ref.recipient.deliver(envelope)
        else:
            self._forward(envelope, ref)

    def _forward(self, request: Ask, ref: ActorRef[Any]) -> None:
        before = request.holder, request.target
        request.holder = None
        try:
            if request.waiter is not None and request.sender is not None:
                refuse_cycle(request.sender, request.waiter, ref.recipient)
            request.pass_on(ref.recipient)
            ref.recipient.deliver(request)
        except (DeliveryError, CodecError) as error:  # no fault of this actor's: the asker hears of it
            if request.pending:
                request.fail(error)
        except BaseException:  # the mailbox is broken: the request is still in hand
            request.holder, request.target = before
            raise

    def unhandled(self) -> None:
        """Say that this kind of message is not understood: it becomes a dead letter, and an asker is told."""
        envelope = self._in_hand("unhandled()")
        error = UnhandledMessageError(
            f"{self.cell.path} does not handle {type(envelope.message).__name__}", self.cell.path
        )
        self.cell.refuse(envelope, DeadLetterReason.UNHANDLED, error)

    def stash(self) -> None:
        """Lay the message in hand aside until ``unstash``.

        Raises:
            MailboxFullError: The stash is full; the message is a dead letter.
            RuntimeError: There is no message in hand, or it is stashed already.
        """
        envelope = self._in_hand("stash()")
        cell = self.cell
        stashed = cell.stashed = cell.stashed if cell.stashed is not None else deque()
        if hasattr(envelope, "age") and envelope in stashed:
            raise RuntimeError(f"{cell.path}: this message is stashed already")
        if len(stashed) >= cell.options.stash_capacity:
            error = MailboxFullError(f"the stash of {cell.path} is full ({len(stashed)} messages)", cell.path)
            cell.refuse(envelope, DeadLetterReason.STASH_FULL, error)
            raise error
        if isinstance(envelope, Ask):
            envelope.holder = None
        if not hasattr(envelope, "age"):  # a message that is stashed again keeps its place
            envelope.age = cell.stashings
        insort(stashed, envelope, key=lambda each: each.age)
        cell.stashings += 1

    def _own(self) -> Possessions:
        self.cell.check_thread()
        if self.actor is not self.cell.actor:
            raise RuntimeError(f"{self.cell.path}: the life of the actor that this context belongs to is over")
        return self.cell.own()

    def _in_hand(self, what: str) -> Envelope:
        self.cell.check_thread()
        if self.envelope is None:
            raise RuntimeError(f"{self.cell.path}: {what} needs a message in hand")
        return self.envelope


class CoreContext(Conversation, Spawner):
    """What a handler may call; one object per running handler, good for as long as that life of the actor."""

    __slots__ = ()

    def _parent(self) -> Cell:
        return self.cell

    @property
    def self(self) -> ActorRef[Any]:
        """This actor's own ref."""
        return self.cell.ref

    @property
    def parent(self) -> ActorRef[Any] | None:
        """The parent's ref; ``None`` for a guardian."""
        return None if self.cell.parent is None else self.cell.parent.ref

    @property
    def children(self) -> tuple[ActorRef[Any], ...]:
        """The live children, in the order they were spawned."""
        return tuple(child.ref for child in self.cell.children.values())

    @property
    def system(self) -> CoreSystem:
        """The actor system."""
        return self.cell.system

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of the standard library that carries this actor's path as ``actor``."""
        return _ActorLog(logging.getLogger("trioakt.actor"), {"actor": self.cell.path})

    @property
    def nursery(self) -> ActorNursery:
        """Where tasks of this actor are started; they end with this life of it, and their failure is its failure."""
        return self._own().tasks

    def extension(self, kind: type[T]) -> T:
        """Return the system's extension of this type."""
        return self.cell.system.extension(kind)

    def stop(self) -> None:
        """Stop this actor after the message in hand."""
        self.cell.signal(STOP)

    def watch(self, ref: ActorRef[Any]) -> None:
        """Ask for a ``Terminated`` message when that actor ends, at once if it already has."""
        cell = self.cell
        cell.watching = cell.watching if cell.watching is not None else set()
        cell.watching.add(ref)
        ref.recipient.signal(Watch(cell))

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Hear no more of that actor's end, even if the message is already on its way."""
        cell = self.cell
        if cell.watching is not None:
            cell.watching.discard(ref)
        ref.recipient.signal(Unwatch(cell))

    def become(self, handler: Handler, *, discard_old: bool = True) -> None:
        """Handle the next messages with this function of a context and a message.

        Args:
            handler: Plain or async.
            discard_old: Replace the present handler; otherwise push, so that ``unbecome`` returns to it.

        Raises:
            TypeError: The handler is not callable.
        """
        if not callable(handler):
            raise TypeError(f"become() takes a function of a context and a message, got {handler!r}")
        cell = self.cell
        if not discard_old:
            cell.behaviors = (*cell.behaviors, cell.behavior)
        cell.behave(handler)

    def unbecome(self) -> None:
        """Return to the handler before the last pushed one, or to ``receive``."""
        cell = self.cell
        if cell.behaviors:
            *rest, cell.behavior = cell.behaviors
            cell.behaviors = tuple(rest)
        elif cell.actor is not None:
            cell.behave(cell.actor.receive)

    def unstash(self) -> None:
        """Put the oldest stashed message back to the front of the mailbox."""
        self.cell.unstash(1)

    def unstash_all(self) -> None:
        """Put all stashed messages back to the front of the mailbox, in their order."""
        self.cell.unstash(None)

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager for this life of the actor; it is left at stop and at restart, last in first out."""
        return await self._own().resources.enter(resource)

    async def ask(self, ref: ActorRef[Any], request: Request[R]) -> R:
        """Ask another actor; with reentrancy, other messages are handled meanwhile.

        Raises:
            trio.TooSlowError: The deadline of the request in hand has passed.
            ActorFailedError, ...: As ``ActorRef.ask``.
        """
        async with self.interleave():
            with trio.move_on_at(self.deadline):
                return await ref.ask(request)
        raise AskerGoneError(f"{self.cell.path}: the deadline of the request in hand has passed")

    @asynccontextmanager
    async def interleave(self) -> AsyncGenerator[None]:
        """Let other messages be handled while the block waits; without reentrancy it changes nothing.

        The turn is the handler's own to give: in a task that the handler has started, and inside another such block,
        it changes nothing either.
        """
        turn, holding = self.cell.turn, holdings.get(trio.lowlevel.current_task())
        if turn is None or holding is None or not holding.holds or not turn.give():
            yield
            return
        holder, holding.waiter = holding.waiter, self.envelope if isinstance(self.envelope, Ask) else None
        try:
            yield
        finally:
            try:
                await turn.take_back()
            finally:
                holding.waiter = holder
