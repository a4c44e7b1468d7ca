"""Grains that are placed elsewhere than at the owner of their shard: where they are, and that each is there once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Token, Town, Who, open_town
from trioakt import (
    ActorFailedError,
    ActorSystem,
    AskCycleError,
    Cluster,
    CodecError,
    Context,
    DeadLetter,
    Grain,
    GrainRef,
    Idle,
    Placement,
    PlacementError,
    PoisonPill,
    Request,
    message,
)
from trioakt.cluster.guests import ToGuest
from trioakt.lowlevel import Envelope
from trioakt.testing import Probe

IDS = [f"u{number}" for number in range(40)]
IDLE = 20.0


@message
class Nap(Request[str]):
    """Answered after so many seconds."""

    seconds: float


@message
class Quit(Request[None]):
    """Answered, and then the grain stops itself, which takes a while."""


@message
class Visit(Request[str]):
    """Lets a grain ask another one."""

    grain: GrainRef


@message
class Remind(Request[None]):
    """Lets a reminder come after so many seconds."""

    delay: float


@message
class Forget(Request[bool]):
    """Lets it not come."""


@message
class Ring:
    """A reminder."""


class Strange:
    """No message that could travel."""


class Local(Grain):
    """Counts where it was first needed."""

    passivation = Idle(IDLE)
    placement = Placement.local()
    alive: ClassVar[Counter[str]] = Counter()
    rung: ClassVar[list[tuple[str, str]]] = []

    def __init__(self) -> None:
        self.sum = 0

    async def pre_start(self, ctx: Context) -> None:
        self.alive[ctx.identity] += 1
        assert self.alive[ctx.identity] == 1, "it is active twice"

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(0.2)
        self.alive[ctx.identity] -= 1

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Who():
                ctx.reply(ctx.system.address)
            case Token():
                ctx.reply(ctx.fencing_token)
            case Add(amount):
                self.sum += amount
                ctx.reply(self.sum)
            case Nap(seconds):
                await trio.sleep(seconds)
                ctx.reply(ctx.identity)
            case Quit():
                ctx.reply(None)
                ctx.stop()
            case Visit(grain):
                assert isinstance(ctx.self, GrainRef)
                ctx.reply(await grain.ask(Visit(ctx.self)))
            case Remind(delay):
                await ctx.remind("tea", delay, Ring())
                ctx.reply(None)
            case Forget():
                ctx.reply(await ctx.forget_reminder("tea"))
            case Ring():
                assert ctx.reminder is not None
                self.rung.append((ctx.identity, ctx.reminder.name))
            case _:
                ctx.unhandled()


class AnyNode(Local):
    placement = Placement.random()


class ByTurns(Local):
    placement = Placement.round_robin()


class LeastLoaded(Local):
    placement = Placement.least_load()


class Workers(Local):
    placement = Placement.random(role="work")


class Eager(Local):
    placement = Placement.local()
    relocation = "eager"


@pytest.fixture(autouse=True)
def clean() -> None:
    Local.alive.clear()
    Local.rung.clear()


KINDS: tuple[type[Grain], ...] = (Local, AnyNode, ByTurns, LeastLoaded, Eager)


@asynccontextmanager
async def open_nodes(count: int = 3) -> AsyncGenerator[tuple[Town, list[ActorSystem]]]:
    async with open_town() as town:
        nodes = [await town.start(name, grains=KINDS, wall_clock=trio.current_time) for name in "abcd"[:count]]
        for node in nodes:
            await node.cluster.wait_members(count)
        yield town, nodes


async def homes(node: ActorSystem, kind: type[Grain]) -> dict[str, str]:
    """Return on which node each grain is."""
    return {each: await node.grain(kind, each).ask(Who()) for each in IDS}


def owner_of(nodes: list[ActorSystem], kind: type[Grain], identity: str) -> ActorSystem:
    """Return the node that owns the shard of a grain."""
    shard = nodes[0].grain(kind, identity).grain.shard
    return next(node for node in nodes if node.actor(shard) is not None)


def stewards(node: ActorSystem) -> int:
    """Return how many stewards a node has."""
    return sum(ref.path.startswith("/user/$shard.") and ref.path.count("/") == 3 for ref in node.actors())


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


async def test_grains_of_a_node_that_crashes_are_active_elsewhere_with_a_larger_token(
    autojump_clock: MockClock,
) -> None:
    async with open_nodes() as (town, nodes):
        a, b, _ = nodes
        for each in IDS:
            assert await a.grain(Local, each).ask(Who()) == a.address
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
        for each in IDS:
            await a.grain(Local, each).ask(Add(1))
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
        for each in IDS:
            await a.grain(Local, each).ask(Who())
        identity = next(each for each in IDS if owner_of(nodes, Local, each) is b)
        a.grain(Local, identity).tell(Nap(TTL + 4))
        a.grain(Local, identity).tell(Add(1))
        await town.crash(b)
        await trio.sleep(TTL + 1)
        with trio.fail_after(5.0):
            assert await a.grain(Local, identity).ask(Add(1)) == 1


async def test_a_node_that_drains_sends_its_guests_elsewhere_and_no_ask_fails(autojump_clock: MockClock) -> None:
    async with open_nodes() as (_, (a, b, c)), trio.open_nursery() as nursery:
        for each in IDS:
            await a.grain(Local, each).ask(Who())

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
        for each in IDS:
            await a.grain(Local, each).ask(Who())
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
        for each in IDS:
            await b.grain(Local, each).ask(Who())
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
        for each in IDS:
            await b.grain(Local, each).ask(Who())
        town.network.partition({"a"}, {"b"})
        await trio.sleep(IDLE + 10.0)
        assert not +Local.alive
        town.network.heal()
        await trio.sleep(10.0)
        assert stewards(a) + stewards(b) == 0
