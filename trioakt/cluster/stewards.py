"""Stewards: at the owner of a shard, they know where its grains are when these are placed on other nodes.

Each such grain has a steward, an actor that passes on what comes. Where the grain is, is decided when the first message
comes, and is not changed before that node has said that the grain is not active there any more, or is gone itself.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import trio

from trioakt.cluster.guests import LOSSES, Awake, GuestLeft, ToGuest
from trioakt.cluster.hosts import Hosts
from trioakt.cluster.placement import Placement, Placing
from trioakt.cluster.view import fit
from trioakt.errors import PlacementError, TrioaktError
from trioakt.grains.grain import Contained, Grain, GrainKind
from trioakt.grains.shard import refuse
from trioakt.lowlevel import Actor, ActorRef, Address, Ask, Notice, Recipient, Watch, message
from trioakt.patterns.kinds import kind_name
from trioakt.patterns.passivation import Never
from trioakt.patterns.telling import deliver_or_lose
from trioakt.supervision import OneForOne

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioakt.cluster.estate import Estate
    from trioakt.cluster.guests import Guests
    from trioakt.cluster.member import Member
    from trioakt.cluster.view import Delta
    from trioakt.grains.shard import Shard
    from trioakt.lowlevel import CoreContext, Envelope, TerminationCause

_log = logging.getLogger("trioakt")

_PAUSE = 0.25
"""Seconds after which a node that has not answered is asked again."""


@message(name="trioakt.steward.find")
class Find:
    """Asks a steward for the present activation."""


class Search(Ask):
    """Such a request, which is no loss when the steward ends first."""

    __slots__ = ()

    lapses = True

    def __init__(self, steward: Recipient) -> None:
        super().__init__(Find(), None, None, math.inf, steward)


@message(name="trioakt.steward.move")
class Move:
    """Lets a steward find another node for its grain."""


@attrs.frozen
class Lodging:
    """Where a grain is.

    Attributes:
        member: The node, in one incarnation.
        lobby: Takes its messages there.
        token: Under which it was placed.
    """

    member: Member
    lobby: ActorRef[Any]
    token: int


class Sending(Ask):
    """A message on its way whose sender waits until the grain's mailbox has taken it."""

    __slots__ = ()

    asked = False
    lapses = True

    def __init__(self, sent: Envelope, grain: Recipient) -> None:
        super().__init__(sent.message, sent.sender, None, math.inf, grain)


