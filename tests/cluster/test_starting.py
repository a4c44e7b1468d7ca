"""How a node starts and ends when its cluster is not as it should be."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Counter, open_town
from trioakt import ActorSystem, Bounded, Cluster, ClusterError, NoQuorumError, Remote
from trioakt.cluster.facts import MemberFact, encode_fact


async def test_a_store_out_of_reach_is_an_error_at_the_start(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        town.store.partition("a")
        remote = Remote("mem://a:1", node="a", transport=town.network.transport("a"))

        with pytest.raises(NoQuorumError):
            async with ActorSystem("town", remote=remote, cluster=Cluster(town.store.view("a"))):
                pass


async def test_waiting_for_a_store_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        town.store.freeze()
        remote = Remote("mem://a:1", node="a", transport=town.network.transport("a"))

        with trio.move_on_after(0.5) as scope:
            async with ActorSystem("town", remote=remote, cluster=Cluster(town.store.view("a"))):
                pass

        assert scope.cancelled_caught
        town.store.thaw()


async def test_the_name_of_a_live_node_is_not_to_be_had(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        remote = Remote("mem://b:1", node="a", transport=town.network.transport("b"))

        with pytest.raises(ClusterError, match="another member 'a'"):
            async with ActorSystem("town", remote=remote, cluster=Cluster(town.store.view("b"), lease_ttl=TTL)):
                pass


async def test_a_node_that_starts_again_waits_until_its_earlier_lease_has_lapsed(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.spawn(Counter, 3, name="ada", cluster=True)
        await town.crash(here)
        town.store.heal()

        with trio.fail_after(TTL + 2):
            again = await town.start("a")
            while again.actor("ada") is None:  # noqa: ASYNC110 - it comes by itself
                await trio.sleep(0.1)


async def test_a_member_of_another_version_is_not_joined(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        fact = MemberFact(99, "trioakt://town@z:1", [], [], 0.0, False, 256)
        await town.store.create("trioakt/town/default/members/z", encode_fact(fact))
        remote = Remote("mem://a:1", node="a", transport=town.network.transport("a"))

        with pytest.raises(ClusterError, match="version 99"):
            async with ActorSystem("town", remote=remote, cluster=Cluster(town.store.view("a"))):
                pass


async def test_an_option_that_cannot_be_written_down_is_refused(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")

        with pytest.raises(TypeError, match="mailbox"):
            await here.spawn(Counter, 0, name="ada", cluster=True, mailbox=Bounded(5))
        with pytest.raises(TypeError, match="name"):
            await here.spawn(Counter, 0, cluster=True)
        with pytest.raises(TypeError, match="actor class"):
            await here.spawn(lambda: Counter(0), name="ada", cluster=True)

        assert await here.locate("ada") is None


async def test_options_outlive_a_move(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 0, name="ada", cluster=True, stash_capacity=7)

        await town.leave(here)
        await trio.sleep(0.5)

        cell = next(cell for cell in there.cells() if cell.name == "ada")
        assert cell.options.stash_capacity == 7


async def test_a_system_without_a_cluster_says_what_it_lacks(autojump_clock: MockClock) -> None:
    async with ActorSystem("alone") as system:
        with pytest.raises(RuntimeError, match="cluster=Cluster"):
            await system.spawn(Counter, 0, name="ada", cluster=True)


async def test_nothing_is_left_in_the_store_when_all_have_left(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = [await town.start(name) for name in "abc"]
        for number in range(20):
            await nodes[number % 3].spawn(Counter, 0, name=f"n{number}", cluster=True)

        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(town.leave, node)

        left = town.store.statistics()
        assert (left.keys, left.leases, left.watches) == (0, 0, 0)
