"""Membership: how a node joins its cluster, keeps its lease and its view, and leaves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.enrolment import enrol
from trioakt.cluster.events import LeaderChanged, MembershipLost, NodeJoined, NodeLeft
from trioakt.cluster.facts import VERSION, MemberFact, encode_fact
from trioakt.cluster.health import Health
from trioakt.cluster.holdings import Holdings
from trioakt.cluster.member import Member
from trioakt.cluster.mesh import Mesh
from trioakt.cluster.settings import Cluster
from trioakt.cluster.store import Changes
from trioakt.cluster.stores import open_store
from trioakt.cluster.view import MEMBERS, Delta, View, prefix_of
from trioakt.errors import ActorStoppedError, LeaseLostError, NoQuorumError
from trioakt.lowlevel import CoreSystem
from trioakt.patterns.background import end_with_the_last
from trioakt.remote.house import kind_name

if TYPE_CHECKING:
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")

_PATIENCE = 0.5
"""Seconds after which a store that cannot be reached is tried again."""
_LEASES = 3.0
"""Times to live that a node waits for an earlier one of its name to be gone, before it says that the name is taken."""


class Membership:
    """A node's membership, one incarnation after the other.

    Args:
        system: This node's.
        settings: What was said about it.
        endpoint: Its way to others.
    """

    def __init__(self, system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> None:
        self.system = system
        self._settings = settings
        self._endpoint = endpoint
        self.view = View(prefix_of(system.name, settings.name))
        self._kinds = {kind_name(kind): kind for kind in settings.kinds}
        self._mesh = Mesh(endpoint, self.view, self.us)
        self._changed = trio.Event()
        self._joined_at = 0.0
        self._draining = False
        self._leader: Member | None = None
        self._incarnation = 0
        self._heard_at = -math.inf
        self._has_joined = False
        self.is_over = False
        self.lease: Lease | None = None
        self.holdings: Holdings | None = None
        self.store: Store
        self.nursery: trio.Nursery

    # --------------------------------------------------------------- what users see

    def members(self) -> tuple[Member, ...]:
        """Return the members as far as this node has heard, in the order in which they joined."""
        return tuple(sorted(self.view.members.values(), key=lambda member: member.incarnation))

    def leader(self) -> Member | None:
        """Return the member that has been there for longest, as far as this node has heard."""
        return self.view.leader

    @property
    def is_leader(self) -> bool:
        """Whether this node is the leader, and its lease holds: there are never two at a time."""
        leader = self.view.leader
        return leader is not None and self._holds and leader.run == self.run_id

    def health(self) -> Health:
        """Return how this node stands in the cluster now."""
        return Health(
            is_member=self._holds,
            lease_left=0.0 if self.lease is None else self.lease.left,
            draining=self._draining,
            last_heard=trio.current_time() - self._last_heard,
            members=len(self.view.members),
            orphans=len(self.view.orphans),
        )

    async def wait_members(self, number: int) -> tuple[Member, ...]:
        """Wait until there are at least so many members, and return them."""
        await self._until(lambda: len(self.view.members) >= number)
        return self.members()

    async def wait_other_members(self, known: tuple[Member, ...]) -> tuple[Member, ...]:
        """Wait until the members are others than those, or say other things of themselves, and return them."""
        await self._until(lambda: self.members() != known)
        return self.members()

    async def wait_change(self) -> None:
        """Wait until this node hears of a change in the cluster."""
        await self._changed.wait()

    # ------------------------------------------------------------------- how it lives

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

            end_with_the_last(self.system, scope)
            async with open_store(self._settings.store) as self.store, trio.open_nursery() as self.nursery:
                try:
                    await self._belong(started)
                except Exception as error:
                    failed = error  # it leaves the task as it is, not inside the nursery's group
                finally:
                    self.is_over = True
                self.nursery.cancel_scope.cancel()
        self._over()
        self._wake()
        if failed is not None:
            raise failed

    async def _belong(self, started: Callable[[], None]) -> None:
        """Be a member, one incarnation after the other."""
        while True:
            try:
                async with self.store.grant(self._settings.lease_ttl) as lease:
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
            patience = math.inf if self._has_joined else _LEASES * self._settings.lease_ttl
            self._incarnation = await enrol(
                self.store, self.view.prefix, self.us, self._this_node(), lease, patience=patience
            )
            self.lease = lease
            listing = await self.store.list(self.view.prefix)
            self._hear(self.view.load(listing))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow, listing.revision)
                nursery.start_soon(self._mesh.run)
                self.holdings = Holdings(
                    self.system,
                    self._endpoint,
                    self.store,
                    lease,
                    self.view,
                    self.run_id,
                    self._kinds,
                    self._settled,
                )
                self.holdings.draining = self._draining
                await nursery.start(self.holdings.run)
                self._has_joined = True
                started()
                self._wake()
                await lease.lost.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._heard_at = self._last_heard
            self.holdings, self.lease, self._incarnation = None, None, 0
            self._wake()
        _log.error("%s is no member of the cluster any more: its lease is lost", self.system.address)
        self.system.publish(MembershipLost, self.system.user.ref, "its lease is lost")

    def _this_node(self) -> bytes:
        roles, kinds = sorted(self._settings.roles), sorted(self._kinds)
        return encode_fact(MemberFact(VERSION, self.system.address, roles, kinds, self._joined_at, self._draining))

    async def _tell_about_this_node(self) -> None:
        await self.store.put_guarded(self.view.prefix + MEMBERS + self.us, self._this_node(), self._incarnation)

    async def _follow(self, revision: int) -> None:
        """Keep the view up to date."""
        while True:
            try:
                async with self.store.watch(self.view.prefix, revision) as changes:
                    async for each in changes:
                        if not isinstance(each, Changes):
                            break
                        revision = each.revision
                        self._hear(self.view.apply(each))
            except NoQuorumError as error:
                _log.warning("%s does not hear from the store: %s", self.system.address, error)
                await trio.sleep(_PATIENCE)
            with suppress(NoQuorumError):
                listing = await self.store.list(self.view.prefix)
                revision = listing.revision
                self._hear(self.view.load(listing))

    def _hear(self, delta: Delta) -> None:
        self._heard_at = trio.current_time()
        user = self.system.user.ref
        for member in delta.left:
            self.system.publish(NodeLeft, user, member)
        for member in delta.joined:
            self.system.publish(NodeJoined, user, member)
        leader = self.view.leader
        if (leader and leader.run) != (self._leader and self._leader.run):
            self.system.publish(LeaderChanged, user, leader)
        self._leader = leader
        self._mesh.hear(delta)
        if self.holdings is not None:
            self.holdings.hear(delta)
        us = self.view.members.get(self.us)
        if us is not None and us.run == self.run_id and us.draining and not self._draining:
            self.nursery.start_soon(self._drain_as_told)
        self._heard(delta)
        self._wake()

    def _heard(self, delta: Delta) -> None:
        """Hear what has changed in the view; those who derive from this settle what waits for names."""
        raise NotImplementedError

    def _over(self) -> None:
        """Hear that this node has ended, likewise."""
        raise NotImplementedError

    def _settled(self, names: Iterable[str]) -> None:
        """Hear that actors of these names have started here, likewise."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Hand over what this node owns, likewise."""
        raise NotImplementedError

    async def _drain_as_told(self) -> None:
        try:
            await self.drain()
        except NoQuorumError as error:
            _log.warning("%s could not hand over all: %s", self.system.address, error)

    @property
    def us(self) -> str:
        """The name of this node."""
        return self._endpoint.remote.node or self.system.name

    @property
    def run_id(self) -> str:
        """This incarnation of this node."""
        return f"{self.us}/{self._incarnation}"

    @property
    def _holds(self) -> bool:
        return self.lease is not None and self.lease.holds

    @property
    def _last_heard(self) -> float:
        return self._heard_at if self.lease is None else max(self._heard_at, self.lease.renewed_at)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _until(self, condition: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not condition():
            if self.is_over:
                raise ActorStoppedError(f"{self.system.address} has ended", self.system.user.path)
            await self._changed.wait()
