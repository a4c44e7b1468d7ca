"""Membership: how a node joins its cluster, keeps its lease and its view, and leaves."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.directory import Directory
from trioakt.cluster.enrolment import enrol
from trioakt.cluster.estate import Estate
from trioakt.cluster.events import MembershipLost
from trioakt.cluster.facts import VERSION, MemberFact, encode_fact
from trioakt.cluster.following import follow
from trioakt.cluster.holdings import Holdings
from trioakt.cluster.mesh import Mesh
from trioakt.cluster.news import News
from trioakt.cluster.settings import Cluster
from trioakt.cluster.stores import open_store
from trioakt.cluster.view import MEMBERS, Delta, View, prefix_of
from trioakt.errors import ActorStoppedError, LeaseLostError, NoQuorumError
from trioakt.lowlevel import CoreSystem
from trioakt.patterns.background import end_with_the_last
from trioakt.patterns.kinds import kind_name

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

    Attributes:
        view: What this node knows of the cluster.
        directory: The refs to names that are in use here.
        listeners: Called with what has changed in the view.
        kinds: The actor classes that may be placed here, by name.
        draining: Whether this node takes nothing on any more.
        lease: That of this incarnation, while there is one.
        holdings: What this incarnation owns, likewise.
        is_over: Whether this node has ended.
        store: Which knows who is there; open while the membership runs.
        nursery: Where what the membership owns runs, likewise.
    """

    def __init__(self, system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> None:
        self.system = system
        self.us = endpoint.remote.node or system.name
        self.view = View(prefix_of(system.name, settings.name))
        self.directory = Directory(self, endpoint)
        self.listeners: list[Callable[[Delta], None]] = []
        self.kinds = {kind_name(kind): kind for kind in settings.placeable}
        self.draining = False
        self.lease: Lease | None = None
        self.holdings: Holdings | None = None
        self.is_over = False
        self.store: Store
        self.nursery: trio.Nursery
        self._settings = settings
        self._endpoint = endpoint
        self._news = News(system, self.view)
        self._mesh = Mesh(endpoint, self.view, self.us)
        self._changed = trio.Event()
        self._joined_at = 0.0
        self._heard_at = -math.inf
        self._has_joined = False
        self._incarnation = 0

    @property
    def run_id(self) -> str:
        """This incarnation of this node."""
        return f"{self.us}/{self._incarnation}"

    @property
    def holds(self) -> bool:
        """Whether this node is a member, and its lease holds."""
        return self.lease is not None and self.lease.holds

    @property
    def heard_at(self) -> float:
        """When the store was last heard from; ``-inf`` before the first time."""
        return self._heard_at if self.lease is None else max(self._heard_at, self.lease.renewed_at)

    def check(self) -> None:
        """See that this node is a member.

        Raises:
            LeaseLostError: It is none now.
        """
        if self.lease is None:
            raise LeaseLostError(f"{self.system.address} is no member of the cluster now")
        self.lease.check()

    async def announce(self) -> None:
        """Let all members know what this node says of itself.

        Raises:
            NoQuorumError: The store cannot be reached.
        """
        await self.store.put_guarded(self.view.prefix + MEMBERS + self.us, encode_fact(self._fact()), self._incarnation)

    async def wait_change(self) -> None:
        """Wait until this node hears of a change in the cluster."""
        await self._changed.wait()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is looked at with each change.

        Raises:
            ActorStoppedError: This node has ended.
        """
        await trio.lowlevel.checkpoint()
        while not condition():
            if self.is_over:
                raise ActorStoppedError(f"{self.system.address} has ended", self.system.user.path)
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
        self.directory.end()
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
        try:
            await self._join(lease)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow, self.store, self.view, self._hear)
                nursery.start_soon(self._mesh.run)
                self.holdings = self._hold(lease)
                await nursery.start(self.holdings.run)
                self._has_joined = True
                started()
                self._wake()
                await lease.lost.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._heard_at = self.heard_at
            self.holdings, self.lease, self._incarnation = None, None, 0
            self.directory.wake()
            self._wake()
        _log.error("%s is no member of the cluster any more: its lease is lost", self.system.address)
        self.system.publish(MembershipLost, self.system.user.ref, "its lease is lost")

    async def _join(self, lease: Lease) -> None:
        """Be written down among the members, and see what there is."""
        self._joined_at = self.system.settings.wall_clock()
        patience = math.inf if self._has_joined else _LEASES * self._settings.lease_ttl
        self._incarnation = await enrol(self.store, self.view.prefix, self.us, self._fact(), lease, patience=patience)
        self.lease = lease
        self._hear(self.view.load(await self.store.list(self.view.prefix)))

    def _hold(self, lease: Lease) -> Holdings:
        estate = Estate(self.system, self._endpoint, self.store, lease, self.view, self.run_id, self.wait_until)
        holdings = Holdings(estate, self.kinds, self._settled)
        holdings.draining = self.draining
        return holdings

    def _fact(self) -> MemberFact:
        settings, kinds = self._settings, sorted(self.kinds)
        return MemberFact(
            VERSION,
            self.system.address,
            sorted(settings.roles),
            kinds,
            self._joined_at,
            self.draining,
            settings.shards,
            "" if settings.datacenter is None else settings.datacenter.name,
        )

    def _hear(self, delta: Delta) -> None:
        """Hear what has changed in the view."""
        self._heard_at = trio.current_time()
        self._news.hear(delta)
        self._mesh.hear(delta)
        if self.holdings is not None:
            self.holdings.hear(delta)
        for listener in self.listeners:
            listener(delta)
        for name in sorted(delta.names):
            self.directory.settle(name, is_there=name in self.view.names or name in self.view.owners)
        if delta.anew:
            self.directory.review()
        self._wake()

    def _settled(self, names: Iterable[str]) -> None:
        """Hear that actors of these names have started here."""
        for name in names:
            self.directory.settle(name, is_there=True)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
