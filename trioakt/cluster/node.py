"""This node's part in its cluster: what its users can do there, and the refs to names."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import trio
from msgspec.structs import replace

from trioakt.cluster.directory import Directory
from trioakt.cluster.facts import NameFact, encode_fact
from trioakt.cluster.guide import Guide
from trioakt.cluster.membership import Membership
from trioakt.cluster.placement import Placement, Placing
from trioakt.cluster.router import Crew, Crews
from trioakt.cluster.settings import Cluster, check_kind
from trioakt.cluster.ticks import Ticks
from trioakt.cluster.view import NAMES, Delta, Name, fit
from trioakt.errors import (
    LeaseLostError,
    NameTakenError,
    PlacementError,
    StartError,
)
from trioakt.lowlevel import Actor, ActorRef, CoreSystem, Options, SpawnOptions, check_name
from trioakt.patterns.schedule import Scheduler
from trioakt.remote.house import kind_name

if TYPE_CHECKING:
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")

_NUMBERS = frozenset({"init_timeout", "stash_capacity", "stop_grace"})
"""Options that can be written down."""
_PATIENCE = 0.5
"""Seconds after which a store that cannot be reached is tried again."""
_RETURN = 5.0
"""Seconds that a node that leaves waits for others to take what was sent from here meanwhile."""


class ClusterNode(Membership):
    """What a system has to do with its cluster; get it as ``system.cluster``.

    Args:
        system: This node's.
        settings: What was said about it.
        endpoint: Its way to others.
    """

    def __init__(self, system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> None:
        super().__init__(system, settings, endpoint)
        self.directory = Directory(self, endpoint)
        self._attempts = count(1)
        self._turns = count()
        self._ticks = Ticks(f"trioakt.ticks/{system.name}/{settings.name}/", self.us)
        endpoint.identities["cluster"] = self.directory.ref_to
        endpoint.inquiries["cluster"] = Guide(self, endpoint).answer
        endpoint.register(Crew)
        system.service(Scheduler).claim = self._claim_tick

    async def drain(self) -> None:
        """Hand over what this node owns, and take nothing on any more; a coordinated shutdown does so by itself.

        Each actor finishes what waits for it, at most as long as its system's ``stop_grace``; another node then takes
        it over. What no other node can take ends, and so do routees. The node stays a member, which owns nothing.

        Raises:
            NoQuorumError: The store cannot be reached; the rest is taken over when the lease lapses.
        """
        self._draining = True
        await trio.lowlevel.checkpoint()
        if self.holdings is None:
            return
        self.holdings.draining = True
        await self._tell_about_this_node()
        await self.holdings.hand_over()
        with trio.move_on_after(_RETURN):
            await self._until(lambda: not self.directory.has_parked)
        with trio.move_on_after(self.system.settings.actors.stop_grace):
            await self.system.service(Crews).wait_none()

    def fencing_token(self, path: str) -> int:
        """Return the token of this node's ownership of an actor; see ``Context.fencing_token``.

        Raises:
            LeaseLostError: This node has lost its lease: it owns nothing.
            RuntimeError: The actor has no name in the cluster.
        """
        if self.lease is None:
            raise LeaseLostError(f"{self.system.address} is no member of the cluster now, {path} is not owned here")
        self.lease.check()
        name = path.removeprefix(f"{self.system.user.path}/")
        holding = None if self.holdings is None else self.holdings.held.get(name)
        if holding is None:
            raise RuntimeError(f"{path} has no name in the cluster that is owned here: it has no fencing token")
        return holding.token

    # ---------------------------------------------------------------- named actors

    async def spawn(
        self,
        kind: type[Actor],
        args: tuple[Any, ...],
        name: str,
        *,
        placement: Placement,
        relocate: bool,
        options: SpawnOptions,
    ) -> ActorRef[Any]:
        """Start an actor under a name of the cluster; see ``ActorSystem.spawn_on``."""
        fact = await self._fact(kind, args, name, placement.role, _checked(options))
        fitting = fit(self.view.members.values(), fact.kind, fact.role)
        placing = Placing(fitting, self.us, self._loads(), self.system.settings.rng, next(self._turns))
        chosen = placement.choose(placing)
        if chosen is None:
            raise PlacementError(self._nobody(fact))
        fact = replace(fact, wanted=chosen.run, bound=not relocate)
        if chosen.run == self.run_id and self.holdings is not None:
            source = await self.holdings.write(name, lambda: self._write(name, fact))
        else:
            source = await self._write(name, fact)
        if source is None:
            raise NameTakenError(f"the cluster has an actor {name!r} already", f"/user/{name}")
        return await self._started(name, source)

    async def spawn_singleton(self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str) -> ActorRef[Any]:
        """Return the one actor of a name, and start it if it is not there; see ``ActorSystem.spawn_singleton``."""
        fact = await self._fact(kind, args, name, role, {})
        if role and not any(role in member.roles for member in self.view.members.values()):
            raise PlacementError(self._nobody(fact))
        source = await self._write(name, replace(fact, singleton=True))
        if source is None:
            source = await self.directory.find(name)
            if source is None:
                return await self.spawn_singleton(kind, args, name, role)
            if not source.fact.singleton or source.fact.kind != fact.kind:
                raise NameTakenError(f"the cluster has another actor {name!r}, a {source.fact.kind}", f"/user/{name}")
        return await self._started(name, source)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref of a name of the cluster, if it is there; see ``ActorSystem.locate``."""
        check_name(name)
        await trio.lowlevel.checkpoint()
        if name not in self.view.names and await self.directory.find(name) is None:
            return None
        return self.directory.ref_to(name)

    def kind_called(self, text: str) -> type[Actor]:
        """Return the actor class of this name that may be placed here.

        Raises:
            ValueError: There is none.
        """
        if text not in self._kinds:
            raise ValueError(f"{self.system.address} can take no {text}")
        return self._kinds[text]

    async def register(self, kind: type[Actor]) -> str:
        """Let actors of a class be placed here from now on, and return its name."""
        check_kind(kind)
        text = kind_name(kind)
        if self._kinds.setdefault(text, kind) is not kind:
            self._kinds[text] = kind

        def is_known() -> bool:
            member = self.view.members.get(self.us)
            return member is not None and text in member.kinds

        if not is_known():
            await self._tell_about_this_node()
            await self._until(is_known)
        return text

    async def _fact(
        self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str, options: dict[str, int | float]
    ) -> NameFact:
        check_name(name)
        if role:
            check_name(role)
        body = self._endpoint.write_args(args)
        if self.lease is None:
            raise LeaseLostError(f"{self.system.address} is no member of the cluster now")
        self.lease.check()
        text = await self.register(kind)
        return NameFact(f"{self.run_id}/{next(self._attempts)}", text, body, role, "", False, options)

    async def _write(self, name: str, fact: NameFact) -> Name | None:
        """Write a name that is not there; return ``None`` if it is."""
        created = await self.store.create(self.view.prefix + NAMES + name, encode_fact(fact))
        return Name(fact, created.token) if created.won else None

    async def _started(self, name: str, source: Name) -> ActorRef[Any]:
        """Wait until a name has an owner whose actor has started."""
        failure = ""

        def is_settled() -> bool:
            nonlocal failure
            owner = self.view.owners.get(name)
            if owner is not None:
                failure = owner.fact.failed or failure
            seen = self.view.names.get(name)
            gone = self.view.revision >= source.token and (seen is None or seen.token != source.token)
            return self.directory.owner_of(name) is not None or bool(failure) or gone

        await self._until(is_settled)
        if self.directory.owner_of(name) is None:
            if failure:
                await self.store.delete(self.view.prefix + NAMES + name, source.token)
            raise StartError(failure or f"{name!r} has ended before it was of use", f"/user/{name}")
        return self.directory.ref_to(name)

    def _loads(self) -> dict[str, int]:
        loads: dict[str, int] = {}
        for owner in self.view.owners.values():
            node = owner.fact.run.rpartition("/")[0]
            loads[node] = loads.get(node, 0) + 1
        return loads

    def _nobody(self, fact: NameFact) -> str:
        role = f" with the role {fact.role!r}" if fact.role else ""
        members = "; ".join(f"{each.node} takes {sorted(each.kinds)}" for each in self.members())
        return f"no live member{role} can take a {fact.kind}: {members}"

    async def _claim_tick(self, name: str, due: float) -> bool:
        return self._holds and await self._ticks.claim(self.store, name, due)

    def _heard(self, delta: Delta) -> None:
        for name in sorted(delta.names):
            self.directory.settle(name, is_there=name in self.view.names or name in self.view.owners)

    def _over(self) -> None:
        self.directory.end()

    def _settled(self, names: Iterable[str]) -> None:
        for name in names:
            self.directory.settle(name, is_there=True)
        self._wake()


def _checked(options: SpawnOptions) -> dict[str, int | float]:
    """Return options that can be written down.

    Raises:
        TypeError: Some cannot.
    """
    others = set(options) - _NUMBERS
    if others:
        raise TypeError(f"an actor of the cluster takes {sorted(_NUMBERS)} as options, not {sorted(others)}")
    Options().with_changes(options)
    return dict(cast("dict[str, int | float]", options))