class Stewards:
    """What the stewards of one shard share.

    Args:
        estate: By which the shard is owned.
        guests: Those of this node.
        name: Of the shard.
        owner: The token of this ownership.
        kind: The class of the grains.

    Attributes:
        kind: As what stewards are activated in the shard.
        homeless: Eager grains for which there is no place at the moment.
    """

    def __init__(self, estate: Estate, guests: Guests, name: str, owner: int, kind: type[Grain]) -> None:
        actors = estate.system.settings.actors
        contained = Contained(OneForOne())
        options = attrs.evolve(actors, passivation=Never(), supervision=contained, init_timeout=math.inf)
        self.kind = GrainKind(kind_name(kind), lambda: Steward(self), options)
        self._grain = kind
        self._placement = kind.placement or Placement.local()
        self._estate = estate
        self._view = estate.view
        self._guests = guests
        self._name = name
        self._owner = owner
        self._losses = 0
        self.homeless: dict[str, None] = {}
        self._hosts = Hosts(estate, guests, name, owner, self.kind.name)
        self.clear, self.wait_cleared = self._hosts.clear, self._hosts.wait_cleared
        self._lodgings: dict[str, Lodging] = {}
        self._origins: dict[str, str] = {}
        self._shard: Shard

    def serve(self, shard: Shard, door: ActorRef[Any]) -> None:
        """Learn of the shard whose stewards these are, and how it is reached; before anything else."""
        self._shard = shard
        self._hosts.serve(door)
        shard.keeper.signal(Watch(self))

    @property
    def is_eager(self) -> bool:
        """Whether grains are active again at once when their node is lost."""
        return self._grain.relocation == "eager"

    def note_origin(self, identity: str, node: str) -> None:
        """Hear from which node a message comes."""
        if node and identity not in self._lodgings:
            self._origins.setdefault(identity, node)

    # ------------------------------------------------------------------- what stewards do

    async def lodge(self, identity: str) -> Lodging:
        """Return where a grain is; if it is nowhere, find a place for it.

        Raises:
            PlacementError: No member can have it.
            LeaseLostError: This node does not own it any more.
        """
        while True:
            lodging = self._lodgings.get(identity)
            if lodging is not None and not self._hosts.is_there(lodging.member):
                self._drop(identity)
                lodging = None
            if lodging is None:
                lodging = await self._place(identity)
            elif not lodging.lobby.is_alive:  # and so none of its guests is
                lodging = await self._settle(identity, lodging.member)
            if lodging is not None:
                self._estate.lease.check()
                return lodging
            await trio.sleep(_PAUSE)

    async def _place(self, identity: str) -> Lodging | None:
        origin = self._origins.get(identity) or self._estate.run.rpartition("/")[0]
        left = self._fitting()
        if not left:
            role = f" with the role {self._placement.role!r}" if self._placement.role else ""
            raise PlacementError(f"no live member{role} can have a {self.kind.name} now")
        while left:
            rng, turn = self._estate.system.settings.rng, next(self._guests.turns)
            placing = Placing(left, origin, self._guests.placed, rng, turn)
            chosen = self._placement.choose(placing) or self._fallback(left)
            lodging = await self._settle(identity, chosen)
            if lodging is not None:
                return lodging
            left.remove(chosen)
        return None

    def _fitting(self) -> list[Member]:
        return fit(self._view.members.values(), self.kind.name, self._placement.role)

    def _fallback(self, fitting: Iterable[Member]) -> Member:
        """Return this node, or else the oldest that fits, where a grain cannot be on the node that wants it."""
        return min(fitting, key=lambda member: (member.run != self._estate.run, member.incarnation))

    async def _settle(self, identity: str, member: Member) -> Lodging | None:
        lobby = await self._hosts.lobby(member)
        if lobby is None or not self._hosts.is_there(member):
            return None
        member = self._view.members[member.node]
        if identity not in self._lodgings:
            if member.draining:  # only since then
                return None
            self._guests.placed[member.node] += 1
        lodging = self._lodgings[identity] = Lodging(member, lobby, (self._owner << LOSSES) + self._losses)
        self._origins.pop(identity, None)
        return lodging

    def _drop(self, identity: str) -> None:
        lodging = self._lodgings.pop(identity, None)
        if lodging is not None:
            self._guests.placed[lodging.member.node] -= 1

    def pass_on(self, identity: str, lodging: Lodging, envelope: Any) -> None:
        """Send a message to where its grain is."""
        reminder, is_sent = getattr(envelope, "reminder", None), isinstance(envelope, Sending)
        envelope.message = ToGuest(self._name, lodging.token, identity, envelope.message, reminder, is_sent)
        if isinstance(envelope, Ask):
            envelope.pass_on(lodging.lobby.recipient)
        deliver_or_lose(self._estate.system, lodging.lobby, envelope)

    def refuse(self, identity: str, envelope: Any, error: TrioaktError) -> None:
        """End a message for which there is no place."""
        self._origins.pop(identity, None)
        refuse(self._estate.system, self._shard.ref_to(identity), envelope, error)

    def wake(self, identity: str, lodging: Lodging) -> None:
        """Let a grain be active, without a message."""
        lodging.lobby.tell(ToGuest(self._name, lodging.token, identity, Awake()))

    async def find(self, identity: str) -> ActorRef[Any] | None:
        """Return the activation of a grain, wherever it is.

        Raises:
            NodeUnreachableError: Its node has not answered.
            LeaseLostError: That one has lost its lease, or this one has.
        """
        lodging = self._lodgings.get(identity)
        if lodging is None or not self._hosts.is_there(lodging.member):
            return None
        text = await self._hosts.inquire(lodging.member, "find", identity)
        return self._estate.endpoint.ref_of(text) if text else None

    async def leave(self, identity: str, verb: str) -> bool:
        """Forget where a grain is, as it is not active there any more; return whether that is so.

        Args:
            identity: Which.
            verb: ``release`` if it is not active at this moment, ``dismiss`` to let it finish and end.
        """
        lodging = self._lodgings.get(identity)
        if lodging is not None and self._hosts.is_there(lodging.member):
            try:
                if not await self._hosts.inquire(lodging.member, verb, identity):
                    return False
            except TrioaktError as error:
                _log.info("whether %s has ended on %s is not known yet: %s", identity, lodging.member.node, error)
                return False
        self._drop(identity)
        return True

    # ----------------------------------------------------------------------- what happens

    def hear(self, delta: Delta) -> None:
        """Hear of members that have gone or drain: their guests are to be elsewhere."""
        self._losses += len(delta.left)
        for identity in tuple(self.homeless) if self._fitting() else ():
            del self.homeless[identity]
            self._shard.deliver(identity, Notice(Move()))
        for identity, lodging in tuple(self._lodgings.items()):
            member = self._view.members.get(lodging.member.node)
            if member is None or member.run != lodging.member.run:
                self._drop(identity)
                news = Move() if self.is_eager else GuestLeft(identity)
            elif member.draining and not lodging.member.draining and member.run != self._estate.run:
                self._lodgings[identity] = attrs.evolve(lodging, member=member)
                news = Move()
            else:  # where this node drains, its stewards end
                continue
            steward = self._shard.active(identity)
            if steward is not None:
                steward.deliver(Notice(news))

    def linked(self, place: str) -> None:
        """Hear of a new link to the node at ``host:port``: what was sent there may be lost, or the word of an end."""
        runs = {each.run for each in self._view.members.values() if Address.parse(each.address).node == place}
        for identity, lodging in tuple(self._lodgings.items()):
            if lodging.member.run in runs:
                self.left(identity)

    def left(self, identity: str) -> None:
        """Hear that a grain may not be active any more: its steward looks, one that is gone begins anew for that."""
        if identity in self._lodgings:
            self._shard.deliver(identity, Notice(GuestLeft(identity)))

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that the shard has ended here: what its stewards knew counts no more."""
        for identity in tuple(self._lodgings):
            self._drop(identity)


class Steward(Actor):
    """Passes on what comes for one grain.

    Args:
        stewards: Those of its shard.
    """

    def __init__(self, stewards: Stewards) -> None:
        self._stewards = stewards
        self._identity: str

    async def pre_start(self, ctx: CoreContext) -> None:
        """Begin when no owner before can have the grain active anywhere."""
        self._identity = unquote(ctx.self.name)
        await self._stewards.wait_cleared()
        if self._stewards.is_eager:
            await self._wake()

    async def receive(self, ctx: CoreContext, msg: object) -> None:
        """Pass a message on; see where the grain is when something has happened to its node."""
        match msg:
            case Find():
                await self._find(ctx)
            case GuestLeft():
                if await self._stewards.leave(self._identity, "release"):
                    self._stop_if_idle(ctx)
            case Move():
                if await self._stewards.leave(self._identity, "dismiss"):
                    if self._stewards.is_eager:
                        await self._wake()
                    else:
                        self._stop_if_idle(ctx)
            case _:
                await self._pass_on(ctx)

    async def post_stop(self, ctx: CoreContext) -> None:
        """Let the grain finish what waits for it; where that is not known in time, the next steward goes on there."""
        await self._stewards.leave(self._identity, "dismiss")

    def _stop_if_idle(self, ctx: CoreContext) -> None:
        if self._identity not in self._stewards.homeless and not ctx.self.statistics().depth:
            ctx.stop()

    async def _wake(self) -> None:
        try:
            self._stewards.wake(self._identity, await self._stewards.lodge(self._identity))
        except PlacementError:
            self._stewards.homeless[self._identity] = None

    async def _pass_on(self, ctx: CoreContext) -> None:
        try:
            lodging = await self._stewards.lodge(self._identity)
        except PlacementError as error:
            self._stewards.refuse(self._identity, ctx.envelope, error)
            self._stop_if_idle(ctx)
        else:
            self._stewards.pass_on(self._identity, lodging, ctx.envelope)

    async def _find(self, ctx: CoreContext) -> None:
        try:
            ctx.reply(await self._stewards.find(self._identity))
        except TrioaktError as error:
            ctx.reply_to.fail(error)
