"""Grains of a cluster that this system is no member of."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import trio

from trioakt.errors import ActorStoppedError
from trioakt.grains.grain import Grain, check_grain, check_identity
from trioakt.grains.ref import GrainRecipient, GrainRef
from trioakt.grains.sharing import ToGrain, shard_name
from trioakt.lowlevel import ActorRef, CoreSystem, Envelope, Signal
from trioakt.patterns.kinds import kind_name
from trioakt.remote.far_signals import FarSignals
from trioakt.remote.shard_route import ShardRoute

if TYPE_CHECKING:
    from trioakt.lowlevel import Cell
    from trioakt.remote.directory import Directory

_PAUSE = 0.05
"""Seconds after which a message is sent again to a shard that was on the move."""


class DistantGrains:
    """Reaches the grains of a cluster from outside: where their shards are, its members tell.

    Args:
        directory: Of the cluster.
        shards: How many the cluster has of each kind.

    Attributes:
        system: The one that reaches them.
    """

    def __init__(self, directory: Directory, shards: int) -> None:
        self.system: CoreSystem = directory.system
        self._directory = directory
        self._shards = shards
        self._routes: WeakValueDictionary[str, ShardRoute] = WeakValueDictionary()
        self._far = FarSignals(directory, self._find)

    def ref_to(self, kind: type[Grain] | str, identity: str) -> GrainRef[Any]:
        """Return the ref to a grain, by its class or the name of that; see ``Client.grain``."""
        name = _check_kind(kind) if isinstance(kind, str) else kind_name(check_grain(kind))
        return self._ref(name, check_identity(identity))

    def read(self, text: str) -> GrainRef[Any]:
        """Return the ref to a grain by what the codec writes of it; raise ValueError for what is none."""
        kind, _, identity = text.partition("/")
        return self._ref(_check_kind(kind), check_identity(identity))

    def _ref(self, kind: str, identity: str) -> GrainRef[Any]:
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(self.system.address)
        shard = shard_name(kind, identity, self._shards)
        route = self._routes.get(shard)
        if route is None:
            route = self._routes[shard] = ShardRoute(self.system, self._directory, shard)
            self._directory.add(route)
        return GrainRef(_DistantGrain(self, kind, identity, route, self._directory.prefix))

    # ------------------------------------------------------------- what the refs need

    def deliver(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Take a message in for a grain; while nobody owns its shard it waits."""
        _route_of(grain).forward(envelope, ToGrain(grain.id, envelope.message))

    async def send(self, grain: GrainRecipient, envelope: Envelope) -> None:
        """Wait until the grain's mailbox has taken a message, at the next owner if the shard moves meanwhile."""
        route = _route_of(grain)
        while True:
            try:
                await route.send(Envelope(ToGrain(grain.id, envelope.message), envelope.sender))
            except ActorStoppedError as error:
                if error.path != f"/user/{grain.shard}" or self._directory.is_over:
                    raise
            else:
                return
            await trio.sleep(_PAUSE)

    def signal(self, grain: GrainRecipient, signal: Signal) -> None:
        """Pass a signal on to the present activation of a grain."""
        if get_ident() != self.system.thread:
            raise self.system.wrong_thread(grain.address)
        self._far.pass_on(grain, signal)

    def active(self, grain: GrainRecipient) -> Cell | None:
        """Return ``None``: no grain of the cluster is active here."""

    async def _find(self, grain: GrainRecipient) -> ActorRef[Any] | None:
        text = await self._directory.inquire(f"active {grain.kind}/{grain.id}")
        return self._directory.endpoint.ref_of(text) if text else None


class _DistantGrain(GrainRecipient):
    """One identity in a cluster; while a ref to it is held it is known who owns the shard."""

    __slots__ = ("route",)

    def __init__(self, grains: DistantGrains, kind: str, identity: str, route: ShardRoute, prefix: str) -> None:
        super().__init__(grains, kind, identity, route.name)
        self.identity = f"{prefix}{self.identity}"
        self.route = route


def _route_of(grain: GrainRecipient) -> ShardRoute:
    assert isinstance(grain, _DistantGrain)
    return grain.route


def _check_kind(name: str) -> str:
    """Return the name of a class of grains if it can be one.

    Raises:
        ValueError: It cannot.
    """
    if not name or not name.isprintable() or set(name) & {" ", "/"}:
        raise ValueError(f"bad kind {name[:80]!r}: it is the name of a class with its module, such as 'shop.Cart'")
    return name
