"""Grains that are placed elsewhere than at the owner of their shard: where they are, and that each is there once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import Add, Who, open_town
from tests.grains.kinds import Nap
from tests.grains.placed import (
    IDLE,
    IDS,
    KINDS,
    AnyNode,
    ByTurns,
    Forget,
    LeastLoaded,
    Local,
    Quit,
    Remind,
    Strange,
    Visit,
    Workers,
    clean,
    homes,
    open_nodes,
    owner_of,
    stewards,
)
from trioakt import (
    ActorFailedError,
    ActorSystem,
    AskCycleError,
    Bounded,
    Cluster,
    CodecError,
    Grain,
    GrainRef,
    Placement,
    PoisonPill,
)
from trioakt.testing import Probe

__all__ = ["clean"]


async def test_a_local_grain_is_active_on_the_node_that_needed_it_first(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        for node in nodes:
            for each in IDS:
                name = f"{node.endpoint.remote.node}-{each}"
                assert await node.grain(Local, name).ask(Who()) == node.address
                for other in nodes:
                    assert await other.grain(Local, name).ask(Who()) == node.address


async def test_first_messages_from_all_nodes_at_once_activate_it_once(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes), trio.open_nursery() as nursery:
        for node in nodes:
            for each in IDS:
                nursery.start_soon(node.grain(AnyNode, each).ask, Add(1))
        await trio.sleep(1.0)
        assert [await nodes[0].grain(AnyNode, each).ask(Add(0)) for each in IDS] == [3] * len(IDS)


async def test_random_grains_are_on_all_nodes(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        assert set((await homes(nodes[0], AnyNode)).values()) == {node.address for node in nodes}


@pytest.mark.parametrize("kind", [ByTurns, LeastLoaded])
async def test_grains_are_shared_out_evenly(autojump_clock: MockClock, kind: type[Grain]) -> None:
    async with open_nodes() as (_, nodes):
        shares = Counter((await homes(nodes[0], kind)).values())
        assert max(shares.values()) - min(shares.values()) <= len(IDS) // 4
        assert len(shares) == len(nodes)


async def test_a_node_that_joins_is_the_one_with_the_least_load(autojump_clock: MockClock) -> None:
    async with open_nodes(1) as (town, (a,)):
        await homes(a, LeastLoaded)
        b = await town.start("b", grains=KINDS)
        await trio.sleep(5.0)
        assert Counter([await a.grain(LeastLoaded, f"new-{each}").ask(Who()) for each in IDS])[b.address] > len(IDS) / 3


async def test_a_placement_can_ask_for_a_role(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Workers])
        b = await town.start("b", grains=[Workers], roles=["work"])
        await a.cluster.wait_members(2)
        assert set((await homes(a, Workers)).values()) == {b.address}


async def test_a_grain_that_its_node_cannot_have_is_where_its_shard_is(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a")
        b = await town.start("b", grains=[Local])
        await a.cluster.wait_members(2)
        assert set((await homes(a, Local)).values()) == {b.address}


async def test_messages_of_one_sender_stay_in_order(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        for each in IDS:
            grain = nodes[0].grain(AnyNode, each)
            grain.tell(Add(1))
            await grain.send(Add(2))
            assert await grain.ask(Add(0)) == 3


async def test_a_grain_that_is_passivated_is_forgotten_by_all(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        await homes(nodes[0], AnyNode)
        assert sum(map(stewards, nodes)) == len(IDS)
        await trio.sleep(IDLE + 10.0)
        assert sum(map(stewards, nodes)) == 0
        assert not +Local.alive


async def test_an_ask_right_after_a_grain_has_stopped_itself_activates_it_anew(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        for each in IDS[:10]:
            grain = nodes[0].grain(AnyNode, each)
            await grain.ask(Add(5))
            await grain.ask(Quit())
            assert await grain.ask(Add(1)) == 1


def poison(grain: GrainRef) -> None:
    grain.tell(PoisonPill())


@pytest.mark.parametrize("end", [GrainRef.stop, GrainRef.kill, poison])
async def test_it_can_be_ended_and_is_watched_to_its_end_from_every_node(
    autojump_clock: MockClock, end: Callable[[GrainRef], None]
) -> None:
    async with open_nodes() as (_, nodes):
        for node in nodes:
            grain = node.grain(ByTurns, "ada")
            await grain.ask(Add(5))
            probe = await Probe.spawn(node)
            probe.watch(grain)
            await trio.sleep(1.0)
            end(grain)
            await probe.expect_terminated(grain)
            assert await grain.ask(Add(1)) == 1
            await grain.ask(Quit())


async def test_a_pill_comes_after_what_was_told_before(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        for each in IDS[:10]:
            grain = nodes[0].grain(AnyNode, each)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(grain.ask, Nap(0.5))
                await trio.sleep(0.1)
                nursery.start_soon(grain.ask, Nap(0.5))
                await trio.sleep(0.1)
                grain.tell(PoisonPill())


async def test_a_reminder_finds_a_grain_that_is_placed_elsewhere(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, (a, b, c)):
        for node in (a, b, c):
            await node.grain(Local, f"on-{node.address}").ask(Remind(60.0))
        await trio.sleep(61.5)
        assert sorted(Local.rung) == sorted((f"on-{node.address}", "tea") for node in (a, b, c))
        await trio.sleep(600.0)
        assert len(Local.rung) == 3


async def test_a_reminder_of_a_grain_that_is_placed_elsewhere_can_be_forgotten(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, (a, *_)):
        for each in IDS[:10]:
            await a.grain(Local, each).ask(Remind(60.0))
            assert await a.grain(Local, each).ask(Forget())
            assert not await a.grain(Local, each).ask(Forget())
        await trio.sleep(120.0)
        assert Local.rung == []


async def test_a_bad_reminder_is_refused_where_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, (a, *_)):
        with pytest.raises(ActorFailedError) as caught:
            await a.grain(Local, "ada").ask(Remind(-1.0))
        assert "ValueError" in repr(caught.value.__cause__)


async def test_grains_that_ask_each_other_are_told_of_the_circle(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        a, b, _ = nodes
        await a.grain(Local, "ada").ask(Who())
        await b.grain(Local, "bob").ask(Who())
        with trio.fail_after(5.0), pytest.raises(ActorFailedError) as caught:
            await a.grain(Local, "ada").ask(Visit(b.grain(Local, "bob")))
        assert AskCycleError.__name__ in repr(caught.value.__cause__)


async def test_a_message_that_cannot_travel_fails_its_ask_and_not_the_grain(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, nodes):
        owner = owner_of_some(nodes, await homes(nodes[0], ByTurns))
        with pytest.raises(CodecError):
            await owner[0].grain(ByTurns, owner[1]).ask(Strange())
        assert await owner[0].grain(ByTurns, owner[1]).ask(Add(1)) == 1


def owner_of_some(nodes: list[ActorSystem], places: dict[str, str]) -> tuple[ActorSystem, str]:
    """Return the owner of a shard, and a grain of it that is on another node."""
    owners = {each: owner_of(nodes, ByTurns, each) for each in IDS}
    identity = next(each for each in IDS if owners[each].address != places[each])
    return owners[identity], identity


def test_a_placement_that_is_none_is_refused() -> None:
    class Odd(Grain):
        placement = "local"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    with pytest.raises(TypeError, match="placement"):
        Cluster("sqlite://x.db", grains=[Odd])


class Narrow(Local):
    """Has room for few messages."""

    placement = Placement.round_robin()
    options = {"mailbox": Bounded(2)}  # noqa: RUF012


async def test_who_sends_to_a_grain_waits_for_room_in_its_mailbox_wherever_it_is(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Narrow])
        b = await town.start("b", grains=[Narrow])
        await a.cluster.wait_members(2)
        for each in IDS[:4]:
            began = trio.current_time()
            for _ in range(10):
                await a.grain(Narrow, each).send(Nap(1.0))
            assert trio.current_time() - began > 5.0
            await trio.sleep(5.0)
            assert await b.grain(Narrow, each).ask(Add(1)) == 1
