"""Topics of a cluster: what is published on one node is heard on all, once."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.cluster.nodes import Add, Counter, open_town
from trioakt import ActorSystem


async def _heard(system: ActorSystem, log: list[tuple[str, object]], *, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe("orders") as orders:
        task_status.started()
        async for order in orders:
            log.append((system.address, order))  # noqa: PERF401 - as it comes


async def test_what_one_node_publishes_all_hear_once(autojump_clock: MockClock) -> None:
    log: list[tuple[str, object]] = []
    async with open_town() as town, trio.open_nursery() as nursery:
        nodes = [await town.start(name) for name in "abc"]
        for node in nodes:
            await node.cluster.wait_members(3)
            await nursery.start(_heard, node, log)
        await trio.sleep(1)

        for number in range(3):
            nodes[0].topics.publish("orders", Add(number))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    for node in nodes:
        assert [order for address, order in log if address == node.address] == [Add(number) for number in range(3)]


async def test_a_node_that_joins_later_hears_what_comes_then(autojump_clock: MockClock) -> None:
    log: list[tuple[str, object]] = []
    async with open_town() as town, trio.open_nursery() as nursery:
        here = await town.start("a")
        there = await town.start("b")
        await nursery.start(_heard, there, log)
        await trio.sleep(1)

        here.topics.publish("orders", Add(1))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert log == [(there.address, Add(1))]


async def test_topics_are_shared_again_when_a_link_comes_back(autojump_clock: MockClock) -> None:
    log: list[tuple[str, object]] = []
    async with open_town() as town, trio.open_nursery() as nursery:
        here, there = await town.start("a"), await town.start("b")
        await nursery.start(_heard, there, log)
        town.network.partition(["a"], ["b"])
        await trio.sleep(20)
        town.network.heal()
        await trio.sleep(20)

        here.topics.publish("orders", Add(1))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()

    assert log == [(there.address, Add(1))]


async def test_a_node_without_subscribers_gets_nothing(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", kinds=[Counter])
        await here.cluster.wait_members(2)
        await trio.sleep(1)

        here.topics.publish("orders", Add(1))

        assert not here.endpoint.topics.interests.matching("orders")
        assert there.topics is not here.topics
