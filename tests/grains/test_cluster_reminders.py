"""Reminders: they come in time, at least once, whoever is there by then."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, open_town
from trioakt import Actor, ActorFailedError, ActorSystem, Context, Grain, Idle, Request, message

Told = list[tuple[str, str, str]]


@message
class Remind(Request[None]):
    """Lets a reminder come."""

    name: str
    delay: float
    every: float | None = None


@message
class Forget(Request[bool]):
    """Lets one not come."""

    name: str


@message
class Ring:
    """A reminder."""

    name: str


@message
class Linger:
    """Takes so many seconds."""

    seconds: float


class Clock(Grain):
    """Writes down what it is reminded of."""

    passivation = Idle(1.0)
    told: Told = []  # noqa: RUF012 - all of them write into one
    trouble = 0

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Remind(name, delay, every):
                await ctx.remind(name, delay, Ring(name), every)
                ctx.reply(None)
            case Forget(name):
                ctx.reply(await ctx.forget_reminder(name))
            case Linger(seconds):
                await trio.sleep(seconds)
            case Ring(name):
                assert ctx.reminder is not None
                self.told.append((ctx.identity, name, ctx.reminder.id))
                if Clock.trouble:
                    Clock.trouble -= 1
                    raise RuntimeError("trouble")
            case _:
                ctx.unhandled()


@pytest.fixture(autouse=True)
def told() -> Told:
    Clock.told.clear()
    Clock.trouble = 0
    return Clock.told


async def test_a_reminder_wakes_a_grain_that_was_passivated(autojump_clock: MockClock, told: Told) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tea", 60.0))
        await trio.sleep(59.0)
        assert told == []
        await trio.sleep(1.5)
        assert [each[:2] for each in told] == [("ada", "tea")]
        await trio.sleep(600.0)
        assert len(told) == 1


async def test_a_reminder_outlives_its_node(autojump_clock: MockClock, told: Told) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tea", 60.0))
        await town.start("b", grains=[Clock], wall_clock=trio.current_time)
        await trio.sleep(5.0)
        await town.crash(a)
        await trio.sleep(60.0)
        assert [each[:2] for each in told] == [("ada", "tea")]


async def test_a_reminder_outlives_all_nodes_and_comes_once_for_all_that_were_missed(
    autojump_clock: MockClock, told: Told
) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tick", 60.0, every=60.0))
        await trio.sleep(150.0)
        assert len(told) == 2
        await town.crash(a)
        town.store.heal()
        await trio.sleep(300.0)
        assert len(told) == 2
        await town.start("b", grains=[Clock], wall_clock=trio.current_time)
        await trio.sleep(TTL)
        assert len(told) == 3
        await trio.sleep(120.0)
        assert len({each[2] for each in told}) == len(told) == 5


async def test_a_reminder_whose_handler_fails_comes_again_with_the_same_id(
    autojump_clock: MockClock, told: Told
) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        Clock.trouble = 2
        await a.grain(Clock, "ada").ask(Remind("tea", 1.0))
        await trio.sleep(30.0)
        assert len(told) == 3
        assert len(set(told)) == 1


async def test_a_reminder_that_is_set_again_takes_the_place_of_the_first(autojump_clock: MockClock, told: Told) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tea", 5.0))
        await a.grain(Clock, "ada").ask(Remind("tea", 50.0, every=60.0))
        await trio.sleep(40.0)
        assert told == []
        await trio.sleep(20.0)
        assert len(told) == 1
        await a.grain(Clock, "ada").ask(Remind("tea", 5.0))
        await trio.sleep(100.0)
        assert len(set(told)) == len(told) == 2


async def test_a_reminder_that_is_forgotten_does_not_come(autojump_clock: MockClock, told: Told) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tea", 5.0))
        assert await a.grain(Clock, "ada").ask(Forget("tea"))
        assert not await a.grain(Clock, "ada").ask(Forget("tea"))
        await trio.sleep(60.0)
        assert told == []


async def test_an_eager_grain_is_active_again_without_a_message(autojump_clock: MockClock) -> None:
    started: list[tuple[str, str]] = []

    class Eager(Grain):
        relocation = "eager"

        def pre_start(self, ctx: Context) -> None:
            started.append((ctx.system.address, ctx.identity))

        def receive(self, ctx: Context, msg: object) -> None:
            if msg == "stop":
                ctx.stop()

    async with open_town() as town:
        a = await town.start("a", grains=[Eager])
        for number in range(10):
            a.grain(Eager, str(number)).tell("go")
        await trio.sleep(1.0)
        a.grain(Eager, "3").tell("stop")
        await trio.sleep(1.0)
        started.clear()
        b = await town.start("b", grains=[Eager])
        await trio.sleep(3.0)
        await town.crash(a)
        await trio.sleep(TTL + 2)
        assert sorted(identity for _, identity in started) == [str(number) for number in range(10) if number != 3]
        assert {address for address, _ in started} == {b.address}


async def test_only_a_grain_in_a_cluster_can_have_reminders(autojump_clock: MockClock) -> None:
    class Plain(Actor):
        async def receive(self, ctx: Context, msg: object) -> None:
            with pytest.raises(RuntimeError, match="no grain"):
                await ctx.remind("tea", 1.0, "x")
            ctx.reply(ctx.reminder)

    async with ActorSystem("alone") as system:
        assert await (await system.spawn(Plain)).ask("x") is None
        with pytest.raises(ActorFailedError) as caught:
            await system.grain(Clock, "ada").ask(Remind("tea", 1.0))
        assert "cluster" in str(caught.value.__cause__)


async def test_a_reminder_comes_after_all_nodes_have_ended_in_order_and_come_back(
    autojump_clock: MockClock, told: Told
) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await a.grain(Clock, "ada").ask(Remind("tea", 60.0))
        await town.leave(a)
        await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        await trio.sleep(70.0)
        assert [each[:2] for each in told] == [("ada", "tea")]


@pytest.mark.parametrize(("delay", "every"), [(-1.0, None), (float("nan"), None), (1.0, 0.0), (1.0, 1e-9)])
async def test_a_reminder_with_a_bad_time_is_refused(
    autojump_clock: MockClock, delay: float, every: float | None
) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock])
        with pytest.raises(ActorFailedError) as caught:
            await a.grain(Clock, "ada").ask(Remind("tea", delay, every))
        assert isinstance(caught.value.__cause__, ValueError)


async def test_a_reminder_that_waited_when_its_grain_was_stopped_comes_again(
    autojump_clock: MockClock, told: Told
) -> None:
    async with open_town() as town:
        a = await town.start("a", grains=[Clock], wall_clock=trio.current_time)
        grain = a.grain(Clock, "ada")
        await grain.ask(Remind("tea", 0.5))
        grain.tell(Linger(3.0))
        await trio.sleep(1.0)
        grain.stop()
        await trio.sleep(10.0)
        assert [each[:2] for each in told] == [("ada", "tea")]
