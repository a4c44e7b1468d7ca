"""The phases of an actor's life that are not handling messages: starting, being made again, winding up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import ParkingLot

from trioakt._core.actor import Actor
from trioakt._core.ask import actor_failed
from trioakt._core.asking import Holding
from trioakt._core.escapes import passes_through
from trioakt._core.events import (
    ActorFailed,
    ActorPassivated,
    ActorRestarted,
    ActorStarted,
    ActorStopped,
    DeadLetterReason,
)
from trioakt._core.mailbox import NO_MAIL
from trioakt._core.message import TerminationCause
from trioakt._core.orders import Order, State
from trioakt._core.possessions import Possessions
from trioakt._core.standing import Standing
from trioakt._core.supervising import supervise
from trioakt._core.turn import Turn
from trioakt.errors import ActorStoppedError, StartError
from trioakt.supervision import Failure

if TYPE_CHECKING:
    from trioakt._core.actor import Handler
    from trioakt._core.context import CoreContext

_log = logging.getLogger("trioakt")


class Life(Standing):
    """What happens to an actor beside its messages; each phase runs in the actor's own task."""

    ctx: CoreContext
    _possessions: Possessions | None = None
    _start_error: BaseException | None = None
    _starters: ParkingLot | None = None

    # --------------------------------------------- what a life needs of its cell

    def new_context(self) -> CoreContext:
        """Make what a handler is given."""
        raise NotImplementedError

    async def run_beside(self) -> None:
        """Go on with the mailbox in a task of its own."""
        raise NotImplementedError

    # ---------------------------------------------------------------- possessions

    def own(self) -> Possessions:
        """Return what this life owns.

        Raises:
            RuntimeError: This life is over, or has come to its last hook.
        """
        if self._possessions is None:
            if self.actor is None:
                raise RuntimeError(f"{self.path}: this life of the actor is over, it owns nothing any more")
            self._possessions = Possessions(self)
        return self._possessions

    def task_failed(self, error: BaseException) -> None:
        """Take the failure of one of this actor's own tasks or resources as the actor's."""
        if self.started:
            self.fail(error)
        else:
            self._start_error = error
            self.interrupt()

    def fail(self, error: BaseException, message: Any = None) -> None:
        """Hand a failure to supervision, which decides at once."""
        failure = Failure.of(error)
        _log.error("%s failed: %s", self.path, failure, extra={"actor": self.path})
        supervise(self, failure, error, message)

    # ------------------------------------------------------------------- starting

    async def wait_started(self) -> None:
        """Wait until the first ``pre_start`` is done.

        Raises:
            StartError: It failed; nothing is left of the actor.
        """
        if not self.started and self.state is not State.STOPPED:
            self._starters = self._starters or ParkingLot()
            await self._starters.park()
        if not self.started:
            cause = self._start_error or ActorStoppedError(f"{self.path} was stopped while it started", self.path)
            raise start_error(self.path, cause) from cause

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for the start."""
        return bool(self._starters)

    def make(self) -> None:
        """Make the instance from the recipe."""
        actor = self.factory(*self.args)
        if not isinstance(actor, Actor):
            if iscoroutine(actor):
                actor.close()
            raise TypeError(f"the factory of {self.path} must return an Actor, it returned a {type(actor).__name__}")
        self.actor = actor
        self.strategy = actor.supervision
        self.behaviors = ()
        self.behave(actor.receive)
        self.ctx = self.new_context()

    @property
    def at_rest(self) -> bool:
        """Whether it could be passivated now without anybody missing it: it runs, waits for mail, and nothing else."""
        waits = self.state is State.RUNNING and self.parked is not None and not self.suspended and not self.closed
        busy = self.children or self.senders or (self.turn is not None and self.turn.busy)
        if not waits or self.depth or self.stashed or busy:
            return False
        return self._possessions is None or not self._possessions.at_work

    def behave(self, handler: Handler) -> None:
        """Handle the next messages with this function."""
        self.behavior = handler

    @property
    def prepares(self) -> bool:
        """Whether there is a ``pre_start`` to run before an actor counts as started."""
        return self.actor is not None and type(self.actor).pre_start is not Actor.pre_start

    async def start(self) -> None:
        """Run the ``pre_start`` of this life, within ``init_timeout``; make the instance first, where there is none."""
        if self.actor is None:
            self.make()
        if self.options.reentrancy is not None:
            self.turn = Turn(self, self.options.reentrancy.max_in_flight)
        if self.actor is not None and self.prepares:
            await self._pre_start(self.actor)

    async def _pre_start(self, actor: Actor) -> None:
        try:
            with Holding(self.ref), trio.move_on_after(self.options.init_timeout) as self.scope:
                self._hurry(self.scope)
                await _called(actor.pre_start, self.ctx)
            if self._start_error is not None:
                raise self._start_error
            if self.scope.cancelled_caught:
                self.actor = None
                if self.order is Order.NONE:
                    raise trio.TooSlowError(f"pre_start took longer than {self.options.init_timeout} s")
        except BaseException:
            self.actor = None  # it never lived: no post_stop
            raise
        finally:
            self.scope = None

    def announce(self) -> None:
        """Tell those who wait that this life has begun."""
        if self.state is State.RUNNING:
            return
        self.state = State.RUNNING
        restart, self.restart = self.restart, None
        if not self.started:
            self.started = True
            try:
                self.publish(ActorStarted)
            finally:  # a listener may have raised
                self._wake_starters()
        if restart is not None:
            self.restarts += 1
            self.system.tally.restarts += 1
            self.publish(ActorRestarted, restart.failure, self.restarts)
            restart.round.leave(self)
        self.system.rested(self)

    # ------------------------------------------------------------------ made again

    async def renew(self) -> None:
        """Take the failed instance down and wait for the moment to make a new one; a new order cuts this short."""
        restart = self.restart
        assert restart is not None
        self.order = Order.NONE
        self.state = State.RESTARTING
        self.suspended = False
        with trio.CancelScope() as self.scope:
            actor, self.actor = self.actor, None
            if actor is not None:
                self.ctx.envelope = None
                await self._hook(actor.pre_restart, self.ctx, restart.error, restart.message)
            await self.stop_children()
            await self._end_tasks()
            await self._let_go("was restarted", restart.error)
            self.unstash(None)
            with trio.move_on_after(restart.delay):
                while self.order is Order.NONE:
                    await self.park()
            await restart.round.join(self)
        self.scope = None

    # ------------------------------------------------------------------ winding up

    def turn_away(self) -> None:
        """Close, and refuse everything that waits."""
        self.closed = True
        self.state = State.STOPPING
        mailbox, self.mailbox = self.mailbox, NO_MAIL
        front, self.front = self.front, None
        stashed, self.stashed = self.stashed, None
        left = [*(front or ()), *(stashed or ())]
        while mailbox:
            left.append(mailbox.get())
        cause = self._start_error
        for envelope in left:
            error = None if cause is None else actor_failed(self.path, "did not start", cause)
            self.refuse(envelope, DeadLetterReason.STOPPED, error)

    async def stop_children(self) -> None:
        """Order the children to stop as this actor was ordered to, and wait until they have."""
        sent = Order.NONE
        while self.children:
            order = max(self.order, Order.STOP) if self.closed else Order.SHUTDOWN
            if order > sent:
                sent = order
                for child in tuple(self.children.values()):
                    child.command(order)
            await self.park()

    async def wind_up(self) -> None:
        """Stop children, end tasks, run ``post_stop``, leave resources: shielded, each part with its own deadline."""
        if self.children:
            with trio.CancelScope(shield=True):  # the children's parts have deadlines, and their parent goes after them
                await self.stop_children()
        try:
            await self._end_tasks()
            actor, self.actor = self.actor, None
            if actor is not None and type(actor).post_stop is not Actor.post_stop:
                self.ctx.envelope = None
                await self._hook(actor.post_stop, self.ctx)
        finally:
            await self._let_go("stopped before it answered")

    def finish(self) -> None:
        """Leave the tree and tell everybody who waits for the end."""
        self.state = State.STOPPED
        self.closed = True
        if self.restart is not None:
            self.restart.round.leave(self)
        self.leave_tree()
        if self.started:
            if self.cause == TerminationCause.PASSIVATED:
                self.publish(ActorPassivated)
            self.publish(ActorStopped, self.cause)
        watchers, self.watchers = self.watchers or {}, None
        for watcher in watchers:
            watcher.terminated(self.ref, self.cause)
        self._wake_starters()
        self.behaviors, self.turn, self.mailbox = (), None, NO_MAIL
        del self.behavior, self.ctx

    async def _end_tasks(self) -> None:
        if self._possessions is not None:
            await self._hook(self._possessions.tasks.close)
        turn, self.turn = self.turn, None
        if turn is not None:
            await self._hook(turn.drain)

    async def _let_go(self, what: str, cause: BaseException | None = None) -> None:
        """Leave the resources of this life, and tell those it owes an answer what happened."""
        possessions, self._possessions = self._possessions, None
        if possessions is not None:
            await self._hook(possessions.resources.close)
            path = self.path
            stopped = ActorStoppedError(f"{path} {what}", path)
            possessions.break_promises(stopped if cause is None else actor_failed(path, what, cause))

    async def _hook(self, hook: Callable[..., Awaitable[None] | None], *args: object) -> None:
        """Run a part of the end, shielded, for at most ``stop_grace`` seconds; its failure is told and nothing more."""
        grace = self.options.stop_grace
        try:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + grace) as scope:
                await _called(hook, *args)
            if scope.cancelled_caught:
                raise trio.TooSlowError(f"{hook.__name__} took longer than the stop_grace of {grace} s")
        except BaseException as error:
            if passes_through(error):
                raise
            failure = Failure.of(error)
            _log.error("%s failed while it ended: %s", self.path, failure, extra={"actor": self.path})
            self.failures += 1
            self.publish(ActorFailed, failure)

    def _wake_starters(self) -> None:
        if self._starters is not None:
            self._starters.unpark_all()
            self._starters = None


def start_error(path: str, cause: BaseException) -> StartError:
    """Return what a spawn raises for this cause."""
    reason = Failure.of(cause).text
    return StartError(f"{path} did not start: {type(cause).__name__}{reason and f': {reason}'}", path)


async def _called(hook: Callable[..., Awaitable[None] | None], *args: object) -> None:
    result = hook(*args)
    if result is not None:
        await result
