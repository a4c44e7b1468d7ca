"""What is in one datacenter is reached from the others: named actors and grains, and new actors are placed there."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Who, open_town
from tests.datacenter.kinds import AddThere, Clerk, IsLocal, Keep, Kept, User
from tests.datacenter.world import KINDS, located, two_towns
from trioakt import (
    ActorStoppedError,
    Context,
    DatacenterError,
    NameTakenError,
    Placement,
    PlacementError,
    StartError,
)


async def test_an_actor_is_found_in_another_datacenter(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        await there[1].spawn(Counter, 5, name="ada", cluster=True)
        await here.spawn(Counter, 7, name="ada", cluster=True)

        ada = await located(here, "ada", "us")
        assert await ada.ask(Who()) == there[1].address
        assert await ada.ask(Add(1)) == 6
        assert ada == await located(here, "ada", "us")
        assert ada != await here.locate("ada")
        assert await here.locate("eve", datacenter="us") is None


async def test_the_same_identity_is_another_grain_in_each_datacenter(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        near, far = here.grain(User, "u-1"), here.grain(User, "u-1", datacenter="us")
        assert await near.ask(Add(1)) == 1
        assert await far.ask(Add(10)) == 10
        assert await there[0].grain(User, "u-1").ask(Add(10)) == 20
        assert await there[0].grain(User, "u-1", datacenter="eu").ask(Add(1)) == 2
        assert near != far
        assert far == here.grain(User, "u-1", datacenter="us")


async def test_the_own_datacenter_is_the_own_cluster(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, _):
        placement = Placement.random(datacenter="eu")
        ada = await here.spawn_on(placement, Counter, name="ada")
        assert ada == await here.locate("ada", datacenter="eu") == await here.locate("ada")
        assert here.grain(User, "u-1", datacenter="eu") == here.grain(User, "u-1")


async def test_an_actor_is_placed_in_another_datacenter(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, us, there):
        third = await us.start("us-3", roles={"control"}, kinds=(Counter,))
        await there[0].cluster.wait_members(3)

        for name, placement in {
            "one": Placement.random(datacenter="us"),
            "two": Placement.round_robin(datacenter="us"),
            "three": Placement.least_load(role="control", datacenter="us"),
        }.items():
            ref = await here.spawn_on(placement, Counter, 5, name=name)
            assert await ref.ask(Add(1)) == 6
            assert ref == await here.locate(name, datacenter="us")
            assert await there[0].locate(name) is not None
            assert await here.locate(name) is None
        three = await located(here, "three", "us")
        assert await three.ask(Who()) == third.address


async def test_what_cannot_be_placed_in_another_datacenter_is_refused_as_at_home(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        anywhere = Placement.random(datacenter="us")
        await there[0].spawn(Counter, name="ada", cluster=True)
        with pytest.raises(NameTakenError):
            await here.spawn_on(anywhere, Counter, name="ada")
        with pytest.raises(PlacementError, match="control"):
            await here.spawn_on(Placement.random(role="control", datacenter="us"), Counter, name="eve")
        with pytest.raises(ValueError, match="name"):
            await here.spawn_on(anywhere, Counter, name="no name")
        with pytest.raises(TypeError, match="name="):
            await here.spawn_on(anywhere, Counter)


async def test_what_is_unknown_inactive_or_not_configured_is_refused(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, us, there):
        with pytest.raises(DatacenterError, match="mars"):
            here.grain(User, "u-1", datacenter="mars")
        for system in there:
            await us.leave(system)
        await trio.sleep(1)
        with pytest.raises(DatacenterError, match="inactive"):
            await here.locate("ada", datacenter="us")

    async with open_town() as town:
        with pytest.raises(RuntimeError, match="datacenter"):
            (await town.start("a")).grain(User, "u-1", datacenter="us")


async def test_nothing_new_is_placed_where_it_drains_and_what_is_there_is_reached(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        await there[0].spawn(Counter, 5, name="ada", cluster=True)
        await there[0].cluster.drain_datacenter()
        await trio.sleep(1)

        with pytest.raises(DatacenterError, match="draining"):
            await here.spawn_on(Placement.random(datacenter="us"), Counter, name="eve")
        assert await (await located(here, "ada", "us")).ask(Add(1)) == 6
        assert await here.grain(User, "u-1", datacenter="us").ask(Add(1)) == 1


async def test_refs_outlive_what_happens_to_nodes_over_there(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, us, there):
        await there[0].spawn(Counter, 5, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await ada.ask(Who()) == there[0].address
        await user.ask(Who())

        await us.crash(there[0])
        await trio.sleep(3 * TTL)
        assert await ada.ask(Who()) == await user.ask(Who()) == there[1].address

        third = await us.start("us-3", kinds=KINDS, grains=(User,))
        await there[1].cluster.wait_members(2)
        await us.leave(there[1])
        assert await ada.ask(Who()) == await user.ask(Who()) == third.address


async def test_refs_travel_to_other_nodes_and_datacenters_and_mean_the_same_there(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, eu, here, _, there):
        second = await eu.start("eu-2", kinds=KINDS, grains=(User,))
        await second.cluster.wait_datacenter("us")
        await there[1].spawn(Counter, 5, name="ada", cluster=True)
        for ref in (await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")):
            for node, is_local in ((here, False), (second, False), (there[0], True), (there[1], True)):
                clerk = await node.spawn(Clerk)
                from_here = await here.resolve(clerk.address)
                await from_here.send(Keep(ref))
                assert await from_here.ask(AddThere(1)) > 0
                assert await from_here.ask(IsLocal()) is is_local
                assert await from_here.ask(Kept()) == ref


async def test_refs_to_what_is_at_home_are_good_in_another_datacenter(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        await here.spawn(Counter, 5, name="ada", cluster=True)
        ada = await here.locate("ada")
        assert ada is not None
        for ref in (ada, here.grain(User, "u-1")):
            clerk = await here.resolve((await there[0].spawn(Clerk)).address)
            await clerk.send(Keep(ref))
            total = await clerk.ask(AddThere(1))
            assert await ref.ask(Add(1)) == total + 1
            assert await clerk.ask(IsLocal()) is False
            assert await clerk.ask(Kept()) == ref


async def test_actors_over_there_are_stopped_and_watched(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        ada, user = await located(here, "ada", "us"), here.grain(User, "u-1", datacenter="us")
        assert await user.ask(Add(1)) == 1
        for ref in (ada, user):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ref.wait_stopped)
                await trio.sleep(1)
                ref.stop()
        with pytest.raises(ActorStoppedError):
            await ada.ask(Who())
        assert await user.ask(Add(1)) == 1


async def test_options_are_kept_over_there_such_as_those_without_end(autojump_clock: MockClock) -> None:
    class Sleeper(Counter):
        async def pre_start(self, ctx: Context) -> None:
            await trio.sleep(100)

    async with two_towns() as (_, _, here, _, there):
        await there[0].cluster.names.register(Sleeper)
        anywhere = Placement.random(datacenter="us")
        ada = await here.spawn_on(anywhere, Sleeper, 5, name="ada", init_timeout=math.inf)
        assert await ada.ask(Add(1)) == 6
        with pytest.raises(StartError):
            await here.spawn_on(anywhere, Sleeper, 5, name="eve", init_timeout=1.0)


@pytest.mark.parametrize("shards", ["0", "-3", "1_0", "x", "100000", ""])
async def test_a_ref_that_nobody_can_have_made_is_refused(autojump_clock: MockClock, shards: str) -> None:
    async with two_towns() as (_, _, here, _, _):
        with pytest.raises(ValueError, match="shards"):
            here.endpoint.ref_of(f"datacenter/us:{shards}/cluster/ada")


async def test_grains_of_other_datacenters_are_for_the_thread_of_the_system_alone(autojump_clock: MockClock) -> None:
    async with two_towns() as (_, _, here, _, _):
        with pytest.raises(RuntimeError, match="another thread"):
            await trio.to_thread.run_sync(lambda: here.grain(User, "u-1", datacenter="us"))
