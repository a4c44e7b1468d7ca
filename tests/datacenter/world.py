"""Several datacenters: towns with a store each, on one network and with one directory, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import trio

from tests.cluster.nodes import Counter, Town
from tests.datacenter.kinds import Clerk, User
from trioakt import ActorRef, ActorSystem, Datacenter, MemoryStore
from trioakt.remote.memory import MemoryNetwork

KINDS = (Counter, Clerk)
LEASE = 10.0
"""Seconds to live of the leases in the directory."""
MAX_AGE = 30.0
"""Seconds for which a node believes what the directory has said."""


class World:
    """A network and a directory, and the towns that share them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.network = MemoryNetwork(Random(0))
        self.directory = MemoryStore()
        self._nursery = nursery

    def town(self, name: str) -> Town:
        """Found a town that is the datacenter of this name; nodes need names that differ in all the world."""
        town = Town(self._nursery)
        town.network = self.network
        town.datacenter = partial(self._datacenter, name)
        return town

    def _datacenter(self, name: str, node: str) -> Datacenter:
        return Datacenter(name, directory=self.directory.view(node), lease_ttl=LEASE, max_age=MAX_AGE)


@asynccontextmanager
async def open_world() -> AsyncGenerator[World]:
    """Have a world; its nodes end with the block."""
    async with trio.open_nursery() as nursery:
        yield World(nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_towns() -> AsyncGenerator[tuple[World, Town, ActorSystem, Town, list[ActorSystem]]]:
    """Have a world with a node in eu, which has heard of two nodes in us."""
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        there = [await us.start(f"us-{number}", kinds=KINDS, grains=(User,)) for number in (1, 2)]
        here = await eu.start("eu-1", kinds=KINDS, grains=(User,))
        await here.cluster.wait_datacenter("us")
        await there[0].cluster.wait_datacenter("eu")
        yield world, eu, here, us, there


async def located(system: ActorSystem, name: str, datacenter: str) -> ActorRef[Any]:
    """Return the ref to a name that is there."""
    ref = await system.locate(name, datacenter=datacenter)
    assert ref is not None
    return ref
