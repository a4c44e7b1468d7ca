"""Shards: how the identities of grains are shared out, and the door by which messages come to those owned here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio

from trioakt.cluster.reminders import Reminders
from trioakt.cluster.roll import Roll
from trioakt.errors import UnhandledMessageError
from trioakt.grains.grain import Grain, GrainKind
from trioakt.grains.ref import GrainRef
from trioakt.grains.shard import Shard, open_keeper
from trioakt.grains.sharing import ToGrain
from trioakt.lowlevel import (
    ActorRef,
    Ask,
    DeadLetterReason,
    Envelope,
    PoisonPill,
    Signal,
    Stop,
    passes_through,
)
from trioakt.patterns.kinds import kind_name

if TYPE_CHECKING:
    from trioakt.cluster.estate import Estate
    from trioakt.grains.ref import GrainRecipient


def open_shard(estate: Estate, name: str, kind: type[Grain]) -> ActorRef[Any]:
    """Open a shard that this node has come to own, and return the ref by which all nodes reach it.

    Raises:
        NameTakenError: An earlier life of it has not ended yet.
        ActorStoppedError: The system is stopping.
        TypeError, ValueError: The class has a bad option.
    """
    return ActorRef(Door(estate, name, kind))


class Door:
    """The recipient of what comes to a shard of this node.

    Args:
        estate: By which it is owned.
        name: Of the shard.
        kind: The class of its grains.

    Attributes:
        shard: The activations.
        reminders: Of its grains.
    """

    def __init__(self, estate: Estate, name: str, kind: type[Grain]) -> None:
        system, text = estate.system, kind_name(kind)

        def ref_to(identity: str) -> GrainRef[Any]:
            ref = estate.endpoint.ref_of(f"grain/{text}/{identity}")
            assert isinstance(ref, GrainRef)
            return ref

        grains = GrainKind.of(kind, system.settings.actors)
        shard = self.shard = Shard(system, open_keeper(system, name, self._run), grains, ref_to)
        self._system = system
        self._endpoint = estate.endpoint
        prefix = f"trioakt.grains/{estate.view.prefix.removeprefix('trioakt/')}{name}/"
        self.reminders = Reminders(shard, estate.endpoint, estate.store, estate.lease, prefix)
        self._roll = Roll(shard, estate.store, prefix) if kind.relocation == "eager" else None

    async def _run(self) -> None:
        """Be the task of the keeper, in each of its lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.shard.go_on)
            nursery.start_soon(self.reminders.run)
            if self._roll is not None:
                nursery.start_soon(self._roll.run)

    @property
    def address(self) -> str:
        """The address."""
        return self.shard.keeper.address

    @property
    def is_alive(self) -> bool:
        """Whether it takes messages."""
        return self.shard.keeper.is_alive

    def deliver(self, envelope: Envelope) -> None:
        """Hand a message to its grain; what is for none of this shard is a dead letter."""
        grain = self._addressee(envelope)
        if grain is None:
            if isinstance(envelope, Ask) and envelope.pending:
                envelope.fail(self._astray())
            self._system.dead_letter(envelope.message, envelope.sender, ActorRef(self), DeadLetterReason.UNHANDLED)
            return
        envelope.message = envelope.message.message
        if isinstance(envelope, Ask):
            self._endpoint.check_circle(envelope, grain)
            envelope.target = grain
        self.shard.deliver(grain.id, envelope)

    async def send(self, envelope: Envelope) -> None:
        """Wait until the grain's mailbox has taken a message.

        Raises:
            UnhandledMessageError: It is for no grain of this shard.
        """
        grain = self._addressee(envelope)
        if grain is None:
            raise self._astray()
        envelope.message = envelope.message.message
        await self.shard.send(grain.id, envelope)

    def _addressee(self, envelope: Envelope) -> GrainRecipient | None:
        """Return the grain of this shard that a message is for; that of one that is active is known."""
        routed = envelope.message
        if not isinstance(routed, ToGrain):
            return None
        cell = self.shard.active(routed.identity)
        if cell is not None:
            return cast("GrainRef[Any]", cell.ref).grain
        grain = self.shard.ref_to(routed.identity).grain
        return grain if grain.shard == self.shard.keeper.name else None

    def _astray(self) -> UnhandledMessageError:
        return UnhandledMessageError(f"{self.address} takes messages for its own grains only", self.shard.keeper.path)

    def signal(self, signal: Signal) -> None:
        """Pass a signal on to the parent of the grains; a pill comes after all that waits for them."""
        keeper = self.shard.keeper
        if isinstance(signal, PoisonPill) and keeper.is_alive:
            keeper.own().tasks.start_soon(self._drain)
        else:
            keeper.signal(signal)

    async def _drain(self) -> None:
        """Let each grain finish what waits for it, then stop."""
        keeper = self.shard.keeper
        if self._roll is not None:
            self._roll.closed = True
        while keeper.children:
            grains = tuple(keeper.children.values())
            for grain in grains:
                try:
                    grain.signal(PoisonPill())
                except BaseException as error:  # its mailbox is broken
                    if passes_through(error):
                        raise
                    grain.signal(Stop())
            for grain in grains:
                await ActorRef[Any](grain).wait_stopped()
        keeper.signal(Stop())
