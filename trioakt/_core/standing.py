"""Where an actor stands: its place in the tree, its state, and what it has been told to do next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, cast

import trio
from trio.lowlevel import Abort, Task, current_task, wait_task_rescheduled

from trioakt._core.address import Address
from trioakt._core.ask import Ask, reschedule
from trioakt._core.events import DeadLetterReason, Event
from trioakt._core.mailbox import NO_MAIL
from trioakt._core.message import Envelope, Notice, TerminationCause
from trioakt._core.orders import Order, State
from trioakt._core.overview import ActorStatistics
from trioakt._core.wake import WAKE
from trioakt.errors import ActorStoppedError
from trioakt.supervision import Ledger, Strategy

if TYPE_CHECKING:
    from trioakt._core.actor import Actor, Handler
    from trioakt._core.cell import Cell
    from trioakt._core.mailbox import Mailbox
    from trioakt._core.options import Options
    from trioakt._core.ref import ActorRef
    from trioakt._core.signals import Watcher
    from trioakt._core.supervising import Restart
    from trioakt._core.system import CoreSystem
    from trioakt._core.turn import Turn

Place = tuple["CoreSystem", "Cell | None", str, Callable[..., Any], tuple[object, ...], "Options"]
"""System, parent, name, factory with its arguments, and options."""


class Standing:
    """All the state of one actor, and the orders given to it.

    What an actor at rest does not need has its value in the class, so that to spawn it stays cheap.
    """

    ref: ActorRef[Any]

    # its recipe, and what has become of it
    actor: Actor | None = None
    behavior: Handler
    behaviors: tuple[Handler, ...] = ()
    state = State.STARTING
    started = False
    cause = TerminationCause.STOPPED
    failures: int = 0
    restarts: int = 0

    # its place in the tree
    strategy: Strategy
    ledgers: dict[bool, Ledger] | None = None
    watchers: dict[Watcher, None] | None = None
    watching: set[ActorRef[Any]] | None = None

    # its messages
    stashed: deque[Envelope] | None = None
    stashings: int = 0
    """Messages laid aside, which do not count as handled."""
    senders: deque[trio.Event] | None = None

    # its orders, and what they reach
    order = Order.NONE
    suspended = False
    restart: Restart | None = None
    turn: Turn | None = None

    def __init__(self, *place: *Place) -> None:
        self.system, self.parent, self.name, self.factory, self.args, self.options = place
        self.spawned = trio.current_time()
        self.children: dict[str, Cell] = _NO_CHILDREN

        # Used for every message, so it is the instance's from the beginning: to set one of these for the first time
        # later costs CPython 3.11 a kilobyte, as the instance leaves the layout it shares with the others.
        self.mailbox: Mailbox = NO_MAIL
        self.front: deque[Envelope] | None = None
        self.closed = False
        self.parked: Task | None = None
        self.attention = False
        self.alarm = HIGH
        self.handled = 0
        self.scope: trio.CancelScope | None = None

    @property
    def path(self) -> str:
        """The path from the root."""
        names: list[str] = []
        node: Standing | None = self
        while node is not None:
            names.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(names))

    @property
    def address(self) -> str:
        """The full address."""
        return str(Address(self.system.name, self.system.node, self.path))

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self.mailbox) + len(self.front or ())

    def refuse(self, envelope: Envelope, reason: DeadLetterReason, error: BaseException | None = None) -> None:
        """Make an envelope a dead letter and end its asker's wait."""
        if envelope.__class__ is Notice:
            return
        if isinstance(envelope, Ask):
            if envelope.pending:
                envelope.fail(error or ActorStoppedError(f"{self.path} has stopped, it answers no more", self.path))
            if envelope.lapses and reason in _OVER:
                return
        self.system.dead_letter(envelope.message, envelope.sender, self.ref, reason)

    def check_thread(self) -> None:
        """Refuse a call from outside the system's own thread.

        Raises:
            RuntimeError: It is one.
        """
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(self.path)

    def statistics(self) -> ActorStatistics:
        """Return the figures of this actor."""
        return ActorStatistics(
            state=State.SUSPENDED if self.suspended and self.state is State.RUNNING else self.state,
            depth=self.depth,
            stashed=len(self.stashed or ()),
            handled=self.handled - self.stashings,
            failures=self.failures,
            restarts=self.restarts,
            children=len(self.children),
            uptime=self.system.now() - self.spawned,
        )

    def unstash(self, count: int | None) -> None:
        """Put the oldest stashed envelopes, or all, in front of the mailbox."""
        stashed = self.stashed
        if not stashed:
            return
        chosen = [stashed.popleft() for _ in range(len(stashed) if count is None else count)]
        self.front = deque(sorted([*(self.front or ()), *chosen], key=lambda envelope: envelope.age))
        self.attention = True

    async def wait_for_room(self) -> None:
        """Wait in the queue of the senders: first come, first served, though a ``tell`` may be faster than all."""
        senders = self.senders = deque() if self.senders is None else self.senders
        call = trio.Event()
        senders.append(call)
        self.attention = True
        try:
            await call.wait()
            while self.mailbox.full and not self.closed:
                call = senders[0] = trio.Event()
                await call.wait()
        finally:
            senders.remove(call)
            self.call_sender()

    def call_sender(self) -> None:
        """Let the first of those who wait for room go on, if there is room."""
        if self.senders and not self.mailbox.full:
            self.senders[0].set()

    def adopt(self, child: Cell) -> None:
        """Take a child into the tree."""
        if not self.children:
            self.children = {}
        self.children[child.name] = child

    def leave_tree(self) -> None:
        """Leave the tree, and wake a parent that waits for its last child."""
        tally = self.system.tally
        tally.alive -= 1
        tally.handled += self.handled - self.stashings
        tally.failures += self.failures
        if self.parent is not None:
            del self.parent.children[self.name]
            self.parent.wake()

    def late_reply(self) -> None:
        """Count a reply whose asker had gone."""
        self.system.tally.late_replies += 1

    def publish(self, kind: type[Event], *details: object) -> None:
        """Publish an event about this actor, if anybody wants it; a guardian is none of the application's."""
        if self.parent is not None:
            self.system.publish(kind, self.ref, *details)

    def ledger(self, *, group: bool) -> Ledger:
        """Return the restart budget of this child, or of the group of its children."""
        if self.ledgers is None:
            self.ledgers = {}
        return self.ledgers.setdefault(group, Ledger())

    def command(self, order: Order, *, cause: TerminationCause | None = None, restart: Restart | None = None) -> None:
        """Order what the actor's own task does next; a lesser order than the one in force changes nothing."""
        if order < self.order or (order is self.order and restart is None):
            return
        if self.restart is not None:
            self.restart.round.leave(self)
        self.order = order
        self.restart = restart
        if order >= Order.STOP:
            if not self.closed:
                self.closed = True
                self.cause = cause or (TerminationCause.KILLED if order is Order.KILL else TerminationCause.STOPPED)
            for call in self.senders or ():
                call.set()
        for scope in self._scopes():
            self._hurry(scope)
        self.nudge()

    def interrupt(self) -> None:
        """Cancel the message in hand."""
        for scope in self._scopes():
            scope.cancel()

    def nudge(self) -> None:
        """Make the loop look up before its next message."""
        self.attention = True
        self.wake()

    def wake(self) -> None:
        """Wake the task of this actor that is parked, if one is."""
        task = self.parked
        if task is not None:
            self.parked = None
            reschedule(task, WAKE)

    async def park(self) -> None:
        """Wait for ``wake``; may also return for no reason."""
        self.parked = current_task()
        await wait_task_rescheduled(self._unpark)

    @contextmanager
    def own_scope(self, scopes: set[trio.CancelScope], *, shield: bool) -> Generator[None]:
        """Enter a scope that orders to this actor reach."""
        with trio.CancelScope(shield=shield) as scope:
            scopes.add(scope)
            self._hurry(scope)
            try:
                yield
            finally:
                scopes.discard(scope)

    def _scopes(self) -> tuple[trio.CancelScope, ...]:
        own = () if self.scope is None else (self.scope,)
        return own if self.turn is None else (*own, *self.turn.scopes)

    def _hurry(self, scope: trio.CancelScope) -> None:
        if self.order is Order.SHUTDOWN:
            scope.deadline = min(scope.deadline, trio.current_time() + self.options.stop_grace)
        elif self.order is Order.KILL or self.order is Order.RESTART:
            scope.cancel()

    def _unpark(self, _: object) -> Abort:
        self.parked = None
        return Abort.SUCCEEDED


def kind_of(factory: Callable[..., object]) -> str:
    """Return the name of a recipe, for people."""
    while isinstance(factory, partial):
        factory = cast("partial[object]", factory).func
    return str(getattr(factory, "__name__", None) or type(factory).__name__)


HIGH = 10_000
"""Messages that may wait before ``MailboxHigh`` is published; again at each doubling."""
_OVER = (DeadLetterReason.STOPPED, DeadLetterReason.ASKER_GONE)
_NO_CHILDREN: dict[str, Any] = {}
