"""Grains that are placed elsewhere than at the owner of their shard, when nodes are lost, leave and join."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Token, Who, open_town
from tests.grains.kinds import Nap
from tests.grains.placed import (
    IDLE,
    IDS,
    KINDS,
    AnyNode,
    Eager,
    Local,
    Quit,
    Remind,
    Workers,
    clean,
    homes,
    open_nodes,
    owner_of,
    settle_on,
    stewards,
)
from trioakt import (
    ActorFailedError,
    DeadLetter,
    PlacementError,
)
from trioakt.cluster.guests import ToGuest
from trioakt.cluster.stewards import Sending
from trioakt.lowlevel import Envelope

__all__ = ["clean"]


async def test_grains_of_a_node_that_crashes_are_active_elsewhere_with_a_larger_token(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes() as (town, nodes):
        a, b, _ = nodes
        await settle_on(a)
        identity = next(each for each in IDS if owner_of(nodes, Local, each) is not a)
        grain = b.grain(Local, identity)
        before = await grain.ask(Token())
        await town.crash(a)
        Local.alive.clear()
        await trio.sleep(TTL + 2)
        assert await grain.ask(Who()) == b.address
        assert await grain.ask(Token()) > before


async def test_eager_grains_of_a_node_that_crashes_are_active_again_at_once(autojump_clock: MockClock) -> None:
    async with open_nodes() as (town, (a, _, _)):
        for each in IDS:
            await a.grain(Eager, each).ask(Who())
        await trio.sleep(1.0)
        await town.crash(a)
        Local.alive.clear()
        await trio.sleep(2 * TTL + 2)
        assert +Local.alive == Counter(IDS)


async def test_no_grain_is_active_twice_when_the_owner_of_its_shard_crashes(autojump_clock: MockClock) -> None:
    async with open_nodes() as (town, nodes):
        a, b, c = nodes
        await settle_on(a)
        owned = [each for each in IDS if owner_of(nodes, Local, each) is b]
        before = {each: await c.grain(Local, each).ask(Token()) for each in owned}
        await town.crash(b)
        await trio.sleep(TTL + 2)
        for each in owned:
            assert await c.grain(Local, each).ask(Who()) == c.address
            assert await c.grain(Local, each).ask(Token()) > before[each]
        assert owned


async def test_a_guest_finishes_what_it_has_in_hand_when_another_node_takes_its_shard_over(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes() as (town, nodes):
        a, b, _ = nodes
        await settle_on(a)
        identity = next(each for each in IDS if owner_of(nodes, Local, each) is b)
        a.grain(Local, identity).tell(Nap(TTL + 4))
        a.grain(Local, identity).tell(Add(1))
        await town.crash(b)
        await trio.sleep(TTL + 1)
        with trio.fail_after(5.0):
            assert await a.grain(Local, identity).ask(Add(1)) == 1


async def test_a_node_that_drains_sends_its_guests_elsewhere_and_no_ask_fails(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, (a, b, c)), trio.open_nursery() as nursery:
        await settle_on(a)

        async def ask_all() -> None:
            while True:
                for each in IDS:
                    assert await b.grain(Local, each).ask(Nap(0.01)) == each

        nursery.start_soon(ask_all)
        await trio.sleep(1.0)
        await a.cluster.drain()
        await trio.sleep(1.0)
        assert set((await homes(c, Local)).values()) <= {b.address, c.address}
        nursery.cancel_scope.cancel()


async def test_no_ask_fails_while_shards_move_to_a_node_that_joins(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, b)):
        async with trio.open_nursery() as nursery:

            async def join() -> None:
                await town.start("d", grains=KINDS)

            nursery.start_soon(join)
            for _ in range(50):
                for each in IDS:
                    assert await b.grain(AnyNode, each).ask(Nap(0.0)) == each
                await trio.sleep(0.05)
        assert a.cluster.members()


async def test_a_guest_whose_node_loses_its_lease_is_gone_before_it_is_active_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes() as (town, nodes):
        a, b, _ = nodes
        await settle_on(a)
        town.store.partition("a")
        await trio.sleep(TTL + 2)
        for each in IDS:
            assert await b.grain(Local, each).ask(Who()) != a.address


async def test_what_an_owner_of_the_past_sends_is_a_dead_letter(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, (a,)):
        await a.grain(Local, "ada").ask(Add(1))
        shard = a.grain(Local, "ada").grain.shard
        holdings = a.cluster.membership.holdings
        assert holdings is not None
        lobby = await holdings.guests._open(a.grain(Local, "ada").kind)  # pyright: ignore[reportPrivateUsage]
        async with a.events.subscribe(DeadLetter) as letters:
            lobby.deliver(Envelope(ToGuest(shard, 1, "ada", Add(1)), None))
            with trio.fail_after(1.0):
                letter = await anext(aiter(letters))
        assert isinstance(letter, DeadLetter)
        assert letter.message == Add(1)
        assert await a.grain(Local, "ada").ask(Add(0)) == 1


class Broken(Local):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("out of order")


async def test_a_class_that_cannot_be_made_fails_its_asks_and_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Broken])
        b = await town.start("b", grains=[Broken])
        await a.cluster.wait_members(2)
        for each in IDS[:10]:
            with pytest.raises(ActorFailedError):
                await b.grain(Broken, each).ask(Who())
        await trio.sleep(10.0)
        assert stewards(a) + stewards(b) == 0


async def test_a_role_that_nobody_has_is_told_to_who_asks(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Workers])
        async with a.events.subscribe(DeadLetter) as letters:
            with pytest.raises(PlacementError, match="work"):
                await a.grain(Workers, "ada").ask(Who())
            a.grain(Workers, "ada").tell(Add(1))
            assert [await anext(aiter(letters)), await anext(aiter(letters))]
        assert stewards(a) == 0
        b = await town.start("b", grains=[Workers], roles=["work"])
        await a.cluster.wait_members(2)
        assert await a.grain(Workers, "ada").ask(Who()) == b.address


async def test_a_handler_that_reminds_while_its_shard_moves_holds_nothing_up(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, (a, b)), trio.open_nursery() as nursery:
        for each in IDS:
            await b.grain(AnyNode, each).ask(Who())
            nursery.start_soon(b.grain(AnyNode, each).ask, Nap(0.3))
            nursery.start_soon(b.grain(AnyNode, each).ask, Remind(600.0))
        await trio.sleep(0.1)
        began = trio.current_time()
        await a.cluster.drain()
        assert trio.current_time() - began < 2.0


async def test_a_node_whose_guests_nobody_owns_any_more_leaves_at_once(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, b)):
        await settle_on(b)
        await town.crash(a)
        await trio.sleep(TTL + 0.5)
        began = trio.current_time()
        await town.leave(b)
        assert trio.current_time() - began < 4.0


async def test_a_guest_is_passivated_though_the_owner_of_its_shard_cannot_be_reached(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes(2) as (town, nodes):
        a, b = nodes
        await settle_on(b)
        town.network.partition({"a"}, {"b"})
        await trio.sleep(IDLE + 10.0)
        assert not +Local.alive
        town.network.heal()
        await trio.sleep(10.0)
        assert stewards(a) + stewards(b) == 0


async def test_a_guest_is_not_let_go_before_it_has_taken_what_was_sent(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, (a,)):
        ada = a.grain(Local, "ada")
        token = await ada.ask(Token())
        holdings = a.cluster.membership.holdings
        assert holdings is not None
        lobby = await holdings.guests._open(ada.kind)  # pyright: ignore[reportPrivateUsage]
        await ada.ask(Quit())
        await ada.wait_stopped()
        sending = Sending(Envelope(ToGuest(ada.grain.shard, token, "ada", Add(1), None, True), None), ada.grain)
        lobby.deliver(sending)
        assert not lobby.release("ada")
        await sending.wait()
        assert await ada.ask(Add(0)) == 1
