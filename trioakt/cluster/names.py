"""Named actors: how names are given in the cluster, and found."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace
from trio.lowlevel import checkpoint

from trioakt.cluster.facts import NameFact, encode_fact
from trioakt.cluster.placement import Placement, Placing
from trioakt.cluster.settings import check_kind
from trioakt.cluster.view import NAMES, Name, fit
from trioakt.errors import NameTakenError, PlacementError, StartError
from trioakt.grains.sharing import is_shard
from trioakt.lowlevel import Actor, ActorRef, Options, SpawnOptions, check_name
from trioakt.patterns.kinds import kind_name

if TYPE_CHECKING:
    from trioakt.cluster.membership import Membership
    from trioakt.remote.endpoint import Endpoint

_NUMBERS = frozenset({"init_timeout", "stash_capacity", "stop_grace"})
"""Options that can be written down."""


class Names:
    """Gives actors names of the whole cluster.

    Args:
        membership: Of this node.
        endpoint: Its way to others.
    """

    def __init__(self, membership: Membership, endpoint: Endpoint) -> None:
        self._membership = membership
        self._endpoint = endpoint
        self._attempts = count(1)
        self._turns = count()

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
        fact = await self._fact(kind, args, name, placement.role, checked_options(options))
        return await self._place(fact, name, placement, relocate=relocate)

    async def spawn_unseen(
        self,
        kind: str,
        args: bytes,
        name: str,
        *,
        placement: Placement,
        relocate: bool,
        options: dict[str, int | float],
    ) -> ActorRef[Any]:
        """Start an actor as ``spawn``, of a class that this node may not have, with arguments that it does not read."""
        check_name(name)
        self._membership.check()
        fact = self._written(kind, args, placement.role, options)
        return await self._place(fact, name, placement, relocate=relocate)

    async def _place(self, fact: NameFact, name: str, placement: Placement, *, relocate: bool) -> ActorRef[Any]:
        chosen = placement.choose(self._placing(fact))
        if chosen is None:
            raise PlacementError(self._nobody(fact))
        fact = replace(fact, wanted=chosen.run, bound=not relocate)
        membership = self._membership
        if chosen.run == membership.run_id and membership.holdings is not None:
            source = await membership.holdings.write(name, lambda: self._write(name, fact))
        else:
            source = await self._write(name, fact)
        if source is None:
            raise NameTakenError(f"the cluster has an actor {name!r} already", f"/user/{name}")
        return await self._started(name, source)

    async def spawn_singleton(self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str) -> ActorRef[Any]:
        """Return the one actor of a name, and start it if it is not there; see ``ActorSystem.spawn_singleton``."""
        fact = await self._fact(kind, args, name, role, {})
        members = self._membership.view.members.values()
        if all(member.draining or (role and role not in member.roles) for member in members):
            raise PlacementError(self._nobody(fact))
        source = await self._write(name, replace(fact, singleton=True))
        if source is None:
            source = await self._membership.directory.find(name)
            if source is None:
                return await self.spawn_singleton(kind, args, name, role)
            if not source.fact.singleton or source.fact.kind != fact.kind:
                raise NameTakenError(f"the cluster has another actor {name!r}, a {source.fact.kind}", f"/user/{name}")
        return await self._started(name, source)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref of a name of the cluster, if it is there; see ``ActorSystem.locate``."""
        check_name(name)
        await checkpoint()
        directory = self._membership.directory
        if name not in self._membership.view.names and await directory.find(name) is None:
            return None
        return directory.ref_to(name)

    def kind_called(self, text: str) -> type[Actor]:
        """Return the actor class of this name that may be placed here.

        Raises:
            ValueError: There is none.
        """
        if text not in self._membership.kinds:
            raise ValueError(f"{self._membership.system.address} can take no {text}")
        return self._membership.kinds[text]

    async def register(self, kind: type[Actor]) -> str:
        """Let actors of a class be placed here from now on, and return its name."""
        check_kind(kind)
        text = kind_name(kind)
        membership = self._membership
        membership.kinds[text] = kind

        def is_known() -> bool:
            member = membership.view.members.get(membership.us)
            return member is not None and text in member.kinds

        if not is_known():
            await membership.announce()
            await membership.wait_until(is_known)
        return text

    async def _fact(
        self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str, options: dict[str, int | float]
    ) -> NameFact:
        check_name(name)
        if role:
            check_name(role)
        body = self._endpoint.write_args(args)
        self._membership.check()
        text = await self.register(kind)
        return self._written(text, body, role, options)

    def _written(self, kind: str, body: bytes, role: str, options: dict[str, int | float]) -> NameFact:
        attempt = f"{self._membership.run_id}/{next(self._attempts)}"
        return NameFact(attempt, kind, body, role, "", False, options)

    async def _write(self, name: str, fact: NameFact) -> Name | None:
        """Write a name that is not there; return ``None`` if it is."""
        membership = self._membership
        created = await membership.store.create(membership.view.prefix + NAMES + name, encode_fact(fact))
        return Name(fact, created.token) if created.won else None

    async def _started(self, name: str, source: Name) -> ActorRef[Any]:
        """Wait until a name has an owner whose actor has started."""
        membership, view, directory = self._membership, self._membership.view, self._membership.directory
        failure = ""

        def is_settled() -> bool:
            nonlocal failure
            owner = view.owners.get(name)
            if owner is not None:
                failure = owner.fact.failed or failure
            seen = view.names.get(name)
            gone = view.revision >= source.token and (seen is None or seen.token != source.token)
            return directory.owner_of(name) is not None or bool(failure) or gone

        await membership.wait_until(is_settled)
        if directory.owner_of(name) is None:
            if failure:
                await membership.store.delete(view.prefix + NAMES + name, source.token)
            raise StartError(failure or f"{name!r} has ended before it was of use", f"/user/{name}")
        return directory.ref_to(name)

    def _placing(self, fact: NameFact) -> Placing:
        """Return what a placement chooses from."""
        membership = self._membership
        loads: dict[str, int] = {}
        for name, owner in membership.view.owners.items():
            if is_shard(name):
                continue
            node = owner.fact.run.rpartition("/")[0]
            loads[node] = loads.get(node, 0) + 1
        fitting = fit(membership.view.members.values(), fact.kind, fact.role)
        return Placing(fitting, membership.us, loads, membership.system.settings.rng, next(self._turns))

    def _nobody(self, fact: NameFact) -> str:
        role = f" with the role {fact.role!r}" if fact.role else ""
        present = sorted(self._membership.view.members.values(), key=lambda member: member.incarnation)
        members = "; ".join(
            f"{each.node} drains" if each.draining else f"{each.node} takes {sorted(each.kinds)}" for each in present
        )
        return f"no live member{role} can take a {fact.kind}: {members}"


def checked_options(options: SpawnOptions) -> dict[str, int | float]:
    """Return options that can be written down.

    Raises:
        TypeError: Some cannot.
    """
    others = set(options) - _NUMBERS
    if others:
        raise TypeError(f"an actor of the cluster takes {sorted(_NUMBERS)} as options, not {sorted(others)}")
    Options().with_changes(options)
    return dict(cast("dict[str, int | float]", options))
