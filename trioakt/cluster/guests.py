"""Guests: grains that are active on this node at the wish of the owner of their shard, which may be another node.

The owner is the only one who decides where a grain is; what it sends carries its token. Whoever comes to own a shard
clears all nodes of the guests of owners before, and from then on these take nothing from those owners.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import attrs
import trio

from trioakt.cluster.reception import Reception, refs_to
from trioakt.cluster.reminders import Alarm, Reminder
from trioakt.errors import ActorStoppedError, LeaseLostError, MailboxFullError, NameTakenError
from trioakt.grains.grain import Grain, GrainKind
from trioakt.grains.ref import GrainRef
from trioakt.grains.shard import Shard, finish, open_keeper
from trioakt.lowlevel import PASSIVATE, ActorRef, Address, Ask, Carrier, DeadLetterReason, Envelope, Kill, message
from trioakt.patterns.kinds import kind_name
from trioakt.patterns.rhythm import Agenda

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioakt.cluster.estate import Estate
    from trioakt.grains.ref import GrainRecipient
    from trioakt.lowlevel import Actor, Cell, Signal

KEEPERS = "$guests."
"""With what the names of those begin whose children guests are."""
LOSSES = 20
"""Bits of a token that tell how many nodes the owner of a shard has seen leaving; the rest is the owner's own."""
_PAUSE = 0.05
"""Seconds between two looks at whether what waits for the parent of the guests is with them."""
_AGAIN = 5.0
"""Seconds after which the owner of a shard is told again that a guest has ended, until it has taken note."""


@message(name="trioakt.guest")
class ToGuest(Carrier):
    """A message on its way from the owner of a shard to where the grain is."""

    shard: str
    token: int
    """Under which the grain is placed."""
    identity: str
    message: Any
    reminder: Reminder | None = None
    sent: bool = False
    """Whether its sender waits for room in the mailbox."""


@message(name="trioakt.guest.left")
class GuestLeft:
    """Tells the owner of a shard that an activation has ended."""

    identity: str


@message(name="trioakt.guest.awake")
class Awake:
    """Lets a guest be active, without a message."""


class Guests:
    """The guests of one incarnation of a node.

    Args:
        estate: By which it is a member.
        kinds: The classes that may be placed here, by name.

    Attributes:
        placed: How many grains the shards of this node have placed on each node.
        turns: Counts the grains that they have placed.
    """

    def __init__(self, estate: Estate, kinds: Mapping[str, type[Actor]]) -> None:
        self.placed: Counter[str] = Counter()
        self.turns = count()
        self._estate = estate
        self._kinds = kinds
        self._lobbies: dict[str, Lobby] = {}
        self._owners: dict[str, _Owner] = {}
        self._is_killed = False

    @property
    def is_over(self) -> bool:
        """Whether no owner hears anything from here any more: what is here ends with the membership."""
        return self._is_killed or self._estate.system.user.closed

    def active(self, grain: GrainRecipient) -> Cell | None:
        """Return the activation of a grain here."""
        lobby = self._lobbies.get(grain.kind)
        return None if lobby is None else lobby.shard.active(grain.id)

    def token_of(self, path: str) -> int:
        """Return the fencing token of a guest, or of an actor below it.

        Raises:
            LeaseLostError: It is none of this incarnation.
        """
        keeper, _, below = path.removeprefix(f"{self._estate.system.user.path}/").partition("/")
        lobby = self._lobbies.get(keeper.removeprefix(KEEPERS))
        token = None if lobby is None else lobby.token_of(unquote(below.partition("/")[0]))
        if token is None:
            raise LeaseLostError(f"{path} is not owned by this node any more")
        return token

    def is_owner(self, shard: str, token: int) -> bool:
        """Return whether a token is of the owner of a shard that was here last."""
        owner = self._owners.get(shard)
        return owner is not None and owner.token == token >> LOSSES

    def owner_of(self, shard: str) -> ActorRef[Any] | None:
        """Return who has placed the guests of a shard here, maybe until now."""
        owner = self._owners.get(shard)
        return None if owner is None else owner.ref

    async def answer(self, question: str) -> str:
        """Answer the owner of a shard: ``RUN VERB SHARD TOKEN IDENTITY``, which asks an incarnation of a node.

        * ``clear``: guests of owners before are not there any more; the ref of the lobby. In place of an identity, the
          ref of the owner.
        * ``release``: ``yes``, when a grain is not active, and will not be before the owner sends something.
        * ``dismiss``: ``yes``, likewise, after it has handled what waits for it.
        * ``find``: the ref of the activation; empty if there is none.

        Raises:
            LeaseLostError: The asker is an owner of the past, or another incarnation is meant.
        """
        run, verb, shard, token, identity = question.split(" ", 4)
        kind = shard.split(".", 2)[2]
        before = self._owners.get(shard)
        is_past = before is not None and int(token) < before.token
        if self.is_over or unquote(run) != self._estate.run or is_past or kind not in self._kinds:
            raise LeaseLostError(f"{self._estate.run} has no guests of {shard} for the owner {token} of {run}")
        if verb == "clear":
            self._owners[shard] = _Owner(int(token), self._estate.endpoint.ref_of(identity))
            lobby = await self._open(kind)
            await lobby.clear(shard, int(token))
            return self._estate.endpoint.name_of(ActorRef(lobby))
        lobby = self._lobbies[kind]
        match verb:
            case "release":
                return "yes" if lobby.release(identity) else ""
            case "dismiss":
                await lobby.dismiss(identity)
                return "yes"
            case _:
                cell = lobby.shard.active(identity)
                return "" if cell is None else self._estate.endpoint.name_of(ActorRef(cell))

    async def _open(self, kind: str) -> Lobby:
        """Return the lobby of a class; one whose keeper somebody has stopped is opened anew."""
        factory = self._kinds[kind]
        assert issubclass(factory, Grain)
        while not self.is_over:
            lobby = self._lobbies.get(kind)
            if lobby is not None and lobby.is_alive:
                return lobby
            try:
                lobby = self._lobbies[kind] = Lobby(self, self._estate, factory)
            except NameTakenError:  # of an incarnation before
                before = self._estate.system.actor(f"/user/{KEEPERS}{kind}")
                if before is not None:
                    await before.wait_stopped()
            else:
                return lobby
        raise LeaseLostError(f"{self._estate.run} has lost its lease")

    async def let_go(self) -> None:
        """Return when no guest is left: owners call them away, and those that are lazy and at rest go by themselves."""
        while True:
            if not [lobby for lobby in tuple(self._lobbies.values()) if lobby.let_rest()]:
                return
            await trio.sleep(_PAUSE)

    def kill(self) -> list[ActorRef[Any]]:
        """End all at once; return what is to have ended then."""
        self._is_killed = True
        keepers = [ActorRef[Any](lobby.shard.keeper) for lobby in self._lobbies.values()]
        for keeper in keepers:
            keeper.kill()
        return keepers


