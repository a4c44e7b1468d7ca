"""The shard: the activations of one kind that a node has, and how messages find them."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import attrs
import trio

from trioakt.errors import ActorError, ActorStoppedError, MailboxFullError, StartError, TrioaktError
from trioakt.grains.grain import Contained
from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import (
    Actor,
    ActorRef,
    Ask,
    DeadLetterReason,
    PoisonPill,
    Stop,
    TerminationCause,
    Watch,
    actor_failed,
    arrived,
    begin,
    passes_through,
)
from trioakt.patterns.parking import Parked
from trioakt.patterns.passivation import Never
from trioakt.patterns.telling import lose
from trioakt.supervision import OneForOne

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioakt.context import Context
    from trioakt.grains.grain import GrainKind
    from trioakt.lowlevel import Cell, CoreSystem, Envelope, Signal

_log = logging.getLogger("trioakt")

ROOM = 10_000
"""Messages that may wait for one activation to end, so that the next one can begin."""


class Keeper(Actor):
    """The parent of the grains of a shard; none of them can make it fail.

    Args:
        tasks: What it runs beside them, in each of its lives.
    """

    def __init__(self, *tasks: Callable[[], Awaitable[None]]) -> None:
        self._tasks = tasks

    def pre_start(self, ctx: Context) -> None:
        """Start what runs beside the grains."""
        for task in self._tasks:
            ctx.nursery.start_soon(task)


def open_keeper(system: CoreSystem, name: str, *tasks: Callable[[], Awaitable[None]]) -> Cell:
    """Begin the parent of the grains of a shard.

    Raises:
        ActorStoppedError: The system is stopping.
        NameTakenError: An earlier one has not ended yet.
    """
    system.user.check_thread()
    options = attrs.evolve(system.settings.actors, passivation=Never(), supervision=Contained(OneForOne()))
    return begin(system.user, Keeper, tasks, name, options)


class Shard:
    """Grains of one kind that are active here: each is activated by its first message, and lives until it is idle.

    Between an activation that ends and the next one messages wait here, so that none is lost.

    Args:
        system: This node's.
        keeper: The parent of the grains.
        kind: Theirs.
        ref_to: Makes the ref to a grain.
        named: Whether an activation is known by the name of its grain; not where it is one's steward.

    Attributes:
        system: This node's.
        keeper: The parent of the grains.
        kind: Of the grains.
        ref_to: Makes the ref to a grain.
        changed: Called with the identity of each grain that is activated or has ended.
    """

    def __init__(
        self,
        system: CoreSystem,
        keeper: Cell,
        kind: GrainKind,
        ref_to: Callable[[str], GrainRef[Any]],
        *,
        named: bool = True,
    ) -> None:
        self.system = system
        self.kind = kind
        self.changed: Callable[[str], None] | None = None
        self.ref_to = ref_to
        self.keeper = keeper
        self._named = named
        self._active: dict[str, Cell] = {}
        self._making: set[str] = set()
        self._waiting: dict[str, deque[Parked]] = {}
        keeper.signal(Watch(self))

    def active(self, identity: str) -> Cell | None:
        """Return the activation of a grain, if there is one."""
        return self._active.get(identity)

    def is_needed(self, identity: str) -> bool:
        """Return whether a grain is active, or something waits for it to be."""
        return identity in self._active or identity in self._waiting

    def deliver(self, identity: str, envelope: Envelope) -> None:
        """Take a message in for a grain, and activate it if it is not there."""
        cell = self._active.get(identity)
        if cell is None:
            if identity in self._making or self.keeper.restart is not None:
                self._wait(identity, envelope)
                return
            try:
                cell = self._activate(identity)
            except ActorError as error:
                refuse(self.system, self.ref_to(identity), envelope, error)
                return
        if cell.closed:
            self._wait(identity, envelope)
        else:
            cell.deliver(envelope)

    async def go_on(self) -> None:
        """Deliver what has waited while the keeper was made again."""
        for identity in tuple(self._waiting):
            if identity not in self._active:
                self._go_on(identity)
        await trio.lowlevel.checkpoint()

    def wake(self, identity: str) -> None:
        """Activate a grain that is not there, without a message."""
        if identity not in self._active:
            try:
                self._activate(identity)
            except ActorError as error:
                _log.error("cannot wake %s: %s", identity, error)

    async def send(self, identity: str, envelope: Envelope) -> None:
        """Take a message in for a grain, waiting for room.

        Raises:
            ActorStoppedError: The system is stopping.
            StartError: The grain could not be made.
        """
        while True:
            cell = self._active.get(identity) or self._activate(identity)
            try:
                await cell.send(envelope)
            except ActorStoppedError:
                await ActorRef[Any](cell).wait_stopped()
            else:
                return

    def signal(self, identity: str, signal: Signal) -> None:
        """Pass a signal on to the activation of a grain; without one, a watcher hears of its end at once."""
        self.system.user.check_thread()
        cell = self._active.get(identity)
        if cell is None:  # it may be beginning at this moment
            cell = self.keeper.children.get(quote(identity, safe=""))
        if cell is not None:
            cell.signal(signal)
        elif isinstance(signal, Watch):
            signal.watcher.terminated(self.ref_to(identity), TerminationCause.STOPPED)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that an activation has ended, or the keeper; what has come meanwhile activates the grain anew."""
        if ref == self.keeper.ref:
            self._end()
            return
        identity = ref.identity if isinstance(ref, GrainRef) else unquote(ref.name)
        del self._active[identity]
        if self.changed is not None:
            self.changed(identity)
        self._go_on(identity)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, {}
        error = ActorStoppedError(f"{self.keeper.path} has stopped", self.keeper.path)
        for identity, parked in waiting.items():
            for each in parked:
                refuse(self.system, self.ref_to(identity), each.envelope, error)

    def _go_on(self, identity: str) -> None:
        """Deliver what has waited for a grain; it is not overtaken, as nobody else has a turn meanwhile."""
        for parked in self._waiting.pop(identity, ()):
            parked.go_on(partial(self._deliver_late, self.ref_to(identity)))

    def _deliver_late(self, ref: GrainRef[Any], envelope: Envelope) -> None:
        """Deliver a message where no caller is left to raise to."""
        if isinstance(envelope, Ask) and (envelope.given_up or not envelope.pending):
            self.system.dead_letter(envelope.message, envelope.sender, ref, DeadLetterReason.ASKER_GONE)
            return
        try:
            self.deliver(ref.identity, envelope)
        except BaseException as error:
            if passes_through(error):
                raise
            if isinstance(envelope, Ask) and envelope.pending:
                envelope.fail(error)
            lose(self.system, ref, envelope.message, envelope.sender, error)

    def _activate(self, identity: str) -> Cell:
        """Begin an activation.

        Raises:
            ActorStoppedError: The system is stopping.
            StartError: The class could not be called.
        """
        self.system.user.check_thread()
        if self.keeper.restart is not None:
            raise ActorStoppedError(f"{self.keeper.path} is made again, and its grains with it", self.keeper.path)
        kind, name, ref = self.kind, quote(identity, safe=""), self.ref_to(identity)
        self._making.add(identity)
        try:
            with arrived(None):  # the task that begins here outlives the message that has come
                cell = self._active[identity] = begin(
                    self.keeper, kind.factory, (), name, kind.options, ref if self._named else None
                )
        except ActorError as error:
            for parked in self._waiting.pop(identity, ()):
                refuse(self.system, ref, parked.envelope, error)
            raise
        finally:
            self._making.discard(identity)
        cell.signal(Watch(self))
        if self.changed is not None:
            self.changed(identity)
        self._go_on(identity)  # what has come while it was made
        return cell

    def _wait(self, identity: str, envelope: Envelope) -> None:
        self.system.user.check_thread()
        waiting = self._waiting.setdefault(identity, deque())
        if len(waiting) >= ROOM:
            path = self.ref_to(identity).path
            raise MailboxFullError(f"too much waits for {path} to be activated again", path)
        waiting.append(Parked(envelope))


def finish(cell: Cell) -> None:
    """Let an activation finish what waits for it, then stop."""
    try:
        cell.signal(PoisonPill())
    except BaseException as error:  # its mailbox is broken
        if passes_through(error):
            raise
        cell.signal(Stop())


def refuse(system: CoreSystem, ref: GrainRef[Any], envelope: Envelope, error: TrioaktError) -> None:
    """Make a message a dead letter, as its grain cannot be activated; its asker hears why."""
    if isinstance(envelope, Ask) and envelope.pending:
        cause = error.__cause__ if isinstance(error, StartError) else None
        envelope.fail(error if cause is None else actor_failed(ref.path, "did not start", cause))
    system.dead_letter(envelope.message, envelope.sender, ref, DeadLetterReason.STOPPED)
