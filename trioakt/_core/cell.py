"""The cell runs one actor: it takes messages in, loops over them, and hands failures to supervision."""

from __future__ import annotations

from collections.abc import Awaitable
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import checkpoint, current_task, wait_task_rescheduled

from trioakt._core.ask import Ask, AskerGoneError, actor_failed, reschedule
from trioakt._core.asking import Holding
from trioakt._core.escapes import passes_through
from trioakt._core.events import DeadLetterReason, MailboxHigh
from trioakt._core.life import Life
from trioakt._core.mailbox import NO_MAIL, UnboundedQueue
from trioakt._core.message import Envelope, Notice, PoisonPill, Terminated, TerminationCause, message_info
from trioakt._core.orders import Order, State
from trioakt._core.ref import ActorRef
from trioakt._core.signals import Kill, Passivate, Reinstate, Signal, Stop, Unwatch, Watch
from trioakt._core.standing import HIGH, Place
from trioakt._core.supervising import Restart, Round, reinstate
from trioakt._core.wake import WAKE
from trioakt.errors import ActorStoppedError, MailboxFullError, NoReplyError
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt._core.context import CoreContext

_CROWD = 200_000
"""Live actors from which on those without a message rest."""
_FINISHING = (Order.NONE, Order.STOP, Order.SHUTDOWN)  # orders under which a start that is done still counts


