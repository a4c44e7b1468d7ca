"""A node of a datacenter: as `cluster_node.py`, with the arguments `DATACENTER DIRECTORY` behind the others."""

from __future__ import annotations

import sys
from typing import Any

import trio

from tests.multiprocess.cluster_kinds import Account, Add
from tests.multiprocess.cluster_node import Obedience, live
from tests.multiprocess.datacenter_kinds import Meter, Nap, Sleeper
from trioakt import ActorNotFoundError, ActorRef, ActorSystem, Cluster, Datacenter, Placement, Remote

LEASE = 3.0
MAX_AGE = 6.0


class Abroad(Obedience):
    """Carries out commands that are about other datacenters."""

    def __init__(self, system: ActorSystem, nursery: trio.Nursery) -> None:
        super().__init__(system, nursery)
        self._held: dict[str, ActorRef[Any]] = {}

    async def datacenters(self) -> dict[str, str]:
        return {each.name: each.state.value for each in self._system.cluster.datacenters()}

    async def wait_datacenter(self, name: str) -> None:
        await self._system.cluster.wait_datacenter(name)

    async def place_there(self, name: str, datacenter: str) -> None:
        await self._system.spawn_on(Placement.random(datacenter=datacenter), Account, "eve", name=name)

    async def place_sleeper(self, name: str, datacenter: str) -> None:
        await self._system.spawn_on(Placement.random(datacenter=datacenter), Sleeper, name=name)

    async def hold(self, name: str, datacenter: str) -> None:
        """Keep a ref to an actor of that name, and to a grain of that identity."""
        ref = await self._system.locate(name, datacenter=datacenter)
        if ref is None:
            raise ActorNotFoundError(f"{datacenter} has no {name!r}")
        self._held[name] = ref
        self._held[f"grain {name}"] = self._system.grain(Meter, name, datacenter=datacenter)

    async def add_held(self, name: str) -> list[int]:
        return list(await self._held[name].ask(Add()))

    async def nap_held(self, name: str) -> str:
        return str(await self._held[name].ask(Nap(3600)))


def system_of(store: str, node: str, url: str, lease_ttl: float, datacenter: str, directory: str) -> ActorSystem:
    """Make a node of a datacenter."""
    cluster = Cluster(
        store,
        kinds=(Account, Sleeper),
        grains=(Meter,),
        lease_ttl=lease_ttl,
        datacenter=Datacenter(datacenter, directory=directory, lease_ttl=LEASE, max_age=MAX_AGE),
    )
    return ActorSystem(
        "town", remote=Remote(url, node=node, cookie="tests", heartbeat=0.2, suspicion=2.0), cluster=cluster
    )


if __name__ == "__main__":
    _, own_store, own_name, own_url, own_ttl, own_datacenter, own_directory = sys.argv
    trio.run(live, system_of(own_store, own_name, own_url, float(own_ttl), own_datacenter, own_directory), Abroad)
