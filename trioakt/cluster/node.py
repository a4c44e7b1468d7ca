"""This node's part in its cluster: what its users see of it and can do there."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import trio

from trioakt.cluster.grains import ClusterGrains
from trioakt.cluster.guests import KEEPERS, LOSSES
from trioakt.cluster.guide import Guide
from trioakt.cluster.health import Health
from trioakt.cluster.member import Member
from trioakt.cluster.membership import Membership
from trioakt.cluster.names import Names
from trioakt.cluster.router import Crew, Crews
from trioakt.cluster.settings import Cluster
from trioakt.cluster.ticks import Ticks
from trioakt.cluster.view import Delta
from trioakt.errors import LeaseLostError, NoQuorumError
from trioakt.grains.sharing import is_shard
from trioakt.lowlevel import CoreSystem
from trioakt.patterns.schedule import Scheduler

if TYPE_CHECKING:
    from trioakt.datacenter.federation import Federation
    from trioakt.datacenter.info import DatacenterInfo
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")

_RETURN = 5.0
"""Seconds that a node that leaves waits for others to take what was sent from here meanwhile."""


class ClusterNode:
    """What a system has to do with its cluster; get it as ``system.cluster``.

    Args:
        system: This node's.
        settings: What was said about it.
        endpoint: Its way to others.

    Attributes:
        membership: In the cluster, for those who build on it.
        federation: What this node has to do with other datacenters, where its cluster is one of several.
    """

    def __init__(self, system: CoreSystem, settings: Cluster, endpoint: Endpoint) -> None:
        self._system = system
        self.federation: Federation | None = None
        self.membership = membership = Membership(system, settings, endpoint)
        membership.listeners.append(self._hear)
        self.view = membership.view
        self.directory = membership.directory
        self.names = names = Names(membership, endpoint)
        self.grains = ClusterGrains(membership, endpoint, settings.shards)
        self.spawn, self.spawn_singleton, self.locate = names.spawn, names.spawn_singleton, names.locate
        self.run = membership.run
        self.wait_change = membership.wait_change
        self._ticks = Ticks(f"trioakt.ticks/{system.name}/{settings.name}/", membership.us)
        endpoint.identities["cluster"] = self.directory.ref_to
        endpoint.inquiries["cluster"] = Guide(self, endpoint).answer
        endpoint.register(Crew)
        system.service(Scheduler).claim = self._claim_tick

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
        return leader is not None and self.membership.holds and leader.run == self.membership.run_id

    def health(self) -> Health:
        """Return how this node stands in the cluster now."""
        membership, names = self.membership, self.view.names
        taken = frozenset[str]().union(*(member.kinds for member in self.view.members.values()))
        return Health(
            is_member=membership.holds,
            lease_left=0.0 if membership.lease is None else membership.lease.left,
            draining=membership.draining,
            last_heard=trio.current_time() - membership.heard_at,
            members=len(self.view.members),
            orphans=sum(not is_shard(each) or names[each].fact.kind in taken for each in self.view.orphans),
        )

    async def wait_members(self, number: int) -> tuple[Member, ...]:
        """Wait until there are at least so many members, and return them."""
        await self.membership.wait_until(lambda: len(self.view.members) >= number)
        return self.members()

    async def wait_other_members(self, known: tuple[Member, ...]) -> tuple[Member, ...]:
        """Wait until the members are others than those, or say other things of themselves, and return them."""
        await self.membership.wait_until(lambda: self.members() != known)
        return self.members()

    def fencing_token(self, path: str, since: float = math.inf) -> int:
        """Return the token of this node's ownership of an actor, spawned then; see ``Context.fencing_token``.

        Raises:
            LeaseLostError: This node has lost its lease: it owns nothing.
            RuntimeError: Neither the actor nor one above it has a name in the cluster.
        """
        self.membership.check()
        holdings = self.membership.holdings
        name = path.removeprefix(f"{self._system.user.path}/").partition("/")[0]
        if holdings is not None and name.startswith(KEEPERS):
            return holdings.guests.token_of(path)
        holding = None if holdings is None else holdings.held.get(name)
        if holding is not None and holding.since > since:
            raise LeaseLostError(f"{path} is of an earlier ownership, which this node has lost")
        if holding is None and (is_shard(name) or name in self.view.names):
            raise LeaseLostError(f"{path} is not owned by this node any more")
        if holding is None:
            raise RuntimeError(f"{path} has no name in the cluster that is owned here: it has no fencing token")
        return holding.token << LOSSES if is_shard(name) else holding.token

    async def drain(self) -> None:
        """Hand over what this node owns, and take nothing on any more; a coordinated shutdown does so by itself.

        Each actor finishes what waits for it, at most as long as its system's ``stop_grace``; another node then takes
        it over. What no other node can take ends, and so do routees. The node stays a member, which owns nothing.

        Raises:
            NoQuorumError: The store cannot be reached; the rest is taken over when the lease lapses.
        """
        membership, holdings = self.membership, self.membership.holdings
        membership.draining = True
        await trio.lowlevel.checkpoint()
        if holdings is None:
            return
        holdings.draining = True
        await membership.announce()
        await holdings.hand_over()
        with trio.move_on_after(_RETURN):
            await membership.wait_until(lambda: not self.directory.has_parked)
        with trio.move_on_after(self._system.settings.actors.stop_grace):
            await self._system.service(Crews).wait_none()

    # ----------------------------------------------------------------- other datacenters

    def datacenters(self) -> tuple[DatacenterInfo, ...]:
        """Return the datacenters as far as this node has heard, this one too, in the order of their names.

        Raises:
            RuntimeError: This cluster is none of several: it has no ``datacenter=``.
        """
        return self.datacenter_federation().datacenters()

    async def wait_datacenter(self, name: str) -> DatacenterInfo:
        """Wait until a datacenter is active, and return what is known of it.

        Raises:
            RuntimeError: As ``datacenters``.
        """
        return await self.datacenter_federation().wait_active(name)

    async def drain_datacenter(self) -> None:
        """Let other datacenters place nothing new in this one; what is here they still reach.

        It stays so, whoever leads the cluster and when it is started anew, until ``activate_datacenter``.

        Raises:
            NoQuorumError: The directory cannot be reached.
            DatacenterError: Another cluster is registered by the name of this one.
            RuntimeError: As ``datacenters``.
        """
        await self.datacenter_federation().drain()

    async def activate_datacenter(self) -> None:
        """Let other datacenters place actors in this one again.

        Raises:
            NoQuorumError, DatacenterError, RuntimeError: As ``drain_datacenter``.
        """
        await self.datacenter_federation().drain(undo=True)

    def datacenter_federation(self) -> Federation:
        """Return what this node has to do with other datacenters.

        Raises:
            RuntimeError: As ``datacenters``.
        """
        if self.federation is None:
            raise RuntimeError("this cluster is none of several: give it Cluster(datacenter=Datacenter(...))")
        return self.federation

    def _hear(self, delta: Delta) -> None:
        """Drain when somebody has written down that this node shall."""
        us = self.view.members.get(self.membership.us)
        told = us is not None and us.run == self.membership.run_id and us.draining
        if delta.members and told and not self.membership.draining:
            self.membership.nursery.start_soon(self._drain_as_told)

    async def _drain_as_told(self) -> None:
        try:
            await self.drain()
        except NoQuorumError as error:
            _log.warning("%s could not hand over all: %s", self._system.address, error)

    async def _claim_tick(self, name: str, due: float) -> bool:
        return self.membership.holds and await self._ticks.claim(self.membership.store, name, due)
