"""The directory of datacenters on each engine: kept, out of reach for a while, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.cluster.nodes import Add, Counter
from tests.datacenter.kinds import User
from tests.multiprocess.cluster_stores import Engine, engine, postgresql_engine
from tests.multiprocess.processes import PATIENCE
from trioakt import ActorSystem, Cluster, Datacenter, DatacenterError, Placement, Remote

__all__ = ["engine", "postgresql_engine"]

MAX_AGE = 3.0


def node(datacenter: str, folder: Path, directory: str) -> ActorSystem:
    """Make the one node of a datacenter."""
    cluster = Cluster(
        f"sqlite://{folder / datacenter}.db",
        kinds=[Counter],
        grains=[User],
        datacenter=Datacenter(datacenter, directory=directory, lease_ttl=4 * MAX_AGE, max_age=MAX_AGE),
    )
    return ActorSystem("town", remote=Remote("tcp://127.0.0.1:0", node=datacenter, cookie="tests"), cluster=cluster)


async def refused(system: ActorSystem) -> None:
    """Wait until a node believes nothing about other datacenters any more."""
    with pytest.raises(DatacenterError):
        while True:
            system.grain(User, "u-2", datacenter="us")
            await trio.sleep(0.1)


async def check_directory(directory: Engine, folder: Path) -> None:
    """Let two datacenters find each other, lose the directory, and have it back."""
    async with node("eu", folder, directory.url) as eu, node("us", folder, directory.url) as us:
        with trio.fail_after(PATIENCE):
            for system in (eu, us):
                for name in ("eu", "us"):
                    await system.cluster.wait_datacenter(name)
            user = eu.grain(User, "u-1", datacenter="us")
            ada = await eu.spawn_on(Placement.random(datacenter="us"), Counter, name="ada")
            assert await user.ask(Add(1)) == await ada.ask(Add(1)) == 1

            with directory.out_of_reach():
                await refused(eu)
                assert await user.ask(Add(1)) == await ada.ask(Add(1)) == 2
                await us.spawn(Counter, name="own", cluster=True)

            for name in ("eu", "us"):
                await eu.cluster.wait_datacenter(name)
            while eu.cluster.datacenters()[1].age > MAX_AGE:
                await eu.cluster.wait_datacenter("us")
                await trio.sleep(0.1)
            assert await eu.grain(User, "u-1", datacenter="us").ask(Add(1)) == 3


async def test_a_directory_that_is_out_of_reach_for_a_while_harms_nobody(engine: Engine, tmp_path: Path) -> None:
    await check_directory(engine, tmp_path)


async def test_so_it_is_with_postgresql(postgresql_engine: Engine, tmp_path: Path) -> None:
    await check_directory(postgresql_engine, tmp_path)
