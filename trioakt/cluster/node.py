"""This node's part in its cluster: how it joins and leaves, what it knows, and what its users can do there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

import trio
from msgspec.structs import replace

from trioakt.cluster.events import LeaderChanged, MembershipLost, NodeJoined, NodeLeft
from trioakt.cluster.facts import VERSION, MemberFact, NameFact, decode_fact, encode_fact
from trioakt.cluster.holdings import Holdings
from trioakt.cluster.member import Member
from trioakt.cluster.placement import Placement, Placing
from trioakt.cluster.recipient import NamedRecipient
from trioakt.cluster.settings import Cluster, check_kind
from trioakt.cluster.store import Changes
from trioakt.cluster.stores import open_store
from trioakt.cluster.ticks import Ticks
from trioakt.cluster.view import MEMBERS, NAMES, Delta, Name, View, fit, prefix_of
from trioakt.errors import (
    ClusterError,
    LeaseLostError,
    NameTakenError,
    NoQuorumError,
    PlacementError,
    StartError,
)
from trioakt.lowlevel import Actor, ActorRef, CoreSystem, Options, SpawnOptions, Watch, check_name
from trioakt.patterns.schedule import Scheduler
from trioakt.remote.house import kind_name

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store
    from trioakt.lowlevel import TerminationCause
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")

_NUMBERS = frozenset({"init_timeout", "stash_capacity", "stop_grace"})
"""Options that can be written down."""
_PATIENCE = 0.5
"""Seconds after which a store that cannot be reached is tried again."""
_RETURN = 5.0
"""Seconds that a node that leaves waits for others to take what was sent from here meanwhile."""
_LEASES = 3.0
"""Times to live that a node waits for an earlier one of its name to be gone, before it says that the name is taken."""


class ClusterNode:
    """What a system has to do with its cluster; get it as ``system.cluster``.

    Args:
        system: This node's.
        settings: What was said about it.
        endpoint: Its way to others.
    """

    def __init__(self, system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> None:
        self.system = system
        self._settings = settings
        self._endpoint = endpoint
        self._view = View(prefix_of(system.name, settings.name))
        self._kinds: dict[str, type[Actor]] = {}
        for kind in settings.kinds:
            self._kinds[kind_name(kind)] = kind
        self._recipients: WeakValueDictionary[str, NamedRecipient] = WeakValueDictionary()
        self._in_use: dict[str, NamedRecipient] = {}
        self._looked_up: set[str] = set()
        self._changed = trio.Event()
        self._attempts = count(1)
        self._turns = count()
        self._joined_at = 0.0
        self._draining = False
        self._leader: Member | None = None
        self._incarnation = 0
        self._seen = 0
        self._has_joined = False
        self._is_over = False
        self._lease: Lease | None = None
        self._holdings: Holdings | None = None
        self._store: Store
        self._nursery: trio.Nursery
        self._ticks = Ticks(f"trioakt.ticks/{system.name}/{settings.name}/", self._us)
        endpoint.identities["cluster"] = self.ref_to
        system.service(Scheduler).claim = self._claim_tick

    # --------------------------------------------------------------- what users see

    def members(self) -> tuple[Member, ...]:
        """Return the members as far as this node has heard, in the order in which they joined."""
        return tuple(sorted(self._view.members.values(), key=lambda member: member.incarnation))

    def leader(self) -> Member | None:
        """Return the member that has been there for longest."""
        return self._view.leader

    @property
    def is_leader(self) -> bool:
        """Whether this node is that member, and its lease holds."""
        leader = self._view.leader
        return leader is not None and self._holds and leader.run == self._run

    async def wait_members(self, number: int) -> tuple[Member, ...]:
        """Wait until there are at least so many members, and return them."""
        await self._until(lambda: len(self._view.members) >= number)
        return self.members()

    async def drain(self) -> None:
        """Hand over what this node owns, and take nothing on any more; a coordinated shutdown does so by itself.

        Each actor finishes what waits for it, at most as long as its system's ``stop_grace``; another node then takes
        it over. What no other node can take ends.

        Raises:
            NoQuorumError: The store cannot be reached; the rest is taken over when the lease lapses.
        """
        self._draining = True
        await trio.lowlevel.checkpoint()
        if self._holdings is None:
            return
        self._holdings.draining = True
        await self._tell_about_this_node()
        await self._holdings.hand_over()
        with trio.move_on_after(_RETURN):
            await self._until(lambda: not any(each.has_parked for each in self._in_use.values()))

    async def _drain_as_told(self) -> None:
        try:
            await self.drain()
        except NoQuorumError as error:
            _log.warning("%s could not hand over all: %s", self.system.address, error)

    def fencing_token(self, path: str) -> int:
        """Return the token of this node's ownership of an actor; see ``Context.fencing_token``.

        Raises:
            RuntimeError: The actor has no name in the cluster.
            LeaseLostError: It has had one.
        """
        name = path.removeprefix(f"{self.system.user.path}/")
        holding = None if self._holdings is None else self._holdings.held.get(name)
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
        fitting = fit(self._view.members.values(), fact.kind, fact.role)
        placing = Placing(fitting, self._us, self._loads(), self.system.settings.rng, next(self._turns))
        chosen = placement.choose(placing)
        if chosen is None:
            raise PlacementError(self._nobody(fact))
        lease = None if relocate else self._lease
        holdings = self._holdings if chosen.run == self._run else None
        with nullcontext() if holdings is None else holdings.claiming(name):
            source = await self._write(name, replace(fact, wanted=chosen.run), lease)
            if source is None:
                raise NameTakenError(f"the cluster has an actor {name!r} already", f"/user/{name}")
            if holdings is not None:
                await holdings.claim(name, source, fresh=True)
        return await self._started(name, source)

    async def spawn_singleton(self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str) -> ActorRef[Any]:
        """Return the one actor of a name, and start it if it is not there; see ``ActorSystem.spawn_singleton``."""
        fact = await self._fact(kind, args, name, role, {})
        if role and not any(role in member.roles for member in self._view.members.values()):
            raise PlacementError(self._nobody(fact))
        source = await self._write(name, replace(fact, singleton=True))
        if source is None:
            source = await self._present(name)
            if source is None:
                return await self.spawn_singleton(kind, args, name, role)
            if not source.fact.singleton or source.fact.kind != fact.kind:
                raise NameTakenError(f"the cluster has another actor {name!r}, a {source.fact.kind}", f"/user/{name}")
        return await self._started(name, source)

    async def locate(self, name: str) -> ActorRef[Any] | None:
        """Return the ref of a name of the cluster, if it is there; see ``ActorSystem.locate``."""
        check_name(name)
        await trio.lowlevel.checkpoint()
        if name not in self._view.names and await self._present(name) is None:
            return None
        return self.ref_to(name)

    async def register(self, kind: type[Actor]) -> str:
        """Let actors of a class be placed here from now on, and return its name."""
        check_kind(kind)
        text = kind_name(kind)
        if self._kinds.setdefault(text, kind) is not kind:
            self._kinds[text] = kind
        member = self._view.members.get(self._us)
        if member is None or text not in member.kinds:
            await self._tell_about_this_node()
            await self._until(lambda: text in self._known_kinds())
        return text

    async def _fact(
        self, kind: type[Actor], args: tuple[Any, ...], name: str, role: str, options: dict[str, int | float]
    ) -> NameFact:
        check_name(name)
        if role:
            check_name(role)
        body = self._endpoint.write_args(args)
        if self._lease is None:
            raise LeaseLostError(f"{self.system.address} is no member of the cluster now")
        self._lease.check()
        text = await self.register(kind)
        return NameFact(f"{self._run}/{next(self._attempts)}", text, body, role, "", False, options)

    async def _write(self, name: str, fact: NameFact, lease: Lease | None = None) -> Name | None:
        """Write a name that is not there; return ``None`` if it is."""
        created = await self._store.create(self._view.prefix + NAMES + name, encode_fact(fact), lease)
        return Name(fact, created.token) if created.won else None

    async def _present(self, name: str) -> Name | None:
        key = self._view.prefix + NAMES + name
        listing = await self._store.list(key)
        entry = next((each for each in listing.entries if each.key == key), None)
        return None if entry is None else Name(decode_fact(entry, NameFact), entry.token)

    async def _started(self, name: str, source: Name) -> ActorRef[Any]:
        """Wait until a name has an owner whose actor has started."""
        failure = ""

        def is_settled() -> bool:
            nonlocal failure
            owner = self._view.owners.get(name)
            if owner is not None:
                failure = owner.fact.failed or failure
            seen = self._view.names.get(name)
            gone = self._seen >= source.token and (seen is None or seen.token != source.token)
            return self.owner_of(name) is not None or bool(failure) or gone

        await self._until(is_settled)
        if self.owner_of(name) is None:
            if failure:
                await self._store.delete(self._view.prefix + NAMES + name, source.token)
            raise StartError(failure or f"{name!r} has ended before it was of use", f"/user/{name}")
        return self.ref_to(name)

    def _loads(self) -> dict[str, int]:
        loads: dict[str, int] = {}
        for owner in self._view.owners.values():
            node = owner.fact.run.rpartition("/")[0]
            loads[node] = loads.get(node, 0) + 1
        return loads

    def _nobody(self, fact: NameFact) -> str:
        role = f" with the role {fact.role!r}" if fact.role else ""
        return f"no live member{role} can take a {fact.kind}: members are {[each.node for each in self.members()]}"

    # -------------------------------------------------------------- refs to names

    def ref_to(self, name: str) -> ActorRef[Any]:
        """Return the ref that means whoever owns a name.

        Raises:
            ValueError: It is no name.
        """
        recipient = self._recipients.get(check_name(name))
        if recipient is None:
            recipient = self._recipients[name] = NamedRecipient(self, name)
        return ActorRef(recipient)

    def owner_of(self, name: str) -> ActorRef[Any] | None:
        """Return the actor that has a name now, if it has started and takes messages."""
        if self._holdings is not None:
            holding = self._holdings.held.get(name)
            if holding is not None:
                return None if holding.leaving else holding.ref
        owner = self._view.owners.get(name)
        if owner is None or not owner.fact.ref or owner.fact.run == self._run or name not in self._view.names:
            return None
        return self._endpoint.ref_of(owner.fact.ref)

    def is_known(self, name: str) -> bool:
        """Return whether the name is there, as far as this node has heard."""
        return name in self._view.names

    def keep(self, recipient: NamedRecipient) -> None:
        """Hold on to a recipient for as long as it is in use."""
        self._in_use[recipient.name] = recipient

    def look_up(self, recipient: NamedRecipient) -> None:
        """Find out whether the name is there, and let the recipient settle."""
        if self._is_over:
            self._settle(recipient.name, is_there=False)
        elif recipient.name not in self._looked_up:
            self._looked_up.add(recipient.name)
            self._nursery.start_soon(self._look_up, recipient.name)

    def give_up(self, name: str) -> None:
        """End a name that nobody owns."""
        source = self._view.names.get(name)
        if source is not None:
            self._nursery.start_soon(self._delete_name, name, source.token)

    async def _look_up(self, name: str) -> None:
        while True:
            with suppress(NoQuorumError):
                is_there = await self._present(name) is not None
                break
            await trio.sleep(_PATIENCE)
        self._looked_up.discard(name)
        self._settle(name, is_there=is_there)

    async def _delete_name(self, name: str, token: int) -> None:
        with suppress(NoQuorumError):
            await self._store.delete(self._view.prefix + NAMES + name, token)

    async def _claim_tick(self, name: str, due: float) -> bool:
        return self._holds and await self._ticks.claim(self._store, name, due)

    def _settled(self, names: Iterable[str]) -> None:
        for name in names:
            self._settle(name, is_there=True)
        self._wake()

    def _settle(self, name: str, *, is_there: bool) -> None:
        recipient = self._recipients.get(name)
        if recipient is not None:
            recipient.settle(is_there=is_there)
            if not recipient.is_in_use:
                self._in_use.pop(name, None)

    # ------------------------------------------------------------------ membership

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task of the membership: it ends after the last actor, and only then gives back what was owned here.

        Once it has started it is shielded: it ends with the tree of actors, which ends by itself.
        """
        failed: Exception | None = None
        with trio.CancelScope() as scope:

            def started() -> None:
                if not scope.shield:
                    scope.shield = True
                    task_status.started()

            self.system.user.ref.recipient.signal(Watch(_Ended(scope)))
            async with open_store(self._settings.store) as self._store, trio.open_nursery() as self._nursery:
                try:
                    await self._belong(started)
                except Exception as error:
                    failed = error  # it leaves the task as it is, not inside the nursery's group
                self._nursery.cancel_scope.cancel()
        self._is_over = True
        if failed is not None:
            raise failed

    async def _belong(self, started: Callable[[], None]) -> None:
        """Be a member, one incarnation after the other."""
        while True:
            try:
                async with self._store.grant(self._settings.lease_ttl) as lease:
                    await self._live(lease, started)
            except (NoQuorumError, LeaseLostError) as error:
                if not self._has_joined:
                    raise
                _log.warning("%s cannot join the cluster: %s", self.system.address, error)
            await trio.sleep(_PATIENCE)

    async def _live(self, lease: Lease, started: Callable[[], None]) -> None:
        """Be a member for as long as a lease holds."""
        self._joined_at = self.system.settings.wall_clock()
        try:
            self._incarnation = await self._join(lease)
            self._lease = lease
            listing = await self._store.list(self._view.prefix)
            self._hear(listing.revision, self._view.load(listing))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow, listing.revision)
                self._holdings = Holdings(
                    self.system,
                    self._endpoint,
                    self._store,
                    lease,
                    self._view,
                    self._run,
                    self._kinds,
                    self._settled,
                )
                self._holdings.draining = self._draining
                await nursery.start(self._holdings.run)
                self._has_joined = True
                started()
                self._wake()
                await lease.lost.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._holdings, self._lease, self._incarnation = None, None, 0
        _log.error("%s is no member of the cluster any more: its lease is lost", self.system.address)
        self.system.publish(MembershipLost, self.system.user.ref, "its lease is lost")

    async def _join(self, lease: Lease) -> int:
        """Write this node down, when an earlier node of its name is gone, and return its incarnation."""
        key = self._view.prefix + MEMBERS + self._us
        patience = trio.current_time() + _LEASES * self._settings.lease_ttl
        while True:
            await self._check_versions()
            created = await self._store.create(key, self._this_node(), lease)
            if created.won:
                return created.token
            if trio.current_time() > patience and not self._has_joined:
                raise ClusterError(f"the cluster has another member {self._us!r}: give Remote(node=...) another name")
            await trio.sleep(self._settings.lease_ttl / 10)

    async def _check_versions(self) -> None:
        for entry in (await self._store.list(self._view.prefix + MEMBERS)).entries:
            version = decode_fact(entry, MemberFact).version
            if version != VERSION:
                raise ClusterError(f"{entry.key!r} is of version {version}, this node of version {VERSION}")

    def _this_node(self) -> bytes:
        roles, kinds = sorted(self._settings.roles), sorted(self._kinds)
        return encode_fact(MemberFact(VERSION, self.system.address, roles, kinds, self._joined_at, self._draining))

    async def _tell_about_this_node(self) -> None:
        await self._store.put_guarded(self._view.prefix + MEMBERS + self._us, self._this_node(), self._incarnation)

    async def _follow(self, revision: int) -> None:
        """Keep the view up to date."""
        while True:
            try:
                async with self._store.watch(self._view.prefix, revision) as changes:
                    async for each in changes:
                        if not isinstance(each, Changes):
                            break
                        self._hear(each.revision, self._view.apply(each))
            except NoQuorumError as error:
                _log.warning("%s does not hear from the store: %s", self.system.address, error)
                await trio.sleep(_PATIENCE)
            with suppress(NoQuorumError):
                listing = await self._store.list(self._view.prefix)
                revision = listing.revision
                self._hear(revision, self._view.load(listing))

    def _hear(self, revision: int, delta: Delta) -> None:
        self._seen = revision
        user = self.system.user.ref
        for member in delta.left:
            self.system.publish(NodeLeft, user, member)
        for member in delta.joined:
            self.system.publish(NodeJoined, user, member)
        leader = self._view.leader
        if (leader and leader.run) != (self._leader and self._leader.run):
            self.system.publish(LeaderChanged, user, leader)
        self._leader = leader
        if self._holdings is not None:
            self._holdings.hear(delta)
        us = self._view.members.get(self._us)
        if us is not None and us.run == self._run and us.draining and not self._draining:
            self._nursery.start_soon(self._drain_as_told)
        for name in delta.names:
            self._settle(name, is_there=name in self._view.names)
        self._wake()

    @property
    def _us(self) -> str:
        return self._endpoint.remote.node or self.system.name

    @property
    def _run(self) -> str:
        return f"{self._us}/{self._incarnation}"

    @property
    def _holds(self) -> bool:
        return self._lease is not None and self._lease.holds

    def _known_kinds(self) -> frozenset[str]:
        member = self._view.members.get(self._us)
        return frozenset() if member is None else member.kinds

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _until(self, condition: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.wait()


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


class _Ended:
    """Watches the guardian, which goes last."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that the last actor has gone."""
        self._scope.cancel()
