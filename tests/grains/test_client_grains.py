"""Grains of a cluster as its clients reach them, who are no members."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Town, Who, open_town
from tests.cluster.test_cluster_client import client_of
from tests.datacenter.world import open_world
from trioakt import (
    ActorNotFoundError,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    Client,
    Context,
    Grain,
    GrainRef,
    Idle,
    Placement,
    PlacementError,
    PoisonPill,
    Request,
    message,
)
from trioakt.patterns.kinds import kind_name

IDS = [f"u{number}" for number in range(30)]


@message
class WhoIs(Request[GrainRef[Any]]):
    """Answered by the ref to a grain."""

    identity: str


@message
class Hand(Request[int]):
    """Lets a grain add one to another one, and answer the sum there."""

    grain: GrainRef[Any]


@message
class Slowly:
    """Add, after a while."""

    amount: int


@message
class History(Request[list[int]]):
    """Answered by all that was added."""


class User(Grain):
    """Counts, and says where."""

    passivation = Idle(30.0)

    def __init__(self) -> None:
        self.added: list[int] = []

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Who():
                ctx.reply(ctx.system.address)
            case Add(amount):
                self.added.append(amount)
                ctx.reply(sum(self.added))
            case Slowly(amount):
                await trio.sleep(0.1)
                self.added.append(amount)
            case History():
                ctx.reply(self.added)
            case Hand(grain):
                ctx.reply(await grain.ask(Add(1)))
            case _:
                ctx.unhandled()


@asynccontextmanager
async def open_nodes(count: int, front: str = "a") -> AsyncGenerator[tuple[Town, list[ActorSystem], Client]]:
    """Have nodes that take users, and a client of the cluster."""
    async with open_town() as town:
        nodes = [await town.start(name, grains=[User]) for name in "abcdefgh"[:count]]
        for node in nodes:
            await node.cluster.wait_members(count)
        async with client_of(town, front, cluster=True) as client:
            yield town, nodes, client


async def identity_at(node: ActorSystem, client: Client) -> str:
    """Return who is active on a node."""
    for each in IDS:
        if await client.grain(User, each).ask(Who()) == node.address:
            return each
    raise AssertionError(f"nobody is active at {node.address}")


async def test_the_first_message_of_a_client_activates_a_grain(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, nodes, client):
        assert await client.grain(User, "ada").ask(Add(2)) == 2
        assert await nodes[1].grain(User, "ada").ask(Add(1)) == 3


async def test_a_grain_is_reached_by_the_name_of_its_class(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, _, client):
        ada = client.grain(kind_name(User), "ada /?=ä")
        assert ada == client.grain(User, "ada /?=ä")
        assert (ada.kind, ada.identity) == (kind_name(User), "ada /?=ä")
        assert await ada.ask(Add(1)) == 1


async def test_messages_of_a_client_go_straight_to_the_owner(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (_, there), client):
        grain = client.grain(User, await identity_at(there, client))
        town.network.partition({"a"}, {"b", "client"})
        assert await grain.ask(Who()) == there.address


async def test_what_is_told_before_a_shard_has_an_owner_comes_in_its_order(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, _, client):
        for grain in (client.grain(User, each) for each in IDS):
            grain.tell(Add(1))
            grain.tell(Add(2))
            await grain.send(Add(3))
            assert await grain.ask(History()) == [1, 2, 3]


async def test_a_ref_at_a_client_outlives_the_move_of_its_shard_and_keeps_the_order(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (here, there), client):
        grain = client.grain(User, await identity_at(there, client))
        answers: list[str] = []

        async def ask_all() -> None:
            while not answers or answers[-1] == there.address:
                answers.append(await grain.ask(Who()))
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_all)
            await trio.sleep(0.5)
            await town.leave(there)
        assert (answers[0], answers[-1]) == (there.address, here.address)


async def test_no_message_of_a_client_is_lost_or_overtaken_while_a_shard_moves(autojump_clock: MockClock) -> None:
    handled: list[int] = []

    class Clerk(User):
        async def receive(self, ctx: Context, msg: object) -> None:
            if isinstance(msg, Slowly):
                handled.append(msg.amount)
            await super().receive(ctx, msg)

    async with open_town() as town:
        nodes = [await town.start(name, grains=[Clerk]) for name in "ab"]
        await nodes[0].cluster.wait_members(2)
        async with client_of(town, "a", "b", cluster=True) as client:
            ada = client.grain(Clerk, "ada")
            home = await ada.ask(Who())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(town.leave, next(each for each in nodes if each.address == home))
                for number in range(200):
                    ada.tell(Slowly(number))
                    await trio.sleep(0.02)
            await ada.send(Slowly(200))
            assert await ada.ask(Who()) != home
    assert handled == list(range(201))


async def test_who_waits_for_room_when_a_shard_moves_waits_for_the_next_owner(autojump_clock: MockClock) -> None:
    class Narrow(User):
        options = {"mailbox": Bounded(1)}  # noqa: RUF012

    async with open_town() as town:
        nodes = {node.address: node for node in [await town.start(name, grains=[Narrow]) for name in "ab"]}
        async with client_of(town, "a", cluster=True) as client:
            ada = client.grain(Narrow, "ada")
            home = nodes[await ada.ask(Who())]
            await home.cluster.wait_members(2)
            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(ada.send, Slowly(number))
                await trio.sleep(0.05)
                await home.cluster.drain()
            await trio.sleep(1.0)
            assert await ada.ask(Who()) != home.address


async def test_a_grain_whose_node_crashes_is_reached_at_the_next_owner(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (here, there), client):
        grain = client.grain(User, await identity_at(there, client))
        await town.crash(there)
        await trio.sleep(2 * TTL)
        assert await grain.ask(Who()) == here.address


async def test_while_nobody_has_a_shard_messages_wait_at_the_client(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        there = await town.start("b", grains=[User])
        async with client_of(town, "a", cluster=True) as client:
            ada = client.grain(User, "ada")
            await ada.ask(Add(5))
            await town.crash(there)
            await trio.sleep(2 * TTL)
            ada.tell(Add(1))
            with trio.move_on_after(5) as waiting:
                await ada.ask(Add(2))
            assert waiting.cancelled_caught
            await town.start("c", grains=[User])
            assert await ada.ask(Add(3)) == 4


async def test_a_client_is_told_that_no_member_takes_a_class(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        async with client_of(town, "a", cluster=True) as client:
            ada = client.grain(User, "ada")
            ada.tell(Add(1))
            with pytest.raises(PlacementError, match="User"):
                await ada.ask(Who())
            with pytest.raises(PlacementError, match="grains="):
                await ada.send(Who())

            await town.start("b", grains=[User])
            assert await ada.ask(Add(1)) == 1


async def test_clients_make_no_shards_that_the_cluster_does_not_have(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, (node,), client):
        for shard in ("$shard.256", "$shard.00", "$shard.x", "$shard."):
            with pytest.raises(ActorNotFoundError):
                await client.inquire(f"owner {shard}.{kind_name(User)} ?")
        assert not node.cluster.view.names


async def test_a_ref_to_a_grain_can_be_sent_by_a_client(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, _, client):
        total = client.grain(User, "total")
        assert [await client.grain(User, each).ask(Hand(total)) for each in IDS[:5]] == [1, 2, 3, 4, 5]


async def test_a_ref_to_a_grain_in_a_reply_is_good_at_the_client(autojump_clock: MockClock) -> None:
    async def clerk(ctx: Context, msg: object) -> None:
        if isinstance(msg, WhoIs):
            ctx.reply(ctx.system.grain(User, msg.identity))

    async with open_nodes(2) as (_, (here, there), client):
        for node in (here, there):
            await node.spawn_func(clerk, name="clerk")
        for each in IDS[:5]:
            grain = await client.ask("clerk", WhoIs(each))
            assert isinstance(grain, GrainRef)
            assert grain == client.grain(User, each)
            assert await grain.ask(Add(1)) == 1


async def test_a_client_knows_its_own_datacenter_in_the_refs_that_come(autojump_clock: MockClock) -> None:
    async def clerk(ctx: Context, msg: object) -> None:
        if isinstance(msg, WhoIs):
            ctx.reply(ctx.system.grain(User, msg.identity, datacenter="eu"))

    async with open_world() as world:
        town = world.town("eu")
        node = await town.start("a", grains=[User])
        await node.spawn_func(clerk, name="clerk")
        async with client_of(town, "a", cluster=True) as client:
            grain = await client.ask("clerk", WhoIs("ada"))
            assert grain == client.grain(User, "ada")
            assert await grain.ask(Add(1)) == 1
            assert await client.grain(User, "eve").ask(Hand(grain)) == 2


def poison(grain: GrainRef[Any]) -> None:
    grain.tell(PoisonPill())


@pytest.mark.parametrize("end", [GrainRef.stop, GrainRef.kill, poison])
async def test_a_client_ends_an_activation_and_hears_of_its_end(
    autojump_clock: MockClock, end: Callable[[GrainRef[Any]], None]
) -> None:
    async with open_nodes(2) as (_, nodes, client):
        for node in nodes:
            grain = client.grain(User, await identity_at(node, client))
            await grain.ask(Add(5))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(grain.wait_stopped)
                await trio.sleep(0.1)
                end(grain)
            assert await grain.ask(Add(1)) == 1


async def test_a_client_reaches_and_watches_grains_that_are_not_at_the_owner_of_their_shard(
    autojump_clock: MockClock,
) -> None:
    class Placed(User):
        placement = Placement.round_robin()

    async with open_town() as town:
        nodes = [await town.start(name, grains=[Placed]) for name in "abc"]
        await nodes[0].cluster.wait_members(3)
        async with client_of(town, "a", cluster=True) as client:
            for grain in (client.grain(Placed, each) for each in IDS[:6]):
                assert await grain.ask(Add(1)) == 1
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(grain.wait_stopped)
                    await trio.sleep(0.1)
                    grain.stop()
                assert await grain.ask(Add(1)) == 1


async def test_a_client_that_waits_for_the_end_of_what_is_not_active_hears_so_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes(2) as (_, _, client):
        with trio.fail_after(0.5):
            await client.grain(User, "nobody").wait_stopped()


async def test_a_client_hears_of_the_loss_of_the_node_of_a_grain(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (_, there), client):
        grain = client.grain(User, await identity_at(there, client))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grain.wait_stopped)
            await trio.sleep(0.1)
            await town.crash(there)


async def test_a_client_gives_no_refs_to_grains_without_a_cluster_or_for_what_is_none(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes(1) as (town, _, client):
        with pytest.raises(ValueError, match="identity"):
            client.grain(User, "")
        with pytest.raises(ValueError, match="kind"):
            client.grain("no kind", "ada")
        with pytest.raises(TypeError, match="Grain"):
            client.grain(Counter, "ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with open_town() as town:
        await town.start("a")
        async with client_of(town, "a") as client:
            with pytest.raises(RuntimeError, match="cluster=True"):
                client.grain(User, "ada")


async def test_a_shard_that_nobody_at_the_client_needs_is_forgotten(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, _, client):
        grain = client.grain(User, "ada")
        shard = grain.grain.shard
        for _ in range(3):
            await grain.ask(Who())
            await trio.sleep(90.0)
            assert client.directory.is_known(shard)
        del grain
        await trio.sleep(90.0)
        assert not client.directory.is_known(shard)
        assert await client.grain(User, "ada").ask(Add(1)) == 1


async def test_a_client_that_is_closed_reaches_no_grain(autojump_clock: MockClock) -> None:
    refused: list[str] = []

    async def ask(grain: GrainRef[Any]) -> None:
        with pytest.raises(ActorStoppedError):
            await grain.ask(Who())
        refused.append(grain.identity)

    async with open_town() as town:
        await town.start("a")
        there = await town.start("b", grains=[User])
        async with trio.open_nursery() as nursery, client_of(town, "a", cluster=True) as client:
            ada = client.grain(User, "ada")
            await ada.ask(Who())
            await town.crash(there)
            await trio.sleep(2 * TTL)
            nursery.start_soon(ask, ada)
            await trio.sleep(1)
        await ask(ada)
        await ada.wait_stopped()
        assert refused == ["ada", "ada"]
        with pytest.raises(RuntimeError, match="closed"):
            client.grain(User, "ada")
