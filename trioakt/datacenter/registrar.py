"""The registrar: how a cluster keeps its record in the directory."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from trioakt.datacenter.facts import VERSION, DatacenterFact, encode_fact
from trioakt.datacenter.info import DatacenterState
from trioakt.datacenter.view import DRAINS, RECORDS, DirectoryView
from trioakt.errors import ClusterError, LeaseLostError, NoQuorumError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioakt.cluster.lease import Lease
    from trioakt.cluster.membership import Membership
    from trioakt.cluster.settings import Datacenter
    from trioakt.cluster.store import Store

_log = logging.getLogger("trioakt")

_VOUCHERS = 2
"""How many nodes vouch for a datacenter, the oldest ones, so that nobody sees it gone when its leader leaves."""
_LOOKS = 5
"""How often the record is looked at within a time to live, if nothing happens."""


class Registrar:
    """What a node does for the record of its cluster.

    The leader and the node next to it in age hold leases in the directory; the leader writes the record. No cluster
    changes the record of another one, but it takes the name over when nobody vouches for that one.

    Args:
        membership: This node's.
        datacenter: Which one the cluster is.
        shards: In how many parts grains are shared out there.
        wait_change: Waits until this node hears of a change, in the cluster or in the directory.
        cluster: What tells this cluster from others.
    """

    def __init__(
        self,
        membership: Membership,
        datacenter: Datacenter,
        shards: int,
        wait_change: Callable[[], Awaitable[None]],
        cluster: str,
    ) -> None:
        self._membership = membership
        self._datacenter = datacenter
        self._shards = shards
        self._wait_change = wait_change
        self._cluster = cluster
        self._refused_for = ""
        self._is_cut_off = False

    async def run(self, directory: Store, prefix: str) -> None:
        """Keep the record under a prefix of the directory, until cancelled."""
        while True:
            if self._is_wanted:
                try:
                    async with directory.grant(self._datacenter.lease_ttl) as lease:
                        await self._vouch(directory, prefix, lease)
                except (NoQuorumError, LeaseLostError) as error:
                    self._lament(error)
            await self._pause()

    def _lament(self, error: ClusterError) -> None:
        """Say, once for each time that it begins, that the directory cannot be reached."""
        if not self._is_cut_off:
            self._is_cut_off = True
            name = self._datacenter.name
            _log.warning("%s cannot vouch for the datacenter %s: %s", self._membership.us, name, error)

    @property
    def _is_wanted(self) -> bool:
        """Whether this node vouches for its cluster."""
        members = sorted(self._membership.view.members.values(), key=lambda member: member.incarnation)
        us = self._membership.run_id
        return self._membership.holds and any(member.run == us for member in members[:_VOUCHERS])

    async def _pause(self) -> None:
        with trio.move_on_after(self._datacenter.lease_ttl / _LOOKS):
            await self._wait_change()

    async def _vouch(self, directory: Store, prefix: str, lease: Lease) -> None:
        """Vouch for the cluster for as long as this node is to, and the lease holds."""
        name, view = self._datacenter.name, DirectoryView(prefix)
        key = view.lease_key(name, self._cluster, self._membership.run_id)
        while self._is_wanted and lease.holds:
            try:
                view.load(await directory.list(prefix))
                if view.entry(key) is None:
                    await directory.create(key, b"", lease)
                if self._writes(view):
                    await self._record(directory, view)
                self._is_cut_off = False
            except NoQuorumError as error:  # the lease may hold all the same
                self._lament(error)
            await self._pause()

    def _writes(self, view: DirectoryView) -> bool:
        """Whether this node is the leader, or the leader does not reach the directory."""
        leader = self._membership.view.leader
        if leader is None or leader.run == self._membership.run_id:
            return leader is not None
        return view.entry(view.lease_key(self._datacenter.name, self._cluster, leader.run)) is None

    async def _record(self, directory: Store, view: DirectoryView) -> None:
        """Let the record say how the cluster stands."""
        name, key, now = self._datacenter.name, view.key(RECORDS, self._datacenter.name), self._fact()
        record = view.record(name)
        if record is None:
            registered = replace(now, state=DatacenterState.REGISTERED, addresses=[])
            await directory.create(key, encode_fact(registered))
        elif record.fact is None:
            self._refuse("?", "is registered by nodes of another version")
        elif record.fact.cluster == self._cluster:
            self._refused_for = ""
            if record.fact != now:
                await directory.put_guarded(key, encode_fact(now), record.token)
        elif view.is_alive(name, record.fact.cluster):
            where = ", ".join(record.fact.addresses)
            self._refuse(record.fact.cluster, f"is another cluster, at {where}: one of the two needs another name")
        else:
            _log.warning("%s takes over the datacenter %s, of a cluster that is gone", self._membership.us, name)
            await directory.delete(key, record.token)
            mark = view.entry(view.key(DRAINS, name))
            if mark is not None:  # which was not for this cluster
                await directory.delete(mark.key, mark.token)

    def _refuse(self, cluster: str, why: str) -> None:
        """Say, once for each, that the name is taken."""
        if self._refused_for != cluster:
            self._refused_for = cluster
            _log.error("%s cannot register: the datacenter %s %s", self._membership.us, self._datacenter.name, why)

    def _fact(self) -> DatacenterFact:
        """Return how the cluster stands now."""
        members = sorted(self._membership.view.members.values(), key=lambda member: member.incarnation)
        willing = [member for member in members if not member.draining]
        return DatacenterFact(
            VERSION,
            self._cluster,
            DatacenterState.ACTIVE if willing else DatacenterState.DRAINING,
            [member.address for member in willing or members],
            sorted({kind for member in members for kind in member.kinds}),
            self._shards,
        )
