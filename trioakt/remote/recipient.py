"""The recipient behind a ref to an actor of another node; the ref is the same as any other."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

import trio

from trioakt.errors import ActorStoppedError
from trioakt.lowlevel import (
    ActorRef,
    Ask,
    DeadLetterReason,
    Envelope,
    Kill,
    PoisonPill,
    Reinstate,
    Signal,
    Stop,
    TerminationCause,
    Unwatch,
    Watch,
)

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.peer import Peer

_ORDERS: dict[type[Any], str] = {Stop: "stop", Kill: "kill", PoisonPill: "poison", Reinstate: "reinstate"}


class RemoteRecipient:
    """One spawn of an actor in one incarnation of another node.

    Attributes:
        peer: That node.
        path: The actor's path there.
        incarnation: That node's incarnation.
        number: What that node knows the actor by.
        cause: Why it has ended, once this node has heard of its end.

    There is one object for each, so that they are compared by identity.
    """

    __slots__ = ("__weakref__", "_system", "cause", "incarnation", "number", "path", "peer")

    def __init__(self, system: CoreSystem, peer: Peer, path: str, incarnation: bytes, number: int) -> None:
        self._system = system
        self.peer = peer
        self.path = path
        self.incarnation = incarnation
        self.number = number
        self.cause: TerminationCause | None = None

    @property
    def address(self) -> str:
        """The full address."""
        return f"trioakt://{self._system.name}@{self.peer.address}{self.path}"

    @property
    def is_alive(self) -> bool:
        """Whether it takes messages, as far as this node has heard."""
        return self.cause is None and self.peer.incarnation in (None, self.incarnation)

    def deliver(self, envelope: Envelope) -> None:
        """Put a message on its way; one for an actor that is known to have ended is a dead letter."""
        self._check_thread()
        if not self.is_alive:
            self._refuse(envelope)
        elif isinstance(envelope, Ask):
            self.peer.question(self, envelope)
        else:
            self.peer.tell(self, envelope)

    async def send(self, envelope: Envelope) -> None:
        """Wait until the actor's mailbox has taken the message."""
        self._check_thread()
        await trio.lowlevel.checkpoint()
        if not self.is_alive:
            raise self._stopped()
        await self.peer.send(self, envelope)

    def signal(self, signal: Signal) -> None:
        """Pass a signal on."""
        self._check_thread()
        match signal:
            case Watch(watcher):
                if self.is_alive:
                    self.peer.watch(self, watcher)
                else:
                    watcher.terminated(ActorRef(self), self.cause or TerminationCause.NODE_LOST)
            case Unwatch(watcher):
                self.peer.unwatch(self, watcher)
            case _ if type(signal) in _ORDERS and self.is_alive:
                self.peer.order(self, _ORDERS[type(signal)])
            case _:
                pass

    def _refuse(self, envelope: Envelope) -> None:
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(self._stopped())
        reason = DeadLetterReason.NODE_GONE if self.cause is None else DeadLetterReason.STOPPED
        self._system.dead_letter(envelope.message, envelope.sender, ActorRef(self), reason)

    def _stopped(self) -> ActorStoppedError:
        return ActorStoppedError(f"{self.address} has stopped, it takes no more messages", self.path)

    def _check_thread(self) -> None:
        if get_ident() != self._system.thread:
            raise self._system.wrong_thread(self.address)
