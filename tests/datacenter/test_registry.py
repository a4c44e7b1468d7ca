"""How datacenters are registered, and what others see of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import Counter, open_town
from tests.datacenter.kinds import User
from tests.datacenter.world import LEASE, MAX_AGE, open_world
from trioakt import (
    ActorSystem,
    Cluster,
    ClusterError,
    Datacenter,
    DatacenterChanged,
    DatacenterError,
    DatacenterInfo,
    DatacenterState,
    NoQuorumError,
    Placement,
    Remote,
)
from trioakt.cluster.store import Changes, Resync


def states(system: ActorSystem) -> dict[str, str]:
    """Return how the datacenters stand, as a node sees it."""
    return {each.name: each.state.value for each in system.cluster.datacenters()}


async def test_each_node_sees_all_datacenters(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, there = await eu.start("eu-1"), await us.start("us-1")
        second = await us.start("us-2")

        info = await here.cluster.wait_datacenter("us")
        await trio.sleep(1)

        assert states(here) == states(there) == states(second) == {"eu": "active", "us": "active"}
        _, info = here.cluster.datacenters()
        assert info.addresses == (there.address, second.address)
        assert info.kinds == {"tests.cluster.nodes.Counter"}
        assert info.shards == 256
        assert info.age < MAX_AGE


async def test_a_datacenter_outlives_its_leader(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here = await eu.start("eu-1")
        nodes = [await us.start(f"us-{number}") for number in range(1, 5)]
        await here.cluster.wait_datacenter("us")
        seen = list[DatacenterState]()

        with here.events.listen(lambda event: seen.append(event.datacenter.state), DatacenterChanged):
            await trio.sleep(1)
            await us.leave(nodes[0])
            await trio.sleep(1)
            await us.crash(nodes[1])
            await trio.sleep(3 * LEASE)

        assert set(seen) == {DatacenterState.ACTIVE}
        _, info = here.cluster.datacenters()
        assert info.addresses == (nodes[2].address, nodes[3].address)


async def test_a_datacenter_that_is_lost_is_seen_as_inactive_until_it_is_back(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, there = await eu.start("eu-1"), await us.start("us-1")
        await here.cluster.wait_datacenter("us")

        world.directory.partition("us-1")
        await us.crash(there)
        await trio.sleep(LEASE / 2)
        assert states(here)["us"] == "active"
        await trio.sleep(LEASE)
        assert states(here) == {"eu": "active", "us": "inactive"}

        us.store.heal()
        world.directory.heal()
        await us.start("us-2")
        await here.cluster.wait_datacenter("us")


async def test_a_datacenter_that_ends_in_order_is_inactive_at_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, there = await eu.start("eu-1"), await us.start("us-1")
        await here.cluster.wait_datacenter("us")

        await us.leave(there)
        await trio.sleep(1)
        assert states(here)["us"] == "inactive"


async def test_an_operator_drains_a_datacenter_and_lets_it_be_active_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, there = await eu.start("eu-1"), await us.start("us-1")
        second = await us.start("us-2")
        for node in (here, second):
            await node.cluster.wait_datacenter("us")

        await second.cluster.drain_datacenter()
        await trio.sleep(1)
        assert states(here)["us"] == states(there)["us"] == "draining"
        await us.leave(there)
        await trio.sleep(1)
        assert states(here)["us"] == "draining"

        await second.cluster.activate_datacenter()
        await trio.sleep(1)
        assert states(here)["us"] == "active"


async def test_a_datacenter_drains_when_all_its_nodes_do(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, there = await eu.start("eu-1"), await us.start("us-1")
        second = await us.start("us-2")
        await here.cluster.wait_datacenter("us")

        await there.cluster.drain()
        await trio.sleep(1)
        _, info = here.cluster.datacenters()
        assert (info.state, info.addresses) == (DatacenterState.ACTIVE, (second.address,))
        await second.cluster.drain()
        await trio.sleep(1)
        _, info = here.cluster.datacenters()
        assert (info.state, info.addresses) == (DatacenterState.DRAINING, (there.address, second.address))


async def test_of_two_clusters_of_one_name_the_second_waits_and_says_so(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        first, second = world.town("eu"), world.town("eu")
        here, there = await first.start("eu-1"), await second.start("other-1")
        await here.cluster.wait_datacenter("eu")
        await trio.sleep(3 * LEASE)

        assert sum("is another cluster" in record.message for record in caplog.records) == 1
        (info,) = there.cluster.datacenters()
        assert info.addresses == (here.address,)
        with pytest.raises(DatacenterError, match="another cluster"):
            there.cluster.datacenter_federation().check("eu")

        await first.leave(here)
        await trio.sleep(LEASE)
        (info,) = there.cluster.datacenters()
        assert (info.state, info.addresses) == (DatacenterState.ACTIVE, (there.address,))


async def test_a_directory_that_is_down_harms_no_cluster(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.directory.freeze()
        eu = world.town("eu")
        here, other = await eu.start("eu-1"), await eu.start("eu-2")
        await other.spawn(Counter, name="ada", cluster=True)
        assert await here.locate("ada") is not None
        assert here.cluster.datacenters() == ()
        await trio.sleep(10 * LEASE)
        with pytest.raises(DatacenterError, match="not been heard from yet"):
            here.cluster.datacenter_federation().check("us")
        with pytest.raises(NoQuorumError):
            await here.cluster.drain_datacenter()

        world.directory.thaw()
        assert (await here.cluster.wait_datacenter("eu")).addresses == (here.address, other.address)


async def test_who_does_not_hear_from_the_directory_believes_nothing_for_long(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        here, _ = await eu.start("eu-1"), await us.start("us-1")
        await here.cluster.wait_datacenter("us")
        await trio.sleep(10 * MAX_AGE)
        federation = here.cluster.datacenter_federation()
        assert federation.check("us").age < MAX_AGE

        world.directory.partition("eu-1")
        await trio.sleep(MAX_AGE / 2)
        assert federation.check("us").state == DatacenterState.ACTIVE
        await trio.sleep(MAX_AGE)
        with pytest.raises(DatacenterError, match="has not been heard from for"):
            federation.check("us")

        world.directory.heal()
        await trio.sleep(5)
        assert federation.check("us").age < MAX_AGE


async def test_the_nodes_of_a_cluster_name_the_same_datacenter(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        eu = world.town("eu")
        here = await eu.start("eu-1")
        assert [member.datacenter for member in here.cluster.members()] == ["eu"]
        eu.datacenter = None
        with pytest.raises(ClusterError, match="datacenter 'eu'"):
            await eu.start("eu-2")


async def test_a_cluster_that_is_no_datacenter_has_none(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        with pytest.raises(RuntimeError, match="datacenter"):
            here.cluster.datacenters()


@pytest.mark.parametrize("wrong", [{"name": "e u"}, {"lease_ttl": 0.5}, {"max_age": 0.0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"name": "eu", "directory": "etcd://127.0.0.1"} | wrong
    with pytest.raises(ValueError, match=r"name|lease_ttl|max_age"):
        Datacenter(**settings)


def test_grains_are_not_placed_in_other_datacenters_by_their_class() -> None:
    class Emigrant(User):
        placement = Placement.random(datacenter="us")

    with pytest.raises(ValueError, match="Emigrant"):
        Cluster("sqlite://eu.db", grains=[Emigrant])


def test_a_directory_that_no_engine_is_for_is_refused_at_once() -> None:
    cluster = Cluster("sqlite://eu.db", datacenter=Datacenter("eu", directory="redis://127.0.0.1"))
    with pytest.raises(ValueError, match="redis"):
        ActorSystem("town", remote=Remote("tcp://127.0.0.1:0", cookie="town"), cluster=cluster)


async def test_who_lets_an_active_datacenter_be_active_disturbs_nobody(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        here, there = await world.town("eu").start("eu-1"), await world.town("us").start("us-1")
        await here.cluster.wait_datacenter("us")
        await trio.sleep(1)
        seen = list[DatacenterInfo]()

        with here.events.listen(lambda event: seen.append(event.datacenter), DatacenterChanged):
            await there.cluster.activate_datacenter()
            await trio.sleep(1)
        assert seen == []


@asynccontextmanager
async def silence(prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
    """Watch as at a directory that tells of nothing any more."""
    send, receive = trio.open_memory_channel[Changes | Resync](0)
    with send, receive:
        yield receive


async def test_nothing_is_believed_for_long_where_the_watch_of_the_directory_has_fallen_silent(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        eu, us = world.town("eu"), world.town("us")
        directory = world.directory.view("eu-1")
        monkeypatch.setattr(directory, "watch", silence)
        eu.datacenter = lambda _: Datacenter("eu", directory=directory, lease_ttl=LEASE, max_age=MAX_AGE)
        there = await us.start("us-1")
        here = await eu.start("eu-1")
        await here.cluster.wait_datacenter("us")

        await us.leave(there)
        await trio.sleep(MAX_AGE)
        assert states(here)["us"] == "inactive"


async def test_who_waits_for_a_datacenter_is_not_told_what_is_too_old(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        here, _ = await world.town("eu").start("eu-1"), await world.town("us").start("us-1")
        await here.cluster.wait_datacenter("us")
        world.directory.freeze()
        await trio.sleep(2 * MAX_AGE)

        with trio.move_on_after(MAX_AGE) as patience:
            await here.cluster.wait_datacenter("us")
        assert patience.cancelled_caught
        world.directory.thaw()
        assert (await here.cluster.wait_datacenter("us")).age < MAX_AGE
