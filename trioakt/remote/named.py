"""The recipient behind a ref to a name of the cluster: it means whoever owns the name, now and after relocation."""

from __future__ import annotations

from collections import deque
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

import trio

from trioakt.errors import ActorStoppedError, MailboxFullError
from trioakt.lowlevel import (
    ActorRef,
    Address,
    Ask,
    DeadLetterReason,
    Envelope,
    Kill,
    PoisonPill,
    Signal,
    Stop,
    TerminationCause,
    Unwatch,
    Watch,
    Watcher,
    refuse_cycle,
)
from trioakt.patterns.parking import Parked
from trioakt.patterns.telling import lose

if TYPE_CHECKING:
    from trioakt.errors import TrioaktError
    from trioakt.lowlevel import CoreSystem

ROOM = 10_000
"""Messages that may wait at one node for a name to have an owner again."""


class Registry(Protocol):
    """What a recipient needs of the node."""

    def owner_of(self, name: str) -> ActorRef[Any] | None:
        """Return the actor that has a name now, if it has started and takes messages."""
        ...

    def keep(self, recipient: NamedRecipient) -> None:
        """Hold on to a recipient for as long as it is in use, and let it ``settle`` when something changes."""
        ...

    def is_known(self, name: str) -> bool:
        """Return whether the name is there, as far as this node has heard."""
        ...

    def look_up(self, recipient: NamedRecipient) -> None:
        """Find out whether the name is there, and let the recipient ``settle``."""
        ...

    def give_up(self, name: str) -> None:
        """End a name that nobody owns."""
        ...


class NamedRecipient:
    """One name of the cluster. What comes while nobody owns it waits here, in order.

    There is one object for each name that is in use, so that they are compared by identity.

    Args:
        system: This node's.
        registry: What knows who has the name.
        name: Which.
        prefix: With what its identity begins, where the name is one of another cluster.

    Attributes:
        name: Which.
        identity: By what the codec knows it.
    """

    __slots__ = (
        "__weakref__",
        "_parked",
        "_reason",
        "_registry",
        "_settled",
        "_system",
        "_watchers",
        "identity",
        "name",
    )

    def __init__(self, system: CoreSystem, registry: Registry, name: str, prefix: str = "") -> None:
        self._system = system
        self.name = name
        self.identity = f"{prefix}cluster/{name}"
        self._reason = ""
        self._registry = registry
        self._parked: deque[Parked] = deque()
        self._watchers: dict[Watcher, None] = {}
        self._settled = trio.Event()

    @property
    def address(self) -> str:
        """The address, which names no node."""
        return str(Address(self._system.name, "", f"/user/{self.name}"))

    @property
    def is_alive(self) -> bool:
        """Whether the name is there, as far as this node has heard."""
        return self._registry.is_known(self.name)

    @property
    def is_in_use(self) -> bool:
        """Whether somebody waits here."""
        return bool(self._parked or self._watchers)

    @property
    def has_parked(self) -> bool:
        """Whether messages wait here."""
        return bool(self._parked)

    def deliver(self, envelope: Envelope) -> None:
        """Hand a message to the owner; while there is none it waits."""
        self._check_thread()
        owner = None if self._parked else self._registry.owner_of(self.name)
        if owner is not None:
            _aim(envelope, owner)
            owner.recipient.deliver(envelope)
        elif len(self._parked) >= ROOM and not self._has_dropped():
            raise MailboxFullError(f"too much waits for {self.name!r} to have an owner again", f"/user/{self.name}")
        else:
            self._parked.append(Parked(envelope))
            self._watch_out()

    async def send(self, envelope: Envelope) -> None:
        """Wait until there is an owner, and until that has taken the message."""
        self._check_thread()
        await trio.lowlevel.checkpoint()
        while (owner := None if self._parked else self._registry.owner_of(self.name)) is None:
            outcome = self._settled
            self._watch_out()
            await outcome.wait()
            if not self.is_alive:
                raise self._stopped()
        await owner.recipient.send(envelope)

    def signal(self, signal: Signal) -> None:
        """Keep watchers here, as they watch the name and not its owner; pass on the rest."""
        self._check_thread()
        match signal:
            case Watch(watcher):
                self._watchers[watcher] = None
                self._watch_out()
            case Unwatch(watcher):
                self._watchers.pop(watcher, None)
            case _:
                owner = self._registry.owner_of(self.name)
                if owner is not None:
                    owner.recipient.signal(signal)
                elif isinstance(signal, Stop | Kill | PoisonPill):
                    self._registry.give_up(self.name)

    def settle(self, *, is_there: bool, reason: str = "") -> None:
        """Hear that something has changed about the name, or that it is not there, and maybe why."""
        self._reason = reason
        owner = self._registry.owner_of(self.name) if is_there else None
        if is_there and owner is None:
            return
        parked, self._parked = self._parked, deque()
        for each in parked:
            each.go_on(self._refuse if owner is None else partial(self._hand_over, owner))
        if owner is None:
            watchers, self._watchers = self._watchers, {}
            for watcher in watchers:
                watcher.terminated(ActorRef(self), TerminationCause.STOPPED)
        self._settled.set()
        self._settled = trio.Event()

    def _has_dropped(self) -> bool:
        """Drop requests whose askers have given up; return whether there were any."""
        parked, self._parked = self._parked, deque()
        for each in parked:
            if isinstance(each.envelope, Ask) and (each.envelope.given_up or not each.envelope.pending):
                self._lapse(each.envelope)
            else:
                self._parked.append(each)
        return len(self._parked) < len(parked)

    def _lapse(self, envelope: Ask) -> None:
        self._system.dead_letter(envelope.message, envelope.sender, ActorRef(self), DeadLetterReason.ASKER_GONE)

    def _watch_out(self) -> None:
        """See that this object is told; a name that this node has not heard of is looked up."""
        self._registry.keep(self)
        if not self.is_alive:
            self._registry.look_up(self)

    def _hand_over(self, owner: ActorRef[Any], envelope: Envelope) -> None:
        system = self._system
        if isinstance(envelope, Ask) and (envelope.given_up or not envelope.pending):
            self._lapse(envelope)
            return
        try:
            _aim(envelope, owner)
            owner.recipient.deliver(envelope)
        except Exception as error:  # such as a circle of asks, which is seen only now
            if isinstance(envelope, Ask):
                envelope.fail(error)
            else:
                lose(system, owner, envelope.message, envelope.sender, error)

    def _refuse(self, envelope: Envelope) -> None:
        if isinstance(envelope, Ask) and envelope.pending:
            envelope.fail(self._stopped())
        system = self._system
        system.dead_letter(envelope.message, envelope.sender, ActorRef(self), DeadLetterReason.STOPPED)

    def _stopped(self) -> TrioaktError:
        return ActorStoppedError(f"the cluster has no actor {self.name!r} any more", f"/user/{self.name}")

    def _check_thread(self) -> None:
        system = self._system
        if get_ident() != system.thread:
            raise system.wrong_thread(self.address)


def _aim(envelope: Envelope, owner: ActorRef[Any]) -> None:
    """Let a request wait for the owner itself, so that circles are found."""
    if isinstance(envelope, Ask):
        if envelope.waiter is not None and envelope.sender is not None:
            refuse_cycle(envelope.sender, envelope.waiter, owner.recipient)
        envelope.target = owner.recipient
