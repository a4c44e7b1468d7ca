"""The ref: the one handle by which everybody reaches an actor, wherever and whatever it is."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, cast, overload

import trio

from trioakt._core.address import Address
from trioakt._core.asking import ask, holding_of
from trioakt._core.message import Envelope, PoisonPill, Request, TerminationCause
from trioakt._core.signals import KILL, POISON_PILL, REINSTATE, STOP, Signal, Unwatch, Watch

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from trioakt._core.overview import ActorStatistics

    M_contra = TypeVar("M_contra", contravariant=True, default=Any)
else:
    from typing import TypeVar

    M_contra = TypeVar("M_contra", contravariant=True)

R = TypeVar("R")

new = object.__new__


class Recipient(Protocol):
    """Where the messages of a ref go: a cell, a remote actor, a router, a probe."""

    @property
    def address(self) -> str:
        """The full address."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether messages are still taken in."""
        ...

    def deliver(self, envelope: Envelope) -> None:
        """Take an envelope in now, or refuse it by the policy of the mailbox."""
        ...

    async def send(self, envelope: Envelope) -> None:
        """Take an envelope in, waiting for room."""
        ...

    def signal(self, signal: Signal) -> None:
        """Take a signal in; signals are never refused."""
        ...


class ActorRef(Generic[M_contra]):
    """A handle on one spawn of an actor: small, hashable, safe to keep and to send.

    A restart keeps the ref, a stop ends it; a later actor of the same name has another ref.
    """

    __slots__ = ("__weakref__", "recipient")

    def __init__(self, recipient: Recipient) -> None:
        self.recipient = recipient

    @property
    def address(self) -> str:
        """The full address, ``trioakt://system[@host:port]/user/...``."""
        return self.recipient.address

    @property
    def path(self) -> str:
        """The path within its system, ``/user/...``."""
        return Address.parse(self.recipient.address).path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_alive(self) -> bool:
        """Whether it still takes messages; a suspended or restarting actor does."""
        return self.recipient.is_alive

    def tell(self, message: M_contra, sender: ActorRef[Any] | None = None) -> None:
        """Enqueue a message now, never waiting; to an actor that has ended it becomes a dead letter.

        Raises:
            MailboxFullError: Its bounded mailbox is full and rejects.
            RuntimeError: Called from a thread other than the system's; use ``system.portal`` there.
        """
        if message.__class__ is PoisonPill:
            self.recipient.signal(POISON_PILL)
            return
        envelope = new(Envelope)  # a third faster than to call the class, on the hottest line there is
        envelope.message = message
        envelope.sender = sender
        self.recipient.deliver(envelope)

    async def send(self, message: M_contra, sender: ActorRef[Any] | None = None) -> None:
        """Enqueue a message, waiting for room: this is backpressure. When cancelled, the message was not sent.

        Raises:
            ActorStoppedError: The actor has ended, maybe while waiting.
            RuntimeError: Called from a thread other than the system's; use ``system.portal`` there.
        """
        if message.__class__ is PoisonPill:
            await trio.lowlevel.checkpoint()
            self.tell(message)
        else:
            await self.recipient.send(Envelope(message, sender))

    @overload
    def ask(self, request: Request[R]) -> Coroutine[Any, Any, R]: ...
    @overload
    def ask(self, request: M_contra) -> Coroutine[Any, Any, Any]: ...
    def ask(self, request: object) -> Coroutine[Any, Any, Any]:
        """Send a request and wait for its reply.

        When cancelled, the request counts as given up: it is not begun any more, and a handler that runs is
        cancelled too where the message type says ``cancellable=True``.

        Raises:
            ActorFailedError: The handler failed or refused; the cause is its exception.
            ActorStoppedError: The actor ended before it answered.
            NoReplyError: The handler ended without an answer.
            UnhandledMessageError: The actor does not handle such a request.
            MailboxFullError: The mailbox or the stash has no room for it.
            AskCycleError: The actors on the way would wait for each other.
            ConnectionLostError: The link to its node was lost.
        """
        return ask(self.recipient, request)

    def stop(self) -> None:
        """Stop it after the message in hand; what waits becomes dead letters, children stop first."""
        self.recipient.signal(STOP)

    def kill(self) -> None:
        """Cancel its handler now and stop it."""
        self.recipient.signal(KILL)

    def reinstate(self) -> None:
        """Let a suspended actor go on, and those suspended below it."""
        self.recipient.signal(REINSTATE)

    async def wait_stopped(self) -> None:
        """Return when it has gone, at once when it already has.

        Raises:
            RuntimeError: Called by the actor's own handler, which would wait for itself.
        """
        holding = holding_of(trio.lowlevel.current_task())
        own = getattr(self.recipient, "ref", self)  # by which the actor is known to itself
        if holding is not None and holding.ref == own:
            raise RuntimeError(f"{self.path} cannot wait in its own handler for its own end")
        waiter = _EndWaiter()
        self.recipient.signal(Watch(waiter))
        try:
            await waiter.ended.wait()
        finally:
            self.recipient.signal(Unwatch(waiter))

    def statistics(self) -> ActorStatistics:
        """Return frozen figures about this actor.

        Raises:
            TypeError: It is not an actor of this process.
        """
        report = getattr(self.recipient, "statistics", None)
        if report is None:
            raise TypeError(f"{self.address} keeps no statistics here")
        return cast("ActorStatistics", report())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and self.recipient == other.recipient

    def __hash__(self) -> int:
        return hash(self.recipient)

    def __repr__(self) -> str:
        return f"<ActorRef {self.address}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a ref travels through trioakt's own codec, not through pickle or copy: {self!r}")


class _EndWaiter:
    """The one who waits in ``wait_stopped``, as a watcher."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = trio.Event()

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        self.ended.set()
