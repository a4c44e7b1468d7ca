"""Clients of a cluster: they are no members, and find its named actors wherever these are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Town, Who, open_town
from trioakt import (
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Client,
    Context,
    Remote,
    Request,
    message,
    open_client,
)


@message
class WhoIs(Request[ActorRef[Any] | None]):
    """Answered by the ref to a name."""

    name: str


@asynccontextmanager
async def client_of(town: Town, *nodes: str, **settings: Any) -> AsyncGenerator[Client]:
    """Open a client that is told of these nodes, on a host of its own."""
    addresses = [f"mem://{node}:1" for node in nodes]
    transport = town.network.transport("client")
    async with open_client(addresses, listen="mem://client:1", transport=transport, **settings) as client:
        yield client


async def located(client: Client, name: str) -> ActorRef[Any]:
    """Return the ref to a name that is there."""
    ref = await client.locate(name)
    assert ref is not None
    return ref


async def test_a_named_actor_is_found_on_whichever_node_it_is(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        there = await town.start("b")
        await there.spawn(Counter, 5, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            assert await ada.ask(Who()) == there.address
            assert await ada.ask(Add(1)) == 6
            assert await client.locate("eve") is None
            with pytest.raises(ValueError, match="name"):
                await client.locate("no name")


async def test_messages_go_straight_to_the_owner(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        there = await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            await ada.ask(Who())
            town.network.partition({"a"}, {"b", "client"})
            assert await ada.ask(Who()) == there.address


async def test_a_ref_follows_its_actor_when_a_node_is_lost(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            assert await ada.ask(Who()) == there.address
            await town.crash(there)
            await trio.sleep(TTL)
            assert await ada.ask(Who()) == here.address


async def test_a_node_that_leaves_under_load_fails_no_request_of_a_client(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)
        answers: list[str] = []

        async with client_of(town, "a", "b") as client:
            ada = await located(client, "ada")

            async def ask(delay: float) -> None:
                await trio.sleep(delay)
                answers.append(await ada.ask(Who()))

            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(ask, number * 0.01)
                await trio.sleep(0.5)
                await town.leave(there)

        assert len(answers) == 200
        assert (answers[0], answers[-1]) == (there.address, here.address)


async def test_while_nobody_has_the_actor_messages_wait_at_the_client(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front = await town.start("a", kinds=())
        there = await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            await town.crash(there)
            await trio.sleep(2 * TTL)
            ada.tell(Add(1))
            with trio.move_on_after(5) as waiting:
                await ada.ask(Add(2))
            assert waiting.cancelled_caught

            await town.start("c")
            assert await ada.ask(Add(3)) == 4
            assert front.cluster.health().orphans == 0


async def test_the_end_of_a_named_actor_is_told(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        spawned = await here.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            assert ada.is_alive
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ada.wait_stopped)
                spawned.stop()
            with pytest.raises(ActorStoppedError):
                await ada.ask(Who())
            assert await client.locate("ada") is None

            await here.spawn(Counter, name="ada", cluster=True)
            assert await ada.ask(Who()) == here.address


async def test_a_client_stops_a_named_actor(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a") as client:
            ada = await located(client, "ada")
            ada.stop()
            await ada.wait_stopped()
            await trio.sleep(1)

        assert await here.locate("ada") is None


async def test_refs_to_names_that_come_in_messages_are_good_in_a_client(autojump_clock: MockClock) -> None:
    async def clerk(ctx: Context, msg: object) -> None:
        if isinstance(msg, WhoIs):
            ctx.reply(await ctx.system.locate(msg.name))

    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)
        await here.spawn_func(clerk, name="clerk")

        async with client_of(town, "a") as client:
            ada = await client.ask("clerk", WhoIs("ada"))
            assert ada is not None
            assert await ada.ask(Who()) == there.address
            assert ada == await client.locate("ada")


async def test_a_client_finds_names_as_long_as_one_of_its_nodes_is_there(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)
        await there.spawn(Counter, name="eve", cluster=True)

        async with client_of(town, "a", "b") as client:
            ada = await located(client, "ada")
            await town.crash(here)
            await trio.sleep(3)
            assert await ada.ask(Who()) == there.address
            assert await (await located(client, "eve")).ask(Who()) == there.address


async def test_a_node_that_has_lost_its_lease_is_not_believed(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a", kinds=())
        there = await town.start("b")
        last = await town.start("c")
        await there.spawn(Counter, name="ada", cluster=True)

        async with client_of(town, "a", "c") as client:
            ada = await located(client, "ada")
            town.store.partition("a")
            await trio.sleep(2 * TTL)
            await town.crash(there)
            await trio.sleep(2 * TTL)
            assert await ada.ask(Who()) == last.address


async def test_calls_go_to_all_members_of_a_cluster_and_to_those_that_join(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        systems = [await town.start("a"), await town.start("b")]
        await systems[0].cluster.wait_members(2)

        async with client_of(town, "a", cluster=True) as client:
            systems.append(await town.start("c"))
            for system in systems:
                await system.spawn(Counter, name="local")
            await trio.sleep(1)
            await client.ask("local", Who())
            await trio.sleep(1)
            assert {await client.ask("local", Who()) for _ in range(6)} == {system.address for system in systems}

            await town.leave(systems.pop(0))
            assert {await client.ask("local", Who()) for _ in range(4)} == {system.address for system in systems}


async def test_a_client_that_has_lost_all_members_begins_again_with_the_nodes_it_was_told_of(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        first, second = await town.start("a"), await town.start("b")
        await first.cluster.wait_members(2)

        async with client_of(town, "a", cluster=True) as client:
            await town.leave(first)
            await trio.sleep(1)
            await town.crash(second)
            town.store.heal()
            third = await town.start("a")
            await trio.sleep(2 * TTL)
            await third.spawn(Counter, name="ada", cluster=True)
            assert await (await located(client, "ada")).ask(Who()) == third.address


async def test_without_a_cluster_there_is_nothing_to_locate_or_to_follow(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        remote = Remote("mem://a:1", node="a", transport=town.network.transport("a"))
        async with ActorSystem("town", remote=remote):
            async with client_of(town, "a") as client:
                with pytest.raises(RuntimeError, match="cluster"):
                    await client.locate("ada")
            with pytest.raises(RuntimeError, match="cluster"):
                async with client_of(town, "a", cluster=True):
                    pass


async def test_a_client_that_is_closed_locates_nothing(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        async with client_of(town, "a") as client:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            await client.locate("ada")


async def test_who_waits_for_an_owner_when_the_client_closes_is_told(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a", kinds=())
        there = await town.start("b")
        await there.spawn(Counter, name="ada", cluster=True)
        refused: list[str] = []

        async def ask(ada: ActorRef[Any]) -> None:
            with pytest.raises(ActorStoppedError):
                await ada.ask(Who())
            refused.append("ada")

        async with trio.open_nursery() as nursery, client_of(town, "a") as client:
            ada = await located(client, "ada")
            await town.crash(there)
            await trio.sleep(2 * TTL)
            nursery.start_soon(ask, ada)
            await trio.sleep(1)
        assert refused == ["ada"]
