"""Grains of a cluster: each is active on the node that owns its shard, and reached from every node."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any

import trio

from trioakt.cluster.facts import NameFact, encode_fact
from trioakt.cluster.far_grains import FarGrains
from trioakt.cluster.insisting import insist
from trioakt.cluster.reminders import FarReminders
from trioakt.cluster.shards import Door
from trioakt.cluster.stewards import Search
from trioakt.cluster.view import NAMES
from trioakt.errors import ActorStoppedError, LeaseLostError, PlacementError
from trioakt.grains.grain import Grain, GrainKind, check_grain, check_identity
from trioakt.grains.ref import GrainRecipient, GrainRef
from trioakt.grains.sharing import ToGrain, shard_name
from trioakt.lowlevel import ActorRef, Envelope, PoisonPill, Unwatch
from trioakt.remote.shard_route import ShardRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioakt.cluster.holdings import Holding
    from trioakt.cluster.membership import Membership
    from trioakt.cluster.reminders import Reminders
    from trioakt.lowlevel import Cell, CoreSystem, Signal
    from trioakt.remote.endpoint import Endpoint
    from trioakt.remote.named import Registry

_PAUSE = 0.05
"""Seconds after which a message is sent again to a shard that was on the move."""


class ClusterGrains:
    """The grains of a cluster, as one node reaches them.

    Args:
        membership: This node's.
        endpoint: Its way to others.
        shards: How many there are of each kind.

    Attributes:
        system: This node's.
        shards: How many there are of each kind.
        find_anywhere: Returns the activation of a grain, wherever it is.
    """

    def __init__(self, membership: Membership, endpoint: Endpoint, shards: int) -> None:
        self.system: CoreSystem = membership.system
        self._membership = membership
        self.shards = shards
        self._names: dict[type[Grain], str] = {}
        self._routes: dict[str, Route] = {}
        self._wanted: set[str] = set()
        self._attempts = count(1)
        self._endpoint = endpoint
        self._far = FarGrains(membership, endpoint, self.find)
        self.find_anywhere = self._far.find
        endpoint.inquiries["guest"] = self._answer_owner
        endpoint.identities["grain"] = self._read

    def ref_to(self, factory: type[Grain], identity: str) -> GrainRef[Any]:
        """Return the ref to a grain; see ``ActorSystem.grain``."""
        name = self._names.get(check_grain(factory))
        if name is None:
            name = GrainKind.of(factory, self.system.settings.actors).name
            known = {self._membership.kinds.get(name, factory), *(k for k, text in self._names.items() if text == name)}
            if known - {factory}:
                raise TypeError(f"{self.system.name!r} has grains of another class that is called {name}")
            self._names[factory] = name
        return self._ref(name, check_identity(identity))

    def _read(self, text: str) -> GrainRef[Any]:
        kind, _, identity = text.partition("/")
        return self._ref(kind, check_identity(identity))

    def _ref(self, kind: str, identity: str) -> GrainRef[Any]:
        return GrainRef(GrainRecipient(self, kind, identity, shard_name(kind, identity, self.shards)))

    # ------------------------------------------------------------- what the refs need

    def deliver(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain; while nobody owns its shard it waits."""
        route = self._route_to(grain)
        door = None if route.has_parked else self._door(grain)
        if door is not None:
            door.shard.deliver(grain.id, envelope)
        else:
            self._check_placement(grain.shard, grain.kind)
            route.forward(envelope, self._routed(grain, envelope.message))

    async def send(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Wait until the grain's mailbox has taken a message, at the next owner if the shard moves meanwhile."""
        while True:
            try:
                await self._send(grain, envelope)
            except ActorStoppedError as error:
                if error.path != f"{self.system.user.path}/{grain.shard}" or self.system.user.closed:
                    raise
            else:
                return
            await trio.sleep(_PAUSE)

    async def _send(self, grain: GrainRecipient, envelope: Envelope) -> None:
        route = self._route_to(grain)
        door = None if route.has_parked else self._door(grain)
        if door is not None:
            await door.admit(grain, envelope)
        else:
            self._check_placement(grain.shard, grain.kind)
            await route.send(Envelope(self._routed(grain, envelope.message), envelope.sender))

    def signal(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on to the present activation of a grain."""
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(grain.address)
        door, cell = self._held(grain), self.active(grain)
        if door is not None and door.stewards is None:
            door.shard.signal(grain.id, signal)
        elif cell is not None and not isinstance(signal, PoisonPill):  # which comes after what is on its way
            cell.signal(signal)
            if isinstance(signal, Unwatch):  # it may have watched before the grain was here
                self._far.signal(grain, signal)
        else:
            self._far.signal(grain, signal)

    def active(self, grain: GrainRecipient) -> Cell | None:
        """Return the activation of a grain, if it is on this node."""
        holdings = self._membership.holdings
        guest = None if holdings is None else holdings.guests.active(grain)
        door = self._held(grain)
        if guest is not None or door is None or door.stewards is not None:
            return guest
        return door.shard.active(grain.id)

    async def find(self, grain: GrainRecipient) -> ActorRef[Any] | None:
        """Return the activation of a grain whose shard this node owns, wherever it is.

        Raises:
            TrioaktError: It cannot be known now.
        """
        door = self._held(grain)
        if door is None:
            return None
        cell = door.shard.active(grain.id)
        if cell is None or door.stewards is None:
            return None if cell is None else ActorRef(cell)
        with suppress(ActorStoppedError):
            search = Search(cell)
            cell.deliver(search)
            found: ActorRef[Any] | None = await search.wait()
            return found
        return None

    def reminders_of(self, ref: GrainRef[Any]) -> Reminders | FarReminders:
        """Return where the reminders of a grain are that is active on this node.

        Raises:
            LeaseLostError: It is not, as this node has lost its lease.
        """
        holdings, door = self._membership.holdings, self._held(ref.grain)
        if door is not None:
            return door.reminders
        owner = None if holdings is None else holdings.guests.owner_of(ref.grain.shard)
        if owner is None:
            raise LeaseLostError(f"{ref.path} is not owned by this node any more")
        return FarReminders(owner, ActorRef(self._route_to(ref.grain)), self._endpoint)

    def _routed(self, grain: GrainRecipient, message: Any) -> ToGrain:
        """Return a message as it travels; this node is named where that decides about the place of the grain."""
        kind = self._membership.kinds.get(grain.kind)
        is_placed = kind is not None and issubclass(kind, Grain) and kind.placement is not None
        return ToGrain(grain.id, message, self._membership.us if is_placed else "")

    async def _answer_owner(self, question: str) -> str:
        """Answer the owner of a shard, about grains that it has placed here."""
        holdings = self._membership.holdings
        if holdings is None:
            raise LeaseLostError(f"{self._membership.us} is no member of the cluster now")
        return await holdings.guests.answer(question)

    # ------------------------------------------------------------------------- shards

    def _holding(self, grain: GrainRecipient) -> Holding | None:
        holdings = self._membership.holdings
        return None if holdings is None else holdings.held.get(grain.shard)

    def _held(self, grain: GrainRecipient) -> Door | None:
        """Return the door of a shard that this node owns."""
        return _door_of(self._holding(grain))

    def _door(self, grain: GrainRecipient) -> Door | None:
        """Return the door of a shard that this node owns, and does not let go of."""
        holding = self._holding(grain)
        return None if holding is None or holding.leaving else _door_of(holding)

    def _route_to(self, grain: GrainRecipient) -> Route:
        """Return the way to the owner of a grain's shard."""
        return self._routes.get(grain.shard) or self._route(grain)

    def _route(self, grain: GrainRecipient) -> Route:
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(grain.address)
        route = self._routes[grain.shard] = Route(
            self.system, self._membership.directory, grain.shard, partial(self.want, grain.shard, grain.kind)
        )
        self._membership.directory.add(route)
        return route

    def _check_placement(self, shard: str, kind: str) -> None:
        """See that somebody can own a shard.

        Raises:
            PlacementError: No member takes such grains.
        """
        view = self._membership.view
        if (
            shard not in view.owners
            and view.members
            and not any(kind in member.kinds for member in view.members.values())
        ):
            raise PlacementError(f"no live member takes {kind}: say Cluster(grains=[...]) on those that shall")

    def want(self, shard: str, kind: str, *, checked: bool = True) -> None:
        """Let a shard that is not there be, so that somebody owns it.

        Args:
            shard: Its name.
            kind: Of its grains.
            checked: Whether it has been seen that somebody can.

        Raises:
            PlacementError: No member takes such grains.
        """
        if not checked:
            self._check_placement(shard, kind)
        membership = self._membership
        if shard not in membership.view.names and shard not in self._wanted and not membership.is_over:
            self._wanted.add(shard)
            membership.nursery.start_soon(self._create, shard, kind)

    async def _create(self, shard: str, kind: str) -> None:
        membership = self._membership
        fact = NameFact(f"{membership.run_id}/shards/{next(self._attempts)}", kind, b"", "", "", False, {})
        key = membership.view.prefix + NAMES + shard
        try:
            await insist(lambda: membership.store.create(key, encode_fact(fact)), membership.us)
        finally:
            self._wanted.discard(shard)


def _door_of(holding: Holding | None) -> Door | None:
    recipient = None if holding is None or holding.ref is None else holding.ref.recipient
    return recipient if isinstance(recipient, Door) else None


class Route(ShardRoute):
    """The way to the owner of a shard, which lets that be.

    Args:
        want: Lets the shard be, if it is not there.
    """

    __slots__ = ("_want",)

    def __init__(self, system: CoreSystem, registry: Registry, name: str, want: Callable[[], None]) -> None:
        super().__init__(system, registry, name)
        self._want = want

    def _watch_out(self) -> None:
        super()._watch_out()
        self._want()
