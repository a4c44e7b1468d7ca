"""Routers: a pool or a group behind one ref."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import collected
from tests.core.crew import Trouble
from tests.patterns.routees import Cancellable, Who, Work, Worker
from trioakt import (
    Actor,
    ActorFailedError,
    ActorStoppedError,
    ActorSystem,
    AskCycleError,
    Broadcast,
    Broadcasting,
    ConsistentHash,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    LeastFull,
    NoReplyError,
    OneForOne,
    PoisonPill,
    Random,
    Resizer,
    RoundRobin,
    ScatterGatherFirst,
    StartError,
    TailChopping,
)
from trioakt.patterns.routing import RoutingStrategy

STRATEGIES: list[RoutingStrategy] = [
    RoundRobin(),
    Random(),
    LeastFull(),
    ConsistentHash(repr),
    Broadcasting(),
    ScatterGatherFirst(within=5.0),
    TailChopping(within=5.0, interval=1.0),
]
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: type(each).__name__)
STOPPING = OneForOne(default=Directive.STOP)


async def test_plain_messages_go_round_in_the_order_of_the_routees() -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=3, strategy=RoundRobin(), name="workers")
        for number in range(7):
            workers.tell(number)
        await settle()
        assert sorted(log, key=lambda entry: entry[1]) == list(zip("1231231", range(7), strict=True))
        assert workers.path == "/user/workers"


@each_strategy
async def test_a_routed_ask_is_answered(strategy: RoutingStrategy, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=3, strategy=strategy)
        assert await workers.ask(Who()) in {"1", "2", "3"}


@each_strategy
async def test_a_routed_ask_does_not_hold_the_router(strategy: RoutingStrategy, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        workers = await system.spawn_router(Worker, size=3, strategy=strategy)
        nursery.start_soon(workers.ask, Work((2.0, 2.0, 2.0)))
        await settle()
        with trio.fail_after(1):
            await workers.resize(4)


@each_strategy
async def test_an_answer_of_a_failing_routee_is_its_error(strategy: RoutingStrategy, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=2, strategy=strategy)
        with pytest.raises(ActorFailedError) as caught:
            await workers.ask(Trouble("ouch"))
        assert isinstance(caught.value.__cause__, Trouble)
        assert await workers.ask(Who())


@each_strategy
async def test_routees_know_the_actor_that_asks(strategy: RoutingStrategy, autojump_clock: MockClock) -> None:
    class Asker(Actor):
        async def receive(self, ctx: Context, msg: Any) -> None:
            assert await workers.ask("sender") == ctx.self
            ctx.reply("known")

    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=2, strategy=strategy)
        assert await (await system.spawn(Asker)).ask("go") == "known"


@each_strategy
async def test_a_broadcast_reaches_all_whatever_the_strategy(strategy: RoutingStrategy) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=3, strategy=strategy)
        workers.tell(Broadcast("reload"))
        await settle()
        assert sorted(log) == [("1", "reload"), ("2", "reload"), ("3", "reload")]


async def test_an_asked_broadcast_gathers_all_replies_in_the_order_of_the_routees(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=3)
        assert await workers.ask(Broadcast(Work((3.0, 1.0, 2.0)))) == ["1", "2", "3"]
        assert trio.current_time() == pytest.approx(3.0)


async def test_fan_out_answers_first_and_lets_the_others_finish(autojump_clock: MockClock) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=3, strategy=Broadcasting())
        with collected(system, DeadLetter) as letters:
            routee = system.actor(f"{workers.path}/routee-1")
            assert routee is not None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(routee.ask, Work((5.0,)))
                await settle()
                assert await workers.ask(Work((1.0, 1.0, 2.0))) == "2"
            await trio.sleep(20)
        assert letters == []
        assert ("1", Work((1.0, 1.0, 2.0))) in log


async def test_scatter_gather_takes_the_first_reply(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=3, strategy=ScatterGatherFirst(within=5.0))
        assert await workers.ask(Work((3.0, 1.0, 2.0))) == "2"
        assert trio.current_time() == pytest.approx(1.0)


@pytest.mark.parametrize("strategy", [ScatterGatherFirst(within=5.0), TailChopping(within=5.0, interval=1.0)])
@pytest.mark.parametrize("size", [1, 3])
async def test_no_reply_in_time_is_an_error(size: int, strategy: RoutingStrategy, autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=size, strategy=strategy)
        with pytest.raises(NoReplyError, match="within 5 s"):
            await workers.ask(Work((9.0, 9.0, 9.0)))
        assert trio.current_time() == pytest.approx(5.0)


async def test_tail_chopping_asks_one_more_at_each_interval(autojump_clock: MockClock) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=3, strategy=TailChopping(within=9.0, interval=1.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.ask, Work((4.0, 4.0, 4.0)))
            for asked in (1, 2, 3, 3):
                await trio.sleep(0.5)
                assert len(log) == asked
                await trio.sleep(0.5)
        assert trio.current_time() == pytest.approx(4.0)


@each_strategy
async def test_when_the_asker_gives_up_cancellable_work_ends(
    strategy: RoutingStrategy, autojump_clock: MockClock
) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=1, strategy=strategy)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(workers.ask, Cancellable())
                await settle()
                scope.cancel()
        await settle()
        assert log[-1] == ("1", "over")


async def test_the_same_key_always_reaches_the_same_routee() -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=4, strategy=ConsistentHash(str))
        for _ in range(3):
            for key in range(50):
                workers.tell(key)
        await settle()
        assert set(Counter(log).values()) == {3}
        assert {name for name, _ in log} == {"1", "2", "3", "4"}


async def test_a_key_function_that_raises_harms_only_its_sender() -> None:
    def key(msg: Any) -> str:
        if msg == "bad":
            raise Trouble
        return "key"

    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=2, strategy=ConsistentHash(key))
        with collected(system, DeadLetter) as letters:
            workers.tell("bad")
            with pytest.raises(ActorFailedError) as caught:
                await workers.ask("bad")
        assert isinstance(caught.value.__cause__, Trouble)
        assert [(letter.message, letter.reason) for letter in letters] == [("bad", DeadLetterReason.UNHANDLED)]
        assert await workers.ask(Who())
        assert system.statistics().failures == 0


async def test_a_pool_grows_and_shrinks_while_it_works(autojump_clock: MockClock) -> None:
    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, log, size=2)
        await workers.resize(4)
        assert await workers.ask(Broadcast(Who())) == ["1", "2", "3", "4"]
        workers.tell(Broadcast(Work((1.0, 1.0, 1.0, 1.0))))
        workers.tell(Broadcast("last"))
        await workers.resize(1)
        assert await workers.ask(Broadcast(Who())) == ["1"]
        await trio.sleep(2)
        assert sorted(name for name, msg in log if msg == "last") == ["1", "2", "3", "4"]
        assert len(system.tree()) == 3


@pytest.mark.parametrize("size", [0, -1])
async def test_an_empty_pool_is_refused(size: int) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="at least one"):
            await system.spawn_router(Worker, size=size)
        workers = await system.spawn_router(Worker)
        with pytest.raises(ValueError, match="at least one"):
            await workers.resize(size)


async def test_a_resizer_follows_the_load(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, resizer=Resizer(2, 6, target_depth=10), strategy=LeastFull())
        assert workers.statistics().children == 2
        for _ in range(102):
            workers.tell(Work((1.0,) * 30))
        await trio.sleep(1.5)
        assert workers.statistics().children == 6
        await trio.sleep(100)
        assert workers.statistics().children == 2


async def test_a_routee_that_ends_is_replaced_in_its_place() -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=3)
        victim = system.actor(f"{workers.path}/routee-2")
        assert victim is not None
        victim.tell(PoisonPill())
        await victim.wait_stopped()
        await settle()
        assert await workers.ask(Broadcast(Who())) == ["1", "4", "3"]


async def test_a_failing_routee_is_restarted_by_default_and_resumed_or_removed_by_its_strategy() -> None:
    for strategy, left in [
        (OneForOne(), ["1", "2"]),
        (OneForOne(default=Directive.RESUME), ["1", "2"]),
        (STOPPING, ["2"]),
    ]:
        async with ActorSystem("test") as system:
            workers = await system.spawn_router(Worker, size=2, supervision=strategy)
            workers.tell(Trouble())
            await settle()
            assert await workers.ask(Broadcast(Who())) == left


async def test_a_pool_that_lost_all_its_routees_refuses_until_it_is_resized() -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=2, supervision=STOPPING)
        workers.tell(Broadcast(Trouble()))
        await settle()
        with collected(system, DeadLetter) as letters:
            workers.tell("lost")
            with pytest.raises(ActorStoppedError, match="no routees"):
                await workers.ask(Who())
        assert [letter.message for letter in letters] == ["lost", Who()]
        await workers.resize(2)
        assert len(await workers.ask(Broadcast(Who()))) == 2


async def test_a_router_that_is_restarted_keeps_its_size() -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=1, supervision=OneForOne(default=Directive.ESCALATE))
        await workers.resize(3)
        workers.tell(Trouble())
        await settle()
        assert workers.statistics().restarts == 1
        assert len(await workers.ask(Broadcast(Who()))) == 3


async def test_a_routee_that_does_not_start_leaves_nothing_behind() -> None:
    class Stillborn(Actor):
        def pre_start(self, ctx: Context) -> None:
            raise Trouble

    async with ActorSystem("test") as system:
        with pytest.raises(StartError):
            await system.spawn_router(Stillborn, size=3)
        assert system.actors() == ()


async def test_stopping_the_router_stops_its_routees_and_ends_the_asks(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Worker, size=3, strategy=ScatterGatherFirst(within=100.0))

        async def ask() -> None:
            with pytest.raises(ActorStoppedError):
                await workers.ask(Work((9.0, 9.0, 9.0)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await settle()
            workers.kill()
        await workers.wait_stopped()
        assert system.actors() == ()


async def test_a_group_routes_to_actors_that_are_there_and_forgets_those_that_end() -> None:
    async with ActorSystem("test") as system:
        refs = [await system.spawn(Worker, name=name) for name in ("ada", "bob", "eve")]
        team = await system.spawn_group_router(refs, strategy=RoundRobin(), name="team")
        assert [await team.ask(Who()) for _ in range(4)] == ["ada", "bob", "eve", "ada"]
        refs[1].stop()
        await settle()
        assert [await team.ask(Who()) for _ in range(3)] == ["eve", "ada", "eve"]
        team.stop()
        await team.wait_stopped()
        assert refs[0].is_alive


async def test_an_actor_has_a_pool_of_its_own() -> None:
    class Boss(Actor):
        async def pre_start(self, ctx: Context) -> None:
            self.workers = await ctx.spawn_router(Worker, size=2, name="workers")

        def receive(self, ctx: Context, msg: Any) -> None:
            ctx.forward(self.workers)

    async with ActorSystem("test") as system:
        boss = await system.spawn(Boss, name="boss")
        assert [await boss.ask(Who()) for _ in range(3)] == ["1", "2", "1"]
        assert system.actor("boss/workers/routee-2") is not None


async def test_a_routee_that_asks_its_own_router_for_itself_hears_of_the_cycle() -> None:
    class Selfish(Actor):
        async def receive(self, ctx: Context, msg: Any) -> None:
            ctx.reply(await workers.ask(msg))

    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Selfish, size=1)
        with pytest.raises(ActorFailedError) as caught:
            await workers.ask(Who())
        assert isinstance(caught.value.__cause__, AskCycleError)


async def test_a_resize_ends_with_its_router_while_a_new_routee_hangs(autojump_clock: MockClock) -> None:
    class Sticky(Worker):
        async def pre_start(self, ctx: Context) -> None:
            if ctx.self.name != "routee-1":
                await trio.sleep_forever()

    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Sticky)

        async def grow() -> None:
            with pytest.raises(ActorStoppedError):
                await workers.resize(2)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(grow)
            await trio.sleep(1)
            workers.kill()
        await workers.wait_stopped()
        assert system.actors() == ()


async def test_a_new_routee_that_does_not_start_is_a_failure_of_the_router(autojump_clock: MockClock) -> None:
    class Late(Worker):
        def pre_start(self, ctx: Context) -> None:
            if ctx.self.name == "routee-2" and not failed:
                failed.append(Trouble())
                raise failed[0]

    failed: list[Exception] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Late)
        with pytest.raises(ActorFailedError) as caught:
            await workers.resize(2)
        assert isinstance(caught.value.__cause__, StartError)
        assert await workers.ask(Broadcast(Who())) == ["1", "2"]


async def test_each_life_of_a_routee_gets_the_options_of_the_pool(autojump_clock: MockClock) -> None:
    class Tidy(Worker):
        async def post_stop(self, ctx: Context) -> None:
            await trio.sleep_forever()

    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Tidy, size=3, stop_grace=2.0)
        workers.stop()
        await workers.wait_stopped()
        assert trio.current_time() == pytest.approx(2.0)


@pytest.mark.parametrize("strategy", [Broadcasting(), ScatterGatherFirst(within=1.0)])
async def test_each_routee_stashes_its_own_copy_of_what_is_told_to_all(strategy: RoutingStrategy) -> None:
    class Stasher(Worker):
        async def receive(self, ctx: Context, msg: Any) -> None:
            if msg == "go":
                ctx.become(super().receive)
                ctx.unstash_all()
            else:
                ctx.stash()

    log: list[tuple[str, Any]] = []
    async with ActorSystem("test") as system:
        workers = await system.spawn_router(Stasher, log, size=2, strategy=strategy)
        second = system.actor(f"{workers.path}/routee-2")
        assert second is not None
        second.tell("early")
        for msg in ("first", "second", "go"):
            workers.tell(msg)
        await settle()
        assert [msg for name, msg in log if name == "1"] == ["first", "second"]
        assert [msg for name, msg in log if name == "2"] == ["early", "first", "second"]
