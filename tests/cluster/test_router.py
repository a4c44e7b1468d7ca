"""Routers over nodes: where their routees are, and what becomes of them when members come and go."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Town, Who, open_town
from trioakt import (
    Actor,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Broadcast,
    Broadcasting,
    CodecError,
    ConsistentHash,
    Context,
    LeastFull,
    Random,
    Request,
    RoundRobin,
    ScatterGatherFirst,
    StartError,
    TailChopping,
    TrioaktError,
    message,
)


@message
class Work(Request[str]):
    """Takes some time, and is answered by the node that did it."""

    seconds: float


@message
class Die:
    """Fail."""


class Worker(Actor):
    """Works."""

    async def receive(self, ctx: Context, msg: object) -> None:
        """Answer."""
        match msg:
            case Work(seconds):
                await trio.sleep(seconds)
                ctx.reply(ctx.system.address)
            case Who():
                ctx.reply(ctx.system.address)
            case Die():
                raise RuntimeError("as told")
            case _:
                ctx.unhandled()


class Lame(Actor):
    """Cannot start."""

    def pre_start(self, ctx: Context) -> None:
        """Fail."""
        raise RuntimeError("no")


async def crew_of(town: Town, *nodes: str, **options: Any) -> tuple[ActorSystem, list[ActorSystem]]:
    """Start a node in front, which takes no kind, and others with the role of a worker."""
    front = await town.start("front", kinds=())
    workers = [await town.start(node, roles={"worker"}, kinds=(Worker, Counter, Lame), **options) for node in nodes]
    await front.cluster.wait_members(1 + len(nodes))
    return front, workers


async def whereabouts(router: ActorRef[Any]) -> list[str]:
    """Return the nodes of all routees."""
    return sorted(_node(address) for address in await router.ask(Broadcast(Who())))


def _node(address: str) -> str:
    return address.partition("@")[2].partition(":")[0]


async def spread(router: ActorRef[Any], requests: Iterable[Any]) -> dict[str, int]:
    """Return how many of these requests each node has answered."""
    return Tally([_node(await router.ask(request)) for request in requests])


async def test_each_member_with_the_role_has_its_routees(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a", "b")
        await town.start("idle", kinds=(Worker,))

        router = await front.spawn_cluster_router(Worker, role="worker", per_node=2, name="workers")

        assert await whereabouts(router) == ["a", "a", "b", "b"]
        assert await spread(router, [Who()] * 8) == {"a": 4, "b": 4}


async def test_without_a_role_all_who_take_the_kind_have_routees(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a")
        await town.start("idle", kinds=(Worker,))

        assert await whereabouts(await front.spawn_cluster_router(Worker)) == ["a", "idle"]


async def test_routees_get_arguments(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a")
        router = await front.spawn_cluster_router(Counter, 40, role="worker")

        assert await router.ask(Add(2)) == 42


async def test_the_node_of_the_router_can_have_routees_too(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here = await town.start("a", kinds=(Worker,))
        await town.start("b", kinds=(Worker,))
        await here.cluster.wait_members(2)

        assert await whereabouts(await here.spawn_cluster_router(Worker)) == ["a", "b"]


async def test_a_member_that_joins_gets_its_routees(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town)
        router = await front.spawn_cluster_router(Worker, role="worker")
        with pytest.raises(ActorStoppedError, match="no routees"):
            await router.ask(Who())

        for node in "a", "b":
            await town.start(node, roles={"worker"}, kinds=(Worker,))
        await trio.sleep(0.5)

        assert await whereabouts(router) == ["a", "b"]


async def test_to_a_member_that_is_lost_nothing_goes_and_when_it_comes_back_it_has_routees_again(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        front, (_, lost) = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker")
        await town.crash(lost)
        await trio.sleep(TTL)
        assert await spread(router, [Who()] * 4) == {"a": 4}

        town.store.heal()
        await town.start("b", roles={"worker"}, kinds=(Worker,))
        await trio.sleep(2 * TTL)
        assert await spread(router, [Who()] * 4) == {"a": 2, "b": 2}


async def test_a_node_that_leaves_under_load_loses_no_request(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, (_, leaving) = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", per_node=2)
        answers: list[str] = []

        async def ask(delay: float) -> None:
            await trio.sleep(delay)
            answers.append(_node(await router.ask(Work(0.1))))

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number * 0.03)
            await trio.sleep(1)
            await town.leave(leaving)

        assert len(answers) == 100
        assert set(answers[-20:]) == {"a"}


async def test_after_a_cut_between_nodes_each_member_has_one_set_of_routees(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, (a, b) = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", per_node=2)

        town.network.partition({"b"}, {"front", "a"})
        await trio.sleep(10)
        assert await whereabouts(router) == ["a", "a"]
        assert b.statistics().actors == 0

        town.network.heal()
        await trio.sleep(10)
        assert await whereabouts(router) == ["a", "a", "b", "b"]
        assert (a.statistics().actors, b.statistics().actors) == (3, 3)


async def test_routees_end_with_their_router(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, workers = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", per_node=2)

        router.stop()
        await router.wait_stopped()
        await trio.sleep(1)

        assert [worker.statistics().actors for worker in workers] == [0, 0]


async def test_routees_end_with_the_node_of_their_router(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, workers = await crew_of(town, "a", "b")
        await front.spawn_cluster_router(Worker, role="worker", per_node=2)

        await town.crash(front)
        await trio.sleep(5)

        assert [worker.statistics().actors for worker in workers] == [0, 0]


async def test_a_routee_that_fails_is_restarted_and_one_that_is_killed_is_replaced(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, (a,) = await crew_of(town, "a")
        router = await front.spawn_cluster_router(Worker, role="worker", per_node=2)

        router.tell(Die())
        routee = next(ref for ref in a.actors() if ref.path.count("/") == 3)
        routee.kill()
        await trio.sleep(1)

        assert await whereabouts(router) == ["a", "a"]
        assert await spread(router, [Who()] * 4) == {"a": 4}


async def test_messages_with_the_same_key_stay_where_they_were_when_a_node_comes(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a", "b")
        by_time = ConsistentHash(lambda work: str(work.seconds))
        router = await front.spawn_cluster_router(Worker, role="worker", strategy=by_time)
        requests = [Work(number / 1000) for number in range(40)]
        before = [await router.ask(request) for request in requests]
        assert {_node(address) for address in before} == {"a", "b"}

        await town.start("c", roles={"worker"}, kinds=(Worker,))
        await trio.sleep(0.5)
        after = [await router.ask(request) for request in requests]

        moved = {new for old, new in zip(before, after, strict=True) if old != new}
        assert {_node(address) for address in moved} == {"c"}


@pytest.mark.parametrize(
    "strategy", [RoundRobin(), Random(), LeastFull(), Broadcasting(), ScatterGatherFirst(1.0), TailChopping(1.0, 0.5)]
)
async def test_every_strategy_gets_an_answer(autojump_clock: MockClock, strategy: Any) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", strategy=strategy)

        assert _node(await router.ask(Work(0.1))) in {"a", "b"}
        await router.send(Work(0.1))


async def test_a_node_that_is_busy_gets_less(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, (a, _) = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", strategy=LeastFull())
        busy = next(ref for ref in a.actors() if ref.path.count("/") == 3)
        for _ in range(10):
            busy.tell(Work(60))
        await trio.sleep(0.5)

        assert await spread(router, [Work(0.01)] * 8) == {"b": 8}


async def test_with_equal_mailboxes_the_nodes_take_turns(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker", strategy=LeastFull())

        assert await spread(router, [Work(0.01)] * 20) == {"a": 10, "b": 10}


async def test_a_member_that_cannot_start_its_routees_is_tried_again(autojump_clock: MockClock) -> None:
    class Late(Worker):
        attempts = 0

        def pre_start(self, ctx: Context) -> None:
            Late.attempts += 1
            if Late.attempts < 4:
                raise RuntimeError("not yet")

    async with open_town() as town:
        front, _ = await crew_of(town)
        router = await front.spawn_cluster_router(Late, role="worker")
        await town.start("a", roles={"worker"}, kinds=(Late,))
        await trio.sleep(5)

        assert await whereabouts(router) == ["a"]


async def test_where_no_member_can_start_its_routees_the_spawn_says_so(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, workers = await crew_of(town, "a", "b")

        with pytest.raises(StartError, match="no"):
            await front.spawn_cluster_router(Lame, role="worker")
        assert [worker.statistics().actors for worker in workers] == [0, 0]


async def test_an_actor_can_have_a_router_over_nodes(autojump_clock: MockClock) -> None:
    async def boss(ctx: Context, msg: object) -> None:
        router = await ctx.spawn_cluster_router(Worker, role="worker", name="workers")
        ctx.reply(_node(await router.ask(Who())))

    async with open_town() as town:
        front, _ = await crew_of(town, "a")
        assert await (await front.spawn_func(boss)).ask("work") == "a"


async def test_a_message_that_cannot_travel_harms_its_sender_alone(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front, _ = await crew_of(town, "a", "b")
        router = await front.spawn_cluster_router(Worker, role="worker")
        broadcasting = await front.spawn_cluster_router(Worker, role="worker", strategy=Broadcasting())

        for each in router, broadcasting:
            each.tell(object())
            with pytest.raises(TrioaktError):
                await each.ask(object())
            assert await whereabouts(each) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"role": "work er"}, ValueError),
        ({"per_node": 0}, ValueError),
        ({"name": "no name"}, ValueError),
    ],
)
async def test_bad_options_are_refused(
    autojump_clock: MockClock, options: dict[str, Any], error: type[Exception]
) -> None:
    async with open_town() as town:
        front = await town.start("front")
        with pytest.raises(error):
            await front.spawn_cluster_router(Worker, **options)


async def test_arguments_that_cannot_travel_are_refused(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        front = await town.start("front")
        with pytest.raises(CodecError):
            await front.spawn_cluster_router(Counter, object())


async def test_a_router_over_nodes_needs_a_cluster() -> None:
    async with ActorSystem("bank") as system:
        with pytest.raises(RuntimeError, match="cluster"):
            await system.spawn_cluster_router(Worker)
