"""The federation: what a node has to do with the other datacenters."""

from __future__ import annotations

import logging
import math
from threading import get_ident
from typing import TYPE_CHECKING

import trio
from attrs import evolve

from trioakt.cluster.following import follow
from trioakt.cluster.insisting import insist
from trioakt.cluster.stores import open_store
from trioakt.datacenter.embassy import Embassy
from trioakt.datacenter.info import DatacenterChanged, DatacenterInfo, DatacenterState
from trioakt.datacenter.registrar import Registrar
from trioakt.datacenter.view import DRAINS, DirectoryView, prefix_of
from trioakt.errors import ActorStoppedError, ClusterError, DatacenterError, NoQuorumError
from trioakt.patterns.background import end_with_the_last

if TYPE_CHECKING:
    from trioakt.cluster.node import ClusterNode
    from trioakt.cluster.settings import Datacenter
    from trioakt.cluster.store import Store
    from trioakt.cluster.view import Delta
    from trioakt.datacenter.abroad import Abroad
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.endpoint import Endpoint

_log = logging.getLogger("trioakt")

_PATIENCE = 2.0
"""Seconds after which a directory that cannot be opened is tried again."""
_LOOKS = 4
"""How often the directory is asked for a sign of life within the time for which it may be silent."""


class Federation:
    """The datacenters, as one node knows them.

    Args:
        system: This node's.
        node: Its part in its own cluster.
        endpoint: Its way to others.
        settings: What was said about its own datacenter.
    """

    def __init__(self, system: CoreSystem, node: ClusterNode, endpoint: Endpoint, settings: Datacenter) -> None:
        self._system = system
        self._node = node
        self._membership = node.membership
        self._endpoint = endpoint
        self._settings = settings
        self._view = DirectoryView(prefix_of(system.name))
        self._cluster = ""
        self._is_refused = False
        self._known: dict[str, DatacenterInfo] = {}
        self._heard_at = -math.inf
        self._changed = trio.Event()
        self._directory: Store | None = None
        self._embassy = Embassy(system, node, endpoint, settings.name, self._addresses)
        self._membership.listeners.append(self._hear_members)

    # ------------------------------------------------------------- what users see of it

    def datacenters(self) -> tuple[DatacenterInfo, ...]:
        """Return what this node knows of all datacenters; see ``ClusterNode.datacenters``."""
        return tuple(evolve(each, age=self._age) for each in self._known.values())

    async def wait_active(self, name: str) -> DatacenterInfo:
        """Wait until a datacenter is active; see ``ClusterNode.wait_datacenter``."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            found = self._known.get(name)
            is_known = found is not None and not self._is_refused and self._age <= self._settings.max_age
            if found is not None and is_known and found.state == DatacenterState.ACTIVE:
                return evolve(found, age=self._age)
            await self._changed.wait()

    async def drain(self, *, undo: bool = False) -> None:
        """Let others place nothing new here, or let them again; see ``ClusterNode.drain_datacenter``."""
        directory = self._directory
        if directory is None:
            raise NoQuorumError("the directory of the datacenters cannot be reached")
        self._check_name()
        key = self._view.key(DRAINS, self._settings.name)
        if undo:
            listing = await directory.list(key)
            for entry in listing.entries:
                if entry.key == key:
                    await directory.delete(key, entry.token)
        else:
            await directory.create(key, self._membership.run_id.encode())

    def abroad(self, name: str, *, placing: bool = False) -> Abroad | None:
        """Return the way into a datacenter; ``None`` if it is this one.

        Args:
            name: Which.
            placing: Whether something new is to be placed there.

        Raises:
            DatacenterError: It cannot be looked into now, or takes nothing new.
            ActorStoppedError: This node has ended.
        """
        if name == self._settings.name:
            return None
        if get_ident() != self._system.thread:
            raise self._system.wrong_thread(self._system.address)
        self._check_open()
        found = self.check(name)
        if placing and found.state != DatacenterState.ACTIVE:
            raise DatacenterError(f"the datacenter {name!r} is {found.state}, and takes nothing new")
        return self._embassy.way(name, found.shards)

    def check(self, name: str) -> DatacenterInfo:
        """Return what is known of a datacenter that can be looked into now.

        Raises:
            DatacenterError: It cannot.
        """
        if self._age > self._settings.max_age:
            silent = "yet" if self._age == math.inf else f"for {self._age:.0f} s"
            raise DatacenterError(f"nothing is known of {name!r} now: the directory has not been heard from {silent}")
        self._check_name()
        found = self._known.get(name)
        if found is None:
            raise DatacenterError(f"there is no datacenter {name!r}, only {sorted(self._known)}")
        if found.state == DatacenterState.INACTIVE:
            raise DatacenterError(f"the datacenter {name!r} is inactive")
        return found

    def _check_name(self) -> None:
        """See that no other cluster has the name that this one is to have."""
        if self._is_refused:
            raise DatacenterError(f"another cluster is registered as {self._settings.name!r}, which is to be this one")

    def _check_open(self) -> None:
        if self._embassy.is_over:
            raise ActorStoppedError(f"{self._system.address} has ended", self._system.user.path)

    # ------------------------------------------------------------------- how it is known

    def _addresses(self, name: str) -> tuple[str, ...]:
        found = self._known.get(name)
        return () if found is None else found.addresses

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task of the federation, which ends with the last actor; a directory that is down ends nothing."""
        with trio.CancelScope() as scope:
            end_with_the_last(self._system, scope)
            async with trio.open_nursery() as self._embassy.nursery:
                task_status.started()
                try:
                    await self._keep_up()
                finally:
                    self._embassy.close()
                    self._wake()

    async def _keep_up(self) -> None:
        """Be registered in the directory, and hear what it tells."""
        while not self._membership.holds:
            await self._changed.wait()
        while True:
            try:
                async with open_store(self._settings.directory) as directory:
                    await self._live(directory)
            except* (ClusterError, OSError) as error:
                _log.warning("%s cannot use the directory: %s", self._system.address, error.exceptions)
            await trio.sleep(_PATIENCE)

    async def _live(self, directory: Store) -> None:
        listing = await insist(lambda: directory.list(self._view.prefix), f"the directory of {self._system.address}")
        self._cluster = self._cluster or await self._identify()
        self._view.load(listing)
        self._hear(None)
        self._directory = directory
        registrar = Registrar(
            self._membership, self._settings, self._node.grains.shards, self._wait_change, self._cluster
        )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow, directory, self._view, self._hear)
                nursery.start_soon(self._listen, directory)
                nursery.start_soon(registrar.run, directory, self._view.prefix)
        finally:
            self._directory = None

    async def _identify(self) -> str:
        """Return what tells this cluster from others: the same on all its nodes, as it is in their store."""
        membership = self._membership
        key = f"trioakt.datacenter/{membership.view.prefix.removeprefix('trioakt/')}"
        token = self._endpoint.remote.entropy(16).hex().encode()
        await insist(lambda: membership.store.create(key, token), membership.us)
        listing = await insist(lambda: membership.store.list(key), membership.us)
        return next(entry.value for entry in listing.entries if entry.key == key).decode()

    async def _listen(self, directory: Store) -> None:
        """Find out that the directory still speaks, and what it says, should its watch have fallen silent."""
        while True:
            await trio.sleep(self._settings.max_age / _LOOKS)
            try:
                listing = await directory.list(self._view.prefix)
            except NoQuorumError:
                continue
            if listing.revision > self._view.revision:
                self._view.load(listing)
            self._hear(None)

    @property
    def _age(self) -> float:
        return trio.current_time() - self._heard_at

    async def _wait_change(self) -> None:
        await self._changed.wait()

    def _hear_members(self, delta: Delta) -> None:
        if delta.members:
            self._wake()

    def _hear(self, _: None) -> None:
        """Hear that something has changed in the directory, or may have."""
        self._heard_at = trio.current_time()
        ours = self._view.record(self._settings.name)
        self._is_refused = ours is not None and (ours.fact is None or ours.fact.cluster != self._cluster)
        self._embassy.refuse(whether=self._is_refused and ours is not None and ours.fact is not None)
        before, self._known = self._known, self._view.datacenters()
        for name, info in self._known.items():
            if before.get(name) != info:
                self._system.publish(DatacenterChanged, self._system.user.ref, info)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
