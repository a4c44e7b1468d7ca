"""Names of the cluster: one owner each, found from everywhere, and moved when its node goes."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Token, Who, open_town
from trioakt import (
    ActorRef,
    CodecError,
    NameTakenError,
    Placement,
    PlacementError,
    Request,
    StartError,
    TrioaktError,
)


async def test_a_named_actor_is_found_from_every_node(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 5, name="ada", cluster=True)

        found = await there.locate("ada")

        assert found is not None
        assert await found.ask(Add(1)) == 6
        assert await found.ask(Who()) == here.address


async def test_a_name_is_given_once_in_the_cluster(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 0, name="ada", cluster=True)

        with pytest.raises(NameTakenError, match="ada"):
            await there.spawn(Counter, 0, name="ada", cluster=True)


async def test_nobody_has_a_name_that_was_never_given(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")

        assert await here.locate("nobody") is None


async def test_an_actor_of_a_lost_node_is_started_anew_within_the_lease_and_two_seconds(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        ref = await here.spawn(Counter, 5, name="ada", cluster=True)
        before = await ref.ask(Token())
        found = await there.locate("ada")
        assert found is not None

        await town.crash(here)
        with trio.fail_after(TTL + 2):
            await _until_at(found, there.address)

        assert await found.ask(Add(1)) == 6
        assert await found.ask(Token()) > before


async def test_a_node_that_leaves_hands_its_actors_over_and_no_ask_is_lost(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 5, name="ada", cluster=True)
        found = await there.locate("ada")
        assert found is not None
        assert await found.ask(Add(1)) == 6
        asking = trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(town.leave, here)
            await trio.sleep(0.001)
            assert await found.ask(Add(1)) in (6, 7)

        assert trio.current_time() - asking < 1.0
        assert await found.ask(Who()) == there.address


async def test_an_ask_that_has_waited_for_an_owner_and_cannot_travel_there_fails(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", kinds=())
        await town.start("c")
        await here.spawn(Counter, 5, name="ada", cluster=True)
        found = await there.locate("ada")
        assert found is not None
        await town.crash(here)
        town.store.expire("a")
        await trio.lowlevel.checkpoint()
        town.store.freeze()
        there.cluster.view.owners.clear()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cannot_travel, found)
            await trio.sleep(1)
            town.store.thaw()


async def test_a_stopped_actor_is_not_started_again(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        ref = await here.spawn(Counter, 0, name="ada", cluster=True)

        ref.stop()
        await ref.wait_stopped()
        await town.crash(here)
        await trio.sleep(3 * TTL)

        assert await there.locate("ada") is None
        assert there.actor("ada") is None


async def test_an_actor_that_does_not_start_leaves_no_name_behind(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")

        with pytest.raises(StartError):
            await here.spawn_on(Placement.round_robin(), Counter, 1, 2, 3, name="ada")
        await trio.sleep(0.1)

        assert await there.locate("ada") is None


async def test_a_placement_chooses_among_the_nodes_with_the_role(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", roles={"entity"})

        ref = await here.spawn_on(Placement.least_load(role="entity"), Counter, 0, name="ada")

        assert await ref.ask(Who()) == there.address


async def test_round_robin_goes_through_the_nodes_in_the_order_in_which_they_joined(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        nodes = [await town.start(name) for name in "abc"]
        await nodes[0].cluster.wait_members(3)
        turns = Placement.round_robin()

        refs = [await nodes[0].spawn_on(turns, Counter, 0, name=f"n{number}") for number in range(4)]

        assert [await ref.ask(Who()) for ref in refs] == [nodes[number % 3].address for number in range(4)]


async def test_nobody_with_the_role_is_an_error_that_says_so(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a")

        with pytest.raises(PlacementError, match="entity"):
            await here.spawn_on(Placement.random(role="entity"), Counter, 0, name="ada")

        assert await here.locate("ada") is None


async def test_nobody_with_the_role_but_nodes_that_drain_is_an_error_that_says_so(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b", roles={"entity"})
        await there.cluster.drain()
        await trio.sleep(0.1)

        with pytest.raises(PlacementError, match="b drains"):
            await here.spawn_on(Placement.random(role="entity"), Counter, 0, name="ada")

        assert await here.locate("ada") is None


@pytest.mark.parametrize("moment", [0.5, 0.7, 1.3, 1.5], ids=["first", "answer-to-first", "last", "answer-to-last"])
async def test_a_drain_tries_a_write_again_that_is_lost_and_hands_all_over(
    moment: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 5, name="ada", cluster=True)
        town.store.delay(0.2, 0.2, Random(0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.cluster.drain)
            await trio.sleep(moment)
            town.store.partition("a")  # what is on its way, there or back, is lost
            await trio.sleep(1.5)
            town.store.heal()

        assert "a/1 waits for the store" in caplog.text
        found = await there.locate("ada")
        assert found is not None
        assert await found.ask(Who()) == there.address
        assert here.cluster.health().is_member


class Secret(Request[int]):
    """Cannot be written down."""


async def _cannot_travel(ref: ActorRef[Any]) -> None:
    with trio.fail_after(TTL), pytest.raises(CodecError):
        await ref.ask(Secret())


async def _until_at(ref: ActorRef[Any], address: str) -> None:
    """Wait until an actor lives at this node."""
    while True:
        with trio.move_on_after(0.2), suppress(TrioaktError):
            if await ref.ask(Who()) == address:
                return
        await trio.sleep(0.1)
