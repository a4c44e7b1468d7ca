"""Shards: how the identities of grains are shared out, and the door by which messages come to those owned here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from trioakt.cluster.guests import GuestLeft
from trioakt.cluster.reception import Reception, refs_to
from trioakt.cluster.reminders import DropReminder, KeepReminder, Reminders
from trioakt.cluster.roll import Roll
from trioakt.cluster.stewards import Sending, Stewards
from trioakt.errors import UnhandledMessageError
from trioakt.grains.grain import Grain, GrainKind
from trioakt.grains.ref import GrainRef
from trioakt.grains.shard import Shard, finish, open_keeper
from trioakt.grains.sharing import ToGrain
from trioakt.lowlevel import (
    ActorRef,
    Ask,
    DeadLetterReason,
    Envelope,
    PoisonPill,
    Signal,
    Stop,
)
from trioakt.patterns.kinds import kind_name

if TYPE_CHECKING:
    from trioakt.cluster.estate import Estate
    from trioakt.cluster.guests import Guests
    from trioakt.cluster.view import Delta
    from trioakt.grains.ref import GrainRecipient


def open_shard(estate: Estate, guests: Guests, name: str, token: int, kind: type[Grain]) -> ActorRef[Any]:
    """Open a shard that this node has come to own, and return the ref by which all nodes reach it.

    Args:
        estate: By which it is owned.
        guests: Those of this node.
        name: Of the shard.
        token: Of this ownership.
        kind: The class of its grains.

    Raises:
        NameTakenError: An earlier life of it has not ended yet.
        ActorStoppedError: The system is stopping.
        TypeError, ValueError: The class has a bad option.
    """
    stewards = None if kind.placement is None else Stewards(estate, guests, name, token, kind)
    return ActorRef(Door(estate, name, kind, stewards))


class Door(Reception):
    """The recipient of what comes to a shard of this node.

    Args:
        estate: By which it is owned.
        name: Of the shard.
        kind: The class of its grains.
        stewards: Know where the grains are, unless all of them are here.

    Attributes:
        shard: The activations, or the stewards.
        stewards: Know where the grains are, unless all of them are here.
        reminders: Of its grains.
    """

    def __init__(self, estate: Estate, name: str, kind: type[Grain], stewards: Stewards | None) -> None:
        system, text = estate.system, kind_name(kind)
        grains = GrainKind.of(kind, system.settings.actors) if stewards is None else stewards.kind
        keeper = open_keeper(system, name, self._run)
        shard = self.shard = Shard(system, keeper, grains, refs_to(estate.endpoint, text), named=stewards is None)
        self.stewards = stewards
        if stewards is not None:
            stewards.serve(shard, ActorRef(self))
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
            if self.stewards is not None:
                nursery.start_soon(self.stewards.clear)

    def deliver(self, envelope: Envelope) -> None:
        """Hand a message to its grain; what is for none of this shard is a dead letter."""
        match envelope.message:
            case GuestLeft(identity) if self.stewards is not None:
                self.stewards.left(identity)
                return
            case KeepReminder() | DropReminder() if isinstance(envelope, Ask):
                self.shard.keeper.own().tasks.start_soon(self.reminders.obey, envelope)
                return
            case _:
                pass
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
        await self.admit(grain, envelope)

    async def admit(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Wait until the mailbox of a grain of this shard has taken a message, wherever it is."""
        if self.stewards is None:
            await self.shard.send(grain.id, envelope)
        else:
            sending = Sending(envelope, grain)
            self.shard.deliver(grain.id, sending)
            await sending.wait()

    def _addressee(self, envelope: Envelope) -> GrainRecipient | None:
        """Return the grain of this shard that a message is for; that of one that is active is known."""
        routed = envelope.message
        if not isinstance(routed, ToGrain):
            return None
        cell = self.shard.active(routed.identity)
        if cell is not None and isinstance(cell.ref, GrainRef):
            return cell.ref.grain
        grain = self.shard.ref_to(routed.identity).grain
        if self.stewards is not None:
            self.stewards.note_origin(grain.id, routed.origin)
        return grain if grain.shard == self.shard.keeper.name else None

    def _astray(self) -> UnhandledMessageError:
        return UnhandledMessageError(f"{self.address} takes messages for its own grains only", self.shard.keeper.path)

    def hear(self, delta: Delta) -> None:
        """Hear of what has changed about the members."""
        if self.stewards is not None:
            self.stewards.hear(delta)

    def linked(self, place: str) -> None:
        """Hear of a new link to the node at ``host:port``."""
        if self.stewards is not None:
            self.stewards.linked(place)

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
                finish(grain)
            for grain in grains:
                await ActorRef[Any](grain).wait_stopped()
        keeper.signal(Stop())
