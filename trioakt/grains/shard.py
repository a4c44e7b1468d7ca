"""The shard: the activations of one kind that a node has, and how messages find them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from trioakt.errors import ActorError, ActorStoppedError, MailboxFullError
from trioakt.grains.ref import GrainRef
from trioakt.lowlevel import Actor, ActorRef, Ask, DeadLetterReason, State, TerminationCause, Watch, begin
from trioakt.patterns.telling import deliver_or_lose

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.grains.grain import GrainKind
    from trioakt.lowlevel import Cell, CoreSystem, Envelope, Signal

ROOM = 10_000
"""Messages that may wait for one activation to end, so that the next one can begin."""


class Keeper(Actor):
    """The parent of the grains of a shard; it does nothing itself, and none of them can make it fail."""


class Shard:
    """Grains of one kind that are active here: each is activated by its first message, and lives until it is idle.

    Between an activation that ends and the next one messages wait here, so that none is lost.

    Args:
        system: This node's.
        name: Of the parent of the grains.
        kind: Theirs.
        ref_to: Makes the ref to a grain.

    Attributes:
        keeper: The parent of the grains.
    """

    def __init__(self, system: CoreSystem, name: str, kind: GrainKind, ref_to: Callable[[str], GrainRef[Any]]) -> None:
        system.user.check_thread()
        self.keeper: Cell = begin(system.user, Keeper, (), name, system.settings.actors)
        self._system = system
        self._kind = kind
        self._ref_to = ref_to
        self._waiting: dict[str, deque[Envelope]] = {}

    def active(self, identity: str) -> Cell | None:
        """Return the activation of a grain, if there is one."""
        return self.keeper.children.get(identity)

    def deliver(self, identity: str, envelope: Envelope) -> None:
        """Take a message in for a grain, and activate it if it is not there."""
        cell = self.keeper.children.get(identity)
        if cell is None:
            try:
                cell = self._activate(identity)
            except ActorError as error:
                self._refuse(identity, envelope, error)
                return
        if cell.closed:
            self._wait(identity, envelope)
        else:
            cell.deliver(envelope)

    async def send(self, identity: str, envelope: Envelope) -> None:
        """Take a message in for a grain, waiting for room.

        Raises:
            ActorStoppedError: The system is stopping.
            StartError: The grain could not be made.
        """
        while True:
            cell = self.keeper.children.get(identity) or self._activate(identity)
            try:
                await cell.send(envelope)
            except ActorStoppedError:
                await ActorRef[Any](cell).wait_stopped()
            else:
                return

    def signal(self, identity: str, signal: Signal) -> None:
        """Pass a signal on to the activation of a grain; without one, a watcher hears of its end at once."""
        cell = self.keeper.children.get(identity)
        if cell is not None:
            cell.signal(signal)
            return
        self.keeper.check_thread()
        if isinstance(signal, Watch):
            signal.watcher.terminated(self._ref_to(identity), TerminationCause.STOPPED)

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that an activation has ended; what has come meanwhile activates the grain anew."""
        assert isinstance(ref, GrainRef)
        for envelope in self._waiting.pop(ref.identity, ()):
            if isinstance(envelope, Ask) and (envelope.given_up or not envelope.pending):
                self._system.dead_letter(envelope.message, envelope.sender, ref, DeadLetterReason.ASKER_GONE)
            else:
                deliver_or_lose(self._system, ref, envelope)

    def _activate(self, identity: str) -> Cell:
        """Begin an activation.

        Raises:
            ActorStoppedError: The system is stopping.
            StartError: The class could not be called.
        """
        kind, keeper = self._kind, self.keeper
        keeper.check_thread()
        if keeper.state is State.STOPPED:  # somebody has looked it up and stopped it
            self.keeper = begin(self._system.user, Keeper, (), keeper.name, keeper.options)
        cell = begin(self.keeper, kind.factory, (), identity, kind.options, self._ref_to(identity))
        cell.signal(Watch(self))
        return cell

    def _wait(self, identity: str, envelope: Envelope) -> None:
        self.keeper.check_thread()
        waiting = self._waiting.setdefault(identity, deque())
        if len(waiting) >= ROOM:
            ref = self._ref_to(identity)
            raise MailboxFullError(f"too much waits for {ref.path} to be activated again", ref.path)
        waiting.append(envelope)

    def _refuse(self, identity: str, envelope: Envelope, error: ActorError) -> None:
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(error)
        self._system.dead_letter(envelope.message, envelope.sender, self._ref_to(identity), DeadLetterReason.STOPPED)
