"""Singletons: one of a name in the cluster, fenced, and moved when its node goes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Token, Who, open_town
from trioakt import NameTakenError, PlacementError


async def test_every_node_gets_the_same_singleton(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = [await town.start(name, kinds=()) for name in "abc"]

        refs = [await node.spawn_singleton(Counter, 0, name="scheduler") for node in nodes]

        assert [await ref.ask(Add(1)) for ref in refs] == [1, 2, 3]


async def test_a_race_for_a_singleton_starts_one(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = [await town.start(name) for name in "abc"]
        answers: list[int] = []

        async def race(index: int) -> None:
            ref = await nodes[index].spawn_singleton(Counter, 0, name="scheduler")
            answers.append(await ref.ask(Add(1)))

        async with trio.open_nursery() as nursery:
            for index in range(3):
                nursery.start_soon(race, index)

        assert sorted(answers) == [1, 2, 3]


async def test_a_singleton_lives_on_a_node_with_its_role(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", roles={"control"})

        ref = await here.spawn_singleton(Counter, 0, name="scheduler", role="control")

        assert await ref.ask(Who()) == there.address


async def test_without_a_node_of_the_role_nothing_is_started(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")

        with pytest.raises(PlacementError, match="control"):
            await here.spawn_singleton(Counter, 0, name="scheduler", role="control")


@pytest.mark.parametrize("role", ["control", ""])
async def test_where_all_nodes_of_the_role_drain_nothing_is_started(role: str, autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", roles={"control"})
        for node in [there] if role else [there, here]:
            await node.cluster.drain()
        await trio.sleep(0.1)

        with pytest.raises(PlacementError, match="b drains"):
            await here.spawn_singleton(Counter, 0, name="scheduler", role=role)

        assert await here.locate("scheduler") is None


async def test_a_singleton_moves_when_its_node_is_lost_with_a_larger_token(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = {name: await town.start(name) for name in "ab"}
        refs = {name: await node.spawn_singleton(Counter, 0, name="scheduler") for name, node in nodes.items()}
        owner = "a" if await refs["a"].ask(Who()) == nodes["a"].address else "b"
        other = "b" if owner == "a" else "a"
        before = await refs[other].ask(Token())

        await town.crash(nodes[owner])
        await trio.sleep(TTL + 2)

        assert await refs[other].ask(Who()) == nodes[other].address
        assert await refs[other].ask(Token()) > before


async def test_a_singleton_is_handed_over_in_well_under_a_second(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = {name: await town.start(name) for name in "ab"}
        refs = {name: await node.spawn_singleton(Counter, 0, name="scheduler") for name, node in nodes.items()}
        owner = "a" if await refs["a"].ask(Who()) == nodes["a"].address else "b"
        other = "b" if owner == "a" else "a"

        with trio.fail_after(1.0):
            await town.leave(nodes[owner])
            assert await refs[other].ask(Who()) == nodes[other].address


async def test_the_name_of_another_actor_is_taken(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")
        await here.spawn(Counter, 0, name="ada", cluster=True)

        with pytest.raises(NameTakenError, match="ada"):
            await here.spawn_singleton(Counter, 0, name="ada")