class Lobby(Reception):
    """The recipient of what comes to the guests of one class.

    Args:
        guests: Those of this node.
        estate: Of this node.
        kind: The class.

    Attributes:
        shard: The activations.
    """

    def __init__(self, guests: Guests, estate: Estate, kind: type[Grain]) -> None:
        system, text = estate.system, kind_name(kind)
        grains = GrainKind.of(kind, system.settings.actors)
        self.shard = Shard(
            system, open_keeper(system, KEEPERS + text, self._run), grains, refs_to(estate.endpoint, text)
        )
        self.shard.changed = self._note
        self._is_lazy = kind.relocation == "lazy"
        self._guests = guests
        self._estate = estate
        self._stays: dict[str, _Stay] = {}
        self._by_shard: dict[str, dict[str, None]] = {}
        self._left: Agenda[str] = Agenda()
        self._admitting: Counter[str] = Counter()
        self._wake = trio.Event()

    def token_of(self, identity: str) -> int | None:
        """Return the token under which a grain was placed here."""
        stay = self._stays.get(identity)
        return None if stay is None else stay.token

    # ------------------------------------------------------------------------- messages

    def deliver(self, envelope: Envelope) -> None:
        """Hand a message to its guest; what comes from an owner of the past is a dead letter."""
        routed = envelope.message
        if not isinstance(routed, ToGuest) or not self._guests.is_owner(routed.shard, routed.token):
            self._refuse(envelope)
            return
        identity, grain = routed.identity, self.shard.ref_to(routed.identity).grain
        self._keep(identity, _Stay(routed.shard, routed.token))
        if isinstance(routed.message, Awake):
            self.shard.wake(identity)
        else:
            self._pass_on(envelope, routed, grain)
        if not self._is_needed(identity):  # it could not be made
            self._note(identity)

    def _pass_on(self, envelope: Envelope, routed: ToGuest, grain: GrainRecipient) -> None:
        envelope.message = routed.message
        if isinstance(envelope, Ask):
            self._estate.endpoint.check_circle(envelope, grain)
            envelope.target = grain
        if routed.sent and isinstance(envelope, Ask):
            self._admitting[grain.id] += 1  # it is needed until its mailbox has taken this
            self.shard.keeper.own().tasks.start_soon(self._admit, envelope, grain)
        elif routed.reminder is not None and isinstance(envelope, Ask):
            alarm = Alarm(envelope.message, routed.reminder, grain)
            self.shard.deliver(grain.id, alarm)
            self.shard.keeper.own().tasks.start_soon(self._answer, envelope, alarm, grain)
        else:
            self.shard.deliver(grain.id, envelope)

    async def send(self, envelope: Envelope) -> None:
        """Take a message in; that a sender waits for the guest is said in the message."""
        self.deliver(envelope)
        await trio.lowlevel.checkpoint()

    def signal(self, signal: Signal) -> None:
        """Pass a signal on to the parent of the guests."""
        self.shard.keeper.signal(signal)

    async def _admit(self, sent: Ask, grain: GrainRecipient) -> None:
        """Tell the sender when the mailbox has taken a message."""
        try:
            await self.shard.send(grain.id, Envelope(sent.message, sent.sender))
            sent.reply(None)
        except ActorStoppedError as error:  # it names the parent of the guests, which may only be made again
            sent.fail(ActorStoppedError(str(error), GrainRef(grain).path))
        except Exception as error:  # of the grain, or of its mailbox
            sent.fail(error)
        finally:
            self._end(sent, grain)
            self._admitting[grain.id] -= 1
            if not self._admitting[grain.id]:
                del self._admitting[grain.id]
            if not self._is_needed(grain.id):  # it could not be made
                self._note(grain.id)

    def _is_needed(self, identity: str) -> bool:
        return self.shard.is_needed(identity) or identity in self._admitting

    async def _answer(self, told: Ask, alarm: Alarm, grain: GrainRecipient) -> None:
        """Tell the owner how a reminder has ended."""
        try:
            await alarm.wait()
            told.reply(None)
        except Exception as error:  # of the grain
            told.fail(error)
        finally:
            self._end(told, grain)

    def _end(self, told: Ask, grain: GrainRecipient) -> None:
        """See that a message has an answer, though the parent of the guests ends or is made again."""
        if told.pending:
            told.fail(ActorStoppedError(f"{grain.address} has been stopped", GrainRef(grain).path))

    def _refuse(self, envelope: Envelope) -> None:
        routed = envelope.message
        identity = routed.identity if isinstance(routed, ToGuest) else ""
        if isinstance(envelope, Ask) and envelope.pending:
            text = f"{self.address} takes messages from the present owners of its shards only"
            envelope.fail(ActorStoppedError(text, f"{self.shard.keeper.path}/{quote(identity, safe='')}"))
        self._estate.system.dead_letter(routed, envelope.sender, ActorRef(self), DeadLetterReason.STOPPED)

    # ---------------------------------------------------------------- what owners are told

    async def _run(self) -> None:
        """Be the task of the keeper: tell owners which of their guests have ended, until they have taken note."""
        await self.shard.go_on()
        while True:
            self._wake = trio.Event()
            now = trio.current_time()
            for _, identity in self._left.take(now):
                self._tell(identity)
                self._left.put(identity, now + _AGAIN)
            with trio.move_on_at(self._left.next_at):
                await self._wake.wait()

    def _note(self, identity: str) -> None:
        """Hear that a guest is active, or has ended; the shard calls this."""
        if self.shard.active(identity) is None:
            self._left.put(identity, -math.inf)
            self._wake.set()
        else:
            self._left.discard(identity)

    def _tell(self, identity: str) -> None:
        owner = self._guests.owner_of(self._stays[identity].shard)
        if owner is None or not owner.is_alive or self._guests.is_over:
            return
        node = Address.parse(owner.address).node
        if node == self._estate.system.node or self._estate.endpoint.is_linked(node):
            with suppress(MailboxFullError):  # the link has more to do: next time
                owner.tell(GuestLeft(identity))

    # ------------------------------------------------------------------- what owners want

    def release(self, identity: str) -> bool:
        """Forget a grain that is not active; return whether that is so."""
        if self._is_needed(identity):
            return False
        self._forget(identity)
        return True

    async def dismiss(self, identity: str) -> None:
        """Forget a grain, after it has handled what waits for it."""
        while self._is_needed(identity):
            cell = self.shard.active(identity)
            if cell is None:  # it is about to be made, or its parent is made again
                await trio.sleep(_PAUSE)
            else:
                finish(cell)
                await ActorRef[Any](cell).wait_stopped()
        self._forget(identity)

    def let_rest(self) -> bool:
        """Passivate lazy guests that are at rest, and return whether any are left."""
        guests = tuple(self.shard.keeper.children.values())
        for guest in guests if self._is_lazy else ():
            guest.signal(PASSIVATE)
        return bool(guests)

    async def clear(self, shard: str, owner: int) -> None:
        """Forget the guests of owners before; what they have not handled after the grace period is cut off."""
        past = [each for each in self._by_shard.get(shard, ()) if self._stays[each].token >> LOSSES < owner]
        async with trio.open_nursery() as nursery:
            for identity in past:
                nursery.start_soon(self._evict, identity)

    async def _evict(self, identity: str) -> None:
        with trio.move_on_after(self._estate.system.settings.actors.stop_grace) as grace:
            await self.dismiss(identity)
        if grace.cancelled_caught:
            self.shard.signal(identity, Kill())
            await self.dismiss(identity)

    def _keep(self, identity: str, stay: _Stay) -> None:
        if identity not in self._stays:
            self._stays[identity] = stay
            self._by_shard.setdefault(stay.shard, {})[identity] = None

    def _forget(self, identity: str) -> None:
        stay = self._stays.pop(identity, None)
        if stay is not None:
            self._by_shard[stay.shard].pop(identity, None)
            self._left.discard(identity)


@attrs.frozen
class _Owner:
    """Who has placed the guests of a shard."""

    token: int
    ref: ActorRef[Any]


@attrs.frozen
class _Stay:
    """Why a grain is here."""

    shard: str
    token: int
