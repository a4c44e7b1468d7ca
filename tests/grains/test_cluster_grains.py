"""Grains of a cluster: active once, reached from every node, and back after whatever happens to their node."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Token, Town, Who, open_town
from tests.grains.kinds import Hand, Nap, User
from trioakt import (
    Actor,
    ActorFailedError,
    ActorSystem,
    Bounded,
    Cluster,
    ClusterError,
    Context,
    GrainRef,
    OneForAll,
    PlacementError,
    PoisonPill,
    Remote,
    UnhandledMessageError,
)
from trioakt.grains.sharing import ToGrain, shard_name
from trioakt.patterns.kinds import kind_name
from trioakt.testing import Probe

IDS = [f"u{number}" for number in range(60)]


class Worker(User):
    """Is at home where there is work."""

    role = "work"


KIND = kind_name(User)


@asynccontextmanager
async def open_nodes(count: int) -> AsyncGenerator[tuple[Town, list[ActorSystem]]]:
    async with open_town() as town:
        nodes = [await town.start(name, grains=[User]) for name in "abcdefgh"[:count]]
        for node in nodes:
            await node.cluster.wait_members(count)
        yield town, nodes


async def homes(node: ActorSystem) -> dict[str, str]:
    """Return on which node each grain is."""
    return {each: await node.grain(User, each).ask(Who()) for each in IDS}


async def test_a_grain_is_the_same_one_from_every_node(autojump_clock: MockClock) -> None:
    async with open_nodes(3) as (_, nodes):
        for node in nodes:
            await node.grain(User, "ada").ask(Add(1))
        assert await nodes[0].grain(User, "ada").ask(Add(0)) == 3


async def test_grains_are_shared_out_among_the_nodes(autojump_clock: MockClock) -> None:
    async with open_nodes(3) as (_, nodes):
        assert len(set((await homes(nodes[0])).values())) == 3
        assert await homes(nodes[0]) == await homes(nodes[1]) == await homes(nodes[2])


async def test_first_messages_from_all_nodes_at_once_activate_a_grain_once(autojump_clock: MockClock) -> None:
    async with open_nodes(3) as (_, nodes):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                for _ in range(10):
                    nursery.start_soon(node.grain(User, "ada").ask, Add(1))
        assert await nodes[0].grain(User, "ada").ask(Add(0)) == 30


async def test_what_was_told_before_a_shard_had_an_owner_comes_in_its_order(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, nodes):
        for grain in (nodes[0].grain(User, each) for each in IDS):
            grain.tell(Add(1))
            await grain.send(Add(2))
            assert await grain.ask(Add(0)) == 3


async def test_grains_of_a_node_that_crashes_are_active_elsewhere_after_its_lease(autojump_clock: MockClock) -> None:
    async with open_nodes(3) as (town, (a, b, c)):
        before = await homes(b)
        await town.crash(a)
        await trio.sleep(TTL + 2)
        after = await homes(b)
        assert set(after.values()) == {b.address, c.address}
        assert all(after[each] == before[each] for each in IDS if before[each] != a.address)


async def test_the_fencing_token_of_a_grain_grows_with_each_owner(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, b)):
        here = [each for each, home in (await homes(a)).items() if home == a.address]
        before = {each: await b.grain(User, each).ask(Token()) for each in here}
        await town.crash(a)
        await trio.sleep(TTL + 2)
        for each in here:
            assert await b.grain(User, each).ask(Token()) > before[each]


async def test_a_node_that_joins_gets_its_share_and_no_message_is_lost(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, b)):
        for each in IDS:
            await a.grain(User, each).ask(Add(1))
        sent = 0
        c: ActorSystem | None = None
        async with trio.open_nursery() as nursery:

            async def join() -> None:
                nonlocal c
                c = await town.start("c", grains=[User])

            nursery.start_soon(join)
            for _ in range(100):
                for each in IDS:
                    await b.grain(User, each).ask(Nap(0.0))
                    sent += 1
                await trio.sleep(0.05)
        assert c is not None
        assert c.address in set((await homes(a)).values())


async def test_a_node_that_drains_hands_its_grains_over_and_no_ask_fails(autojump_clock: MockClock) -> None:
    async with open_nodes(3) as (_, (a, b, c)), trio.open_nursery() as nursery:
        asked = 0

        async def ask_all() -> None:
            nonlocal asked
            while True:
                for each in IDS:
                    assert await b.grain(User, each).ask(Nap(0.01)) == each
                    asked += 1

        nursery.start_soon(ask_all)
        await trio.sleep(1.0)
        await a.cluster.drain()
        before = asked
        await trio.sleep(1.0)
        assert asked > before
        assert set((await homes(c)).values()) == {b.address, c.address}
        nursery.cancel_scope.cancel()


async def test_a_handler_is_cancelled_before_the_lease_of_its_node_lapses(autojump_clock: MockClock) -> None:
    stopped: list[float] = []

    class Busy(User):
        async def receive(self, ctx: Context, msg: object) -> None:
            try:
                await trio.sleep_forever()
            finally:
                stopped.append(trio.current_time())

    async with open_town() as town:
        a = await town.start("a", grains=[Busy])
        a.grain(Busy, "ada").tell("go")
        await trio.sleep(1.0)
        cut_off = trio.current_time()
        town.store.partition("a")
        await trio.sleep(2 * TTL)
        assert len(stopped) == 1
        assert stopped[0] < cut_off + TTL


async def test_a_ref_to_a_grain_travels_and_means_the_same_one(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, (a, b)):
        for each in IDS[:10]:
            a.grain(User, each).tell(Hand(a.grain(User, "sum")))
        await trio.sleep(1.0)
        assert await b.grain(User, "sum").ask(Add(0)) == 10


async def test_a_class_with_a_role_is_active_on_nodes_that_have_it(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Worker])
        b = await town.start("b", grains=[Worker], roles=["work"])
        await a.cluster.wait_members(2)
        assert {await a.grain(Worker, each).ask(Who()) for each in IDS} == {b.address}


async def test_grains_that_no_member_takes_are_refused(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a")
        with pytest.raises(PlacementError, match="User"):
            await a.grain(User, "ada").ask(Who())
        with pytest.raises(PlacementError, match="grains="):
            a.grain(User, "ada").tell(Who())


async def test_a_class_of_grains_is_not_spawned_under_a_name(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a")
        with pytest.raises(TypeError, match=r"system\.grain"):
            await a.spawn_singleton(User, name="ada")


async def test_a_node_that_counts_shards_differently_is_refused(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        await town.start("a")
        remote = Remote("mem://b:1", node="b", transport=town.network.transport("b"))
        with pytest.raises(ClusterError, match="shards=256"):
            async with ActorSystem("town", remote=remote, cluster=Cluster(town.store.view("b"), shards=16)):
                pass


async def test_shards_are_none_of_the_names_and_loads_of_users(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, (a, b)):
        await homes(a)
        await a.spawn(Counter, 0, name="ada", cluster=True)
        assert await b.locate("ada") is not None
        with pytest.raises(ValueError, match="name"):
            await b.locate("$shard.0.x")


async def far_grain(here: ActorSystem, node: ActorSystem) -> str:
    """Return the identity of a grain that is active on another node."""
    return next(each for each, home in (await homes(here)).items() if home == node.address)


def poison(grain: GrainRef) -> None:
    grain.tell(PoisonPill())


@pytest.mark.parametrize("end", [GrainRef.stop, GrainRef.kill, poison])
async def test_a_grain_of_another_node_can_be_ended_and_is_watched_to_its_end(
    autojump_clock: MockClock, end: Callable[[GrainRef], None]
) -> None:
    async with open_nodes(2) as (_, (a, b)):
        grain = a.grain(User, await far_grain(a, b))
        await grain.ask(Add(5))
        probe = await Probe.spawn(a)
        probe.watch(grain)
        await trio.sleep(1.0)
        end(grain)
        await probe.expect_terminated(grain)
        assert await grain.ask(Add(1)) == 1


async def test_who_watches_a_grain_that_is_not_active_hears_so_at_once(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, (a, b)):
        grain = a.grain(User, await far_grain(a, b))
        await trio.sleep(60.0)  # it is passivated
        with trio.fail_after(1.0):
            await grain.wait_stopped()


async def test_who_watches_a_grain_hears_of_the_loss_of_its_node(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, b)):
        grain = a.grain(User, await far_grain(a, b))
        probe = await Probe.spawn(a)
        probe.watch(grain)
        await trio.sleep(1.0)
        await town.crash(b)
        await probe.expect_terminated(grain)


async def test_grains_on_two_nodes_that_ask_each_other_are_told_of_the_circle(autojump_clock: MockClock) -> None:
    class Asker(User):
        async def receive(self, ctx: Context, msg: object) -> None:
            match msg:
                case Hand(grain):
                    assert isinstance(ctx.self, GrainRef)
                    ctx.reply(await grain.ask(Hand(ctx.self)))
                case _:
                    await super().receive(ctx, msg)

    async with open_town() as town:
        a = await town.start("a", grains=[Asker])
        b = await town.start("b", grains=[Asker])
        await b.cluster.wait_members(2)
        places = {each: await a.grain(Asker, each).ask(Who()) for each in IDS}
        here = next(each for each in IDS if places[each] == a.address)
        there = next(each for each in IDS if places[each] == b.address)
        with trio.fail_after(5.0), pytest.raises(ActorFailedError) as caught:
            await a.grain(Asker, here).ask(Hand(a.grain(Asker, there)))
        first = caught.value.__cause__
        assert first is not None
        assert "AskCycleError" in repr(first.__cause__)


async def test_what_goes_astray_to_another_shard_activates_nothing(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (_, (a,)):
        await homes(a)
        shard = next(ref for ref in a.actors() if ref.name.startswith("$shard."))
        door = a.cluster.directory.owner_of(shard.name)
        assert door is not None
        strangers = [ToGrain(each, Who()) for each in IDS if shard_name(KIND, each, 256) != shard.name]
        for message in (Who(), *strangers[:3]):
            with pytest.raises(UnhandledMessageError):
                await door.ask(message)
            with pytest.raises(UnhandledMessageError):
                await door.send(message)
        assert len(a.actors()) == len(IDS) + len({shard_name(KIND, each, 256) for each in IDS})


async def test_a_shard_that_was_given_away_leaves_nothing_at_its_node(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (town, (a, _)):
        await homes(a)
        before = exported(a)
        await town.start("c", grains=[User])
        await trio.sleep(5.0)
        assert exported(a) < before


def exported(node: ActorSystem) -> int:
    """Return how many actors of a node others know."""
    return len(node.endpoint._switchboard.house.exports._refs)  # pyright: ignore[reportPrivateUsage]


async def test_a_told_message_can_be_forwarded_to_several_grains(autojump_clock: MockClock) -> None:
    class Relay(Actor):
        def receive(self, ctx: Context, msg: object) -> None:
            for each in IDS:
                ctx.forward(ctx.system.grain(User, each))

    async with open_nodes(2) as (_, (a, _)):
        (await a.spawn(Relay)).tell(Add(1))
        await trio.sleep(1.0)
        assert [await a.grain(User, each).ask(Add(0)) for each in IDS] == [1] * len(IDS)


async def test_after_the_end_of_its_system_no_grain_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (town, (a,)):
        grain = a.grain(User, "ada")
        await grain.ask(Who())
        await town.leave(a)
        with trio.fail_after(1.0):
            await grain.wait_stopped()


async def test_a_grain_on_its_way_to_another_node_is_still_watched_and_stopped(autojump_clock: MockClock) -> None:
    async with open_nodes(2) as (_, (a, b)):
        grain = a.grain(User, await far_grain(b, a))
        grain.tell(Nap(2.0))
        probe = await Probe.spawn(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.cluster.drain)
            await trio.sleep(0.1)
            probe.watch(grain)
            grain.kill()
            with trio.fail_after(0.5):
                await probe.expect_terminated(grain)


async def test_grains_go_on_when_all_actors_at_the_top_are_made_again(autojump_clock: MockClock) -> None:
    class Broken(Actor):
        def receive(self, ctx: Context, msg: object) -> None:
            raise RuntimeError

    async with open_town() as town:
        a = await town.start("a", grains=[User], supervision=OneForAll())
        await a.grain(User, "ada").ask(Add(1))
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(a.grain(User, "bob").send, Nap(0.1))
            (await a.spawn(Broken)).tell("go")
            await trio.sleep(0.05)
            with trio.fail_after(30.0):
                assert await a.grain(User, "ada").ask(Add(1)) == 1


async def test_what_waits_for_the_last_node_with_a_class_goes_to_the_next_one(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a")
        b = await town.start("b", grains=[User])
        grain = a.grain(User, "ada")
        await grain.ask(Add(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(town.leave, b)
            await trio.sleep(0.1)
            nursery.start_soon(grain.send, Add(1))
            await trio.sleep(10.0)
            await town.start("c", grains=[User])
        with trio.fail_after(10.0):
            assert await grain.ask(Add(0)) == 1


async def test_who_waits_for_room_when_a_shard_moves_waits_for_the_next_owner(autojump_clock: MockClock) -> None:
    class Narrow(User):
        options = {"mailbox": Bounded(1)}  # noqa: RUF012

    async with open_town() as town:
        a, b = [await town.start(name, grains=[Narrow]) for name in "ab"]
        await a.cluster.wait_members(2)
        sent = 0

        async def send(node: ActorSystem) -> None:
            nonlocal sent
            await node.grain(Narrow, "ada").send(Nap(0.5))
            sent += 1

        home = await a.grain(Narrow, "ada").ask(Who())
        async with trio.open_nursery() as nursery:
            for node in (a, b) * 10:
                nursery.start_soon(send, node)
            await trio.sleep(0.1)
            await (a if home == a.address else b).cluster.drain()
        assert sent == 20
