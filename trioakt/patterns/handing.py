"""What a router does with the message in hand: pass it on, send it where there is room, gather the replies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import trio

from trioakt.errors import ActorFailedError, ActorStoppedError, CodecError, DeliveryError, NoReplyError, TrioaktError
from trioakt.lowlevel import ActorRef, Ask, DeadLetterReason, Waiting, refuse_cycle
from trioakt.patterns.telling import lose, tell_or_lose

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreContext, ReplyTo
    from trioakt.patterns.routing import RoutingStrategy


def forward(ctx: CoreContext, msg: Any, ref: ActorRef[Any]) -> None:
    """Pass the message on to one routee; one that does not take it harms its sender alone."""
    try:
        ctx.forward(ref)
    except Exception as error:
        if ctx.asked:
            ctx.reply_to.fail(error)
        else:
            lose(ctx.system, ref, msg, ctx.sender, error)


def tell(ctx: CoreContext, ref: ActorRef[Any], msg: Any) -> None:
    """Tell one of several routees the message; one that does not take it makes it a dead letter."""
    tell_or_lose(ctx.system, ref, msg, ctx.sender)


def refuse(ctx: CoreContext, msg: Any, error: BaseException | None = None) -> None:
    """Turn a message away that cannot be routed; without an error, because there is no routee."""
    if error is not None and ctx.asked:
        ctx.reply_to.fail(error)
    elif error is not None:
        ctx.unhandled()
    else:
        ctx.system.dead_letter(msg, ctx.sender, ctx.self, DeadLetterReason.STOPPED)
        if ctx.asked:
            ctx.reply_to.end(ActorStoppedError(f"{ctx.self.path} has no routees", ctx.self.path))


class Asking(Protocol):
    """A way to answer a request that takes time."""

    async def run(self, request: Ask, handle: ReplyTo) -> None:
        """Answer, or raise what the asker gets."""
        ...


async def answer(request: Ask, handle: ReplyTo, asking: Asking) -> None:
    """Answer a request in a task of the router; when its asker gives up, so do those who were asked for it."""
    if handle.asker_gone:
        return
    with trio.CancelScope(deadline=request.deadline) as request.scope:
        try:
            await asking.run(request, handle)
        except TrioaktError as error:
            handle.end(error)


def put(request: Ask, inner: Any, ref: ActorRef[Any], deadline: float) -> Ask:
    """Send a request of somebody else on, as one of several."""
    slot = Ask(inner, request.sender, None, min(request.deadline, deadline), ref.recipient)
    try:
        if request.waiter is not None and request.sender is not None:
            refuse_cycle(request.sender, request.waiter, ref.recipient)
        ref.recipient.deliver(slot)
    except Exception as error:
        if slot.pending:
            slot.fail(error if isinstance(error, DeliveryError | CodecError) else _broken(ref, error))
    return slot


def _broken(ref: ActorRef[Any], error: Exception) -> ActorFailedError:
    """Return what an asker gets when the mailbox of a routee raises."""
    failed = ActorFailedError(f"the mailbox of {ref.path} failed: {type(error).__name__}", ref.path)
    failed.__cause__ = error
    return failed


class Gathering:
    """The replies of all routees, in their order; the first error there is, when there is one."""

    def __init__(self, refs: Sequence[ActorRef[Any]], inner: Any) -> None:
        self._refs = refs
        self._inner = inner

    async def run(self, request: Ask, handle: ReplyTo) -> None:
        """Answer with all replies, or with the first error in their order."""
        slots = [put(request, self._inner, ref, math.inf) for ref in self._refs]
        try:
            with Waiting(request, tuple(slots)):
                handle.reply([await slot.wait() for slot in slots])
        except trio.Cancelled:
            for slot in slots:
                slot.abandon()
            raise


class Sending:
    """One message on its way into the mailboxes of routees, one after the other."""

    def __init__(self, refs: Sequence[ActorRef[Any]], inner: Any, sender: ActorRef[Any] | None) -> None:
        self._refs = refs
        self._inner = inner
        self._sender = sender

    async def run(self, request: Ask, handle: ReplyTo) -> None:
        """Answer when each of them has taken the message."""
        for ref in self._refs:
            try:
                await ref.send(self._inner, self._sender)
            except TrioaktError:
                raise
            except Exception as error:
                raise _broken(ref, error) from error
        handle.reply(None)


class Race:
    """The first reply of several routees, or the error of the last one when all fail.

    Where the strategy sets no time, all shall have handled the request: the slower ones go on.
    """

    def __init__(self, refs: Sequence[ActorRef[Any]], strategy: RoutingStrategy, path: str) -> None:
        self._refs = refs
        self._within, self._interval = strategy.within, strategy.interval
        self._path = path
        self._won = False
        self._error: TrioaktError | None = None

    async def run(self, request: Ask, handle: ReplyTo) -> None:
        """Answer with the first reply there is."""
        finish = trio.current_time() + self._within
        with trio.move_on_at(finish):
            async with trio.open_nursery() as nursery:
                for ref in self._refs:
                    slot, failed = put(request, request.message, ref, finish), trio.Event()
                    nursery.start_soon(self._wait, slot, handle, failed, nursery.cancel_scope)
                    if self._interval:
                        with trio.move_on_after(self._interval):
                            await failed.wait()
        if not self._won:
            late = NoReplyError(f"no routee of {self._path} answered within {self._within:g} s", self._path)
            raise self._error or late

    async def _wait(self, slot: Ask, handle: ReplyTo, failed: trio.Event, race: trio.CancelScope) -> None:
        try:
            reply = await slot.wait()
        except TrioaktError as error:
            self._error = error
            failed.set()
            return
        if not self._won:
            self._won = True
            handle.reply(reply)
        if self._within < math.inf:
            race.cancel()
