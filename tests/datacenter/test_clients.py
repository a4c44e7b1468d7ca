"""Clients of a cluster that is one of several datacenters."""

from __future__ import annotations

from trio.testing import MockClock

from tests.cluster.nodes import Add, Counter
from tests.datacenter.kinds import AddThere, Clerk, Keep, Kept, User
from tests.datacenter.world import located, two_towns
from trioakt import open_client


async def test_refs_that_come_to_a_client_and_from_it_are_good(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, _, _):
        await here.spawn(Counter, name="ada", cluster=True)
        await here.spawn(Clerk, name="clerk", cluster=True)
        transport = world.network.transport("client")
        async with open_client(["mem://eu-1:1"], listen="mem://client:1", transport=transport, cluster=True) as client:
            clerk, ada = await client.locate("clerk"), await client.locate("ada")
            assert clerk is not None
            assert ada is not None
            for ref in (ada, client.grain(User, "u-1")):
                await clerk.send(Keep(ref))
                assert await clerk.ask(AddThere(1)) == 1
                assert await clerk.ask(Kept()) == ref
                assert await (await clerk.ask(Kept())).ask(Add(1)) == 2
            assert await here.grain(User, "u-1").ask(Add(1)) == 3


async def test_a_ref_into_another_datacenter_leads_a_client_nowhere(autojump_clock: MockClock) -> None:
    async with two_towns() as (world, _, here, _, there):
        await there[0].spawn(Counter, name="ada", cluster=True)
        clerk = await here.spawn(Clerk, name="clerk", cluster=True)
        await clerk.send(Keep(await located(here, "ada", "us")))
        transport = world.network.transport("client")
        async with open_client(["mem://eu-1:1"], listen="mem://client:1", transport=transport) as client:
            assert not (await client.ask("clerk", Kept())).is_alive
            assert await client.ask("clerk", AddThere(1)) == 1