class Cell(Life):
    """One actor: its mailbox, its loop, and its place in the tree. It is the recipient behind a local ref."""

    def __init__(self, *place: *Place) -> None:
        super().__init__(*place)
        self.ref: ActorRef[Any] = ActorRef(self)

    # -------------------------------------------------------------- taking messages

    @property
    def is_alive(self) -> bool:
        """Whether it takes messages."""
        return not self.closed

    def deliver(self, envelope: Envelope) -> None:
        """Put an envelope into the mailbox and wake the loop; a closed actor makes it a dead letter."""
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(self.path)
        if self.closed:
            self.refuse(envelope, DeadLetterReason.STOPPED)
            return
        mailbox = self.mailbox
        if mailbox is NO_MAIL:
            mailbox = self.mailbox = self.options.mailbox()
        try:
            dropped = mailbox.put(envelope)
        except trio.WouldBlock:
            raise MailboxFullError(f"the mailbox of {self.path} is full ({len(mailbox)})", self.path) from None
        if dropped is not None:
            error = MailboxFullError(f"the mailbox of {self.path} is full", self.path)
            self.refuse(dropped, DeadLetterReason.MAILBOX_FULL, error)
        if len(mailbox) > self.alarm:
            self.alarm *= 2
            self.publish(MailboxHigh, len(mailbox))
        task = self.parked
        if task is not None:
            self.parked = None
            reschedule(task, WAKE)

    async def send(self, envelope: Envelope) -> None:
        """Put an envelope into the mailbox, waiting for room; when cancelled, it was not put there."""
        self.check_thread()
        await checkpoint()
        if not self.closed and (self.senders or self.mailbox.full):
            await self.wait_for_room()
        if self.closed:
            raise ActorStoppedError(f"{self.path} has stopped, it takes no more messages", self.path)
        self.deliver(envelope)

    def signal(self, signal: Signal) -> None:
        """Act on a signal at once; nothing bounds these."""
        self.check_thread()
        match signal:
            case PoisonPill():
                self._notice(signal)
            case Stop():
                self.command(Order.STOP)
            case Kill():
                self.command(Order.KILL)
            case Passivate():
                if self.at_rest:
                    self.command(Order.STOP, cause=TerminationCause.PASSIVATED)
            case Reinstate():
                reinstate(self)
            case Watch(watcher):
                if self.state is State.STOPPED:
                    watcher.terminated(self.ref, self.cause)
                else:
                    self.watchers = self.watchers or {}
                    self.watchers[watcher] = None
            case Unwatch(watcher):
                if self.watchers is not None:
                    self.watchers.pop(watcher, None)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that a watched actor has ended: the news queues behind what that actor had sent."""
        try:
            self._notice(Terminated(ref, cause), ref)
        except BaseException as error:  # of its own mailbox: that is no fault of the actor that has ended
            if passes_through(error):
                raise
            self.fail(error)

    def _notice(self, message: PoisonPill | Terminated, sender: ActorRef | None = None) -> None:
        """Put a notice of the toolkit in its place among the messages; to a closed actor it means nothing any more."""
        if not self.closed:
            if self.mailbox is NO_MAIL:
                self.mailbox = self.options.mailbox()
            self.mailbox.put_notice(Notice(message, sender))
            self.wake()

    # ------------------------------------------------------------------- the task

    async def run(self) -> None:
        """Be the actor's task, from the first ``pre_start`` to the end of the last child and hook."""
        try:
            while await self._live():
                pass
            self.turn_away()
            await self.stop_children()
        except BaseException:
            self.command(Order.KILL)  # cancelled from outside: the whole system ends
            raise
        finally:
            self.turn_away()
            try:
                await self.wind_up()
            finally:
                self.finish()

    async def _live(self) -> bool:
        """Live one life; True when another one is to follow."""
        try:
            await self.start()
            if self.order in _FINISHING and self.actor is not None:
                self.announce()
                while self.order is Order.NONE:
                    if self.attention or self.mailbox:
                        await self._serve()
                    else:  # at rest, it is little more than its task
                        self.parked = current_task()
                        await wait_task_rescheduled(self._unpark)
        except BaseException as error:
            if passes_through(error):
                raise
            await self._failed_to_live(error)
        while self.order is Order.RESTART:
            await self.renew()
        return self.order is Order.NONE

    async def _failed_to_live(self, error: BaseException) -> None:
        """Decide about an actor whose start, mailbox or loop broke: there is no sound instance to resume."""
        self.actor, self.scope = None, None
        if not self.started:
            self._start_error = error
            self.command(Order.KILL)
            return
        self.fail(error)
        suspended = self.suspended
        while self.suspended and self.order is Order.NONE:
            await self.park()
        if self.order is Order.NONE and suspended:
            again = Restart(Failure.of(error), error, None, 0.0, Round([self]))
            self.command(Order.RESTART, restart=again)
        elif self.order is Order.NONE:
            self.command(Order.SHUTDOWN, cause=TerminationCause("FAILED", Failure.of(error)))

    async def _serve(self) -> None:
        """Handle messages until an order ends this life, or there are so few that the actor may rest."""
        try:
            with Holding(self.ref), trio.CancelScope() as self.scope:
                self._hurry(self.scope)
                await self._loop(self.ctx)
        finally:
            self.scope = None
        if self.turn is not None:
            await self.turn.drain()

    def new_context(self) -> CoreContext:
        """Make what a handler is given."""
        return self.system.context_class(self)

    async def run_beside(self) -> None:
        """Loop in a task beside the actor's own, while its handler waits; ends when the turn is wanted back."""
        try:
            with Holding(self.ref):
                await self._loop(self.new_context(), at_home=False)
        except BaseException as error:
            if passes_through(error):
                raise
            self.fail(error)

    async def _loop(self, ctx: CoreContext, *, at_home: bool = True) -> None:
        """Take and handle envelopes, one at a time; this is the path of every message."""
        turn, task, unpark = self.system.settings.turn, current_task(), self._unpark
        while True:
            if self.attention:
                if await self._attend(at_home=at_home):
                    return
                envelope = self._take()
            else:
                mailbox = self.mailbox
                envelope = mailbox.get() if mailbox else None
            if envelope is None:
                ctx.envelope = None
                if self._may_rest():
                    return
                self.parked = task
                await wait_task_rescheduled(unpark)
                continue
            plain = envelope.__class__ is Envelope
            if not plain:
                envelope = self._admit(envelope)
                if envelope is None:
                    continue
            ctx.envelope = envelope
            try:
                result: Any = self.behavior(ctx, envelope.message)
                if result.__class__ is CoroutineType or hasattr(result, "__await__"):
                    if plain or not message_info(envelope.message).cancellable:
                        await result
                    else:
                        await self._cancellably(envelope, result)
            except BaseException as error:
                if passes_through(error):
                    self._cut_off(envelope)
                    raise
                self._handler_failed(error, envelope)
            self.handled = handled = self.handled + 1
            if not plain:
                self._answered(envelope)
            if not handled % turn:
                await checkpoint()

    async def _attend(self, *, at_home: bool) -> bool:
        """Look up before the next message; True when this loop has to end."""
        while True:
            if self.order is not Order.NONE:
                return True
            if self.suspended:
                await self.park()
            elif self.turn is not None and self.turn.wanted(at_home=at_home):
                if not at_home:
                    return True
                await self.turn.lend()
            else:
                break
        return False

    def _take(self) -> Envelope | None:
        """Take the next envelope where some may be in front of the mailbox, or senders wait for room in it."""
        mailbox = self.mailbox
        envelope = self.front.popleft() if self.front else mailbox.get() if mailbox else None
        self.call_sender()
        self.attention = bool(self.front) or bool(self.senders)
        return envelope

    def _may_rest(self) -> bool:
        """Note that the mailbox has run empty; true when the system is so crowded that the actor should rest.

        Then it gives up its cancel scope, its loop and its queue until the next message: 2 kB that add up for a million
        actors. To make them anew takes longer than to handle the message, so among fewer actors they are kept.
        """
        self.alarm = HIGH
        self.system.rested(self)
        if self.turn is not None or self.system.tally.alive < _CROWD:
            return False
        if isinstance(self.mailbox, UnboundedQueue):
            self.mailbox = NO_MAIL
        return True

    def _admit(self, envelope: Envelope) -> Envelope | None:
        """Look at an envelope that is more than a plain message; ``None`` when it needs no handler."""
        message = envelope.message
        if isinstance(envelope, Ask):
            if envelope.given_up:
                gone = AskerGoneError(f"the deadline passed before {self.path} could begin this request")
                self.refuse(envelope, DeadLetterReason.ASKER_GONE, gone)
                return None
            envelope.holder = self
            return envelope
        if message.__class__ is PoisonPill:
            self.command(Order.STOP)
            return None
        if message.__class__ is Terminated:
            if self.watching is None or message.ref not in self.watching:
                return None
            self.watching.discard(message.ref)
        return Envelope(message, envelope.sender)  # a message like any other from here on: to stash, to forward

    async def _cancellably(self, envelope: Envelope, handling: Awaitable[None]) -> None:
        """Await a handler that ends when its asker gives up; that is no failure."""
        if not isinstance(envelope, Ask):
            await handling
            return
        with trio.CancelScope(deadline=envelope.deadline) as envelope.scope:
            await handling
        envelope.scope = None

    def _answered(self, envelope: Envelope) -> None:
        """See that a request whose handler has ended has its answer, or somebody who will give it."""
        if isinstance(envelope, Ask) and envelope.holder is self and envelope.pending and not envelope.given_up:
            text = f"{self.path} ended its handler of {type(envelope.message).__name__} without a reply"
            envelope.fail(NoReplyError(text, self.path))

    # --------------------------------------------------------------------- failures

    def _handler_failed(self, error: BaseException, envelope: Envelope) -> None:
        if isinstance(envelope, Ask):
            if isinstance(error, AskerGoneError) and envelope.given_up:
                return  # it gave up together with its asker: that is no failure of this actor
            if envelope.pending and envelope.holder is self:
                envelope.fail(actor_failed(self.path, f"failed on {type(envelope.message).__name__}", error))
        self.fail(error, envelope.message)

    def _cut_off(self, envelope: Envelope) -> None:
        """End the wait for a message whose handler was cancelled."""
        if isinstance(envelope, Ask) and envelope.pending and envelope.holder is self:
            if self.restart is not None:
                envelope.fail(actor_failed(self.path, "was restarted", self.restart.error))
            else:
                envelope.fail(ActorStoppedError(f"{self.path} was stopped while it answered", self.path))
