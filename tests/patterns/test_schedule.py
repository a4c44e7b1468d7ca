"""Schedules: when a message comes, what becomes of late ticks, and when a schedule ends."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Get, Recorder, Sleep, collected
from trioakt import (
    Actor,
    ActorRef,
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    DeadLetterReason,
    Directive,
    OneForOne,
    Priority,
    Schedule,
)
from trioakt.patterns.rhythm import Agenda, Every
from trioakt.patterns.schedule import Missing
from trioakt.testing import open_test_system


class Clock(Actor):
    """Writes down when it is told what, and obeys ``Sleep`` and ``Boom``."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Sleep(seconds):
                await trio.sleep(seconds)
            case Boom(error):
                raise error
            case Do(function):
                function(ctx)
            case (float(seconds), what):
                self.told.append((round(trio.current_time(), 6), what))
                await trio.sleep(seconds)
            case _:
                self.told.append((round(trio.current_time(), 6), msg))


@asynccontextmanager
async def clock(**options: Any) -> AsyncGenerator[tuple[ActorSystem, ActorRef, list[Any]]]:
    """Open a system with one actor that writes down what it is told when."""
    told: list[Any] = []
    async with ActorSystem("test") as system:
        yield system, await system.spawn(Clock, told, **options), told


# When it comes


async def test_once_comes_once_after_its_delay(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        handle = system.scheduler.once(2.0, ref, "tea")
        assert (handle.active, handle.due) == (True, 2.0)
        await trio.sleep(10)
        assert told == [(2.0, "tea")]
        assert (handle.active, handle.due) == (False, None)


async def test_every_comes_after_each_interval(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        system.scheduler.every(1.5, ref, "tick")
        await trio.sleep(5)
        assert told == [(1.5, "tick"), (3.0, "tick"), (4.5, "tick")]


async def test_schedules_come_in_the_order_of_their_times_whenever_they_were_made(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        for delay in 3.0, 1.0, 2.0, 1.0, 0.0:
            system.scheduler.once(delay, ref, delay)
        await trio.sleep(5)
        assert [what for _, what in told] == [0.0, 1.0, 1.0, 2.0, 3.0]


async def test_an_earlier_schedule_that_comes_later_is_not_overlooked(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        system.scheduler.once(10, ref, "late")
        await trio.sleep(1)
        system.scheduler.once(1, ref, "early")
        await trio.sleep(2)
        assert told == [(2.0, "early")]


async def test_ten_thousand_schedules_cost_one_task(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(10_000):
            system.scheduler.once(1 + number % 7, ref, number)
        await settle()
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
        await trio.sleep(10)
        assert len(told) == 10_000


# Too fast


@pytest.mark.parametrize(("missed", "times"), [("coalesce", [1, 4, 7, 10]), ("burst", [1, 3.5, 6, 8.5])])
async def test_a_slow_handler_coalesces_ticks_or_gets_them_all(
    missed: Missing, times: list[float], autojump_clock: MockClock
) -> None:
    async with clock() as (system, ref, told):
        system.scheduler.every(1.0, ref, (2.5, "tick"), missed=missed)
        await trio.sleep(10.4)
        assert [at for at, _ in told] == times


async def test_a_tick_that_still_waits_in_the_mailbox_is_enough(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        ref.tell(Sleep(10.5))
        system.scheduler.every(1.0, ref, "tick")
        await trio.sleep(11.2)
        assert told == [(10.5, "tick"), (11.0, "tick")]


async def test_a_tick_that_was_refused_does_not_hold_up_the_next(autojump_clock: MockClock) -> None:
    async with clock(mailbox=Bounded(1)) as (system, ref, told):
        ref.tell(Sleep(1.5))
        await settle()
        ref.tell("full")
        system.scheduler.every(1.0, ref, "tick")
        with collected(system, DeadLetter) as letters:
            await trio.sleep(2.5)
        assert [letter.reason for letter in letters] == [DeadLetterReason.MAILBOX_FULL]
        assert told == [(1.5, "full"), (2.0, "tick")]


async def test_a_handler_that_fails_does_not_hold_up_the_next_tick(autojump_clock: MockClock) -> None:
    async with clock(supervision=OneForOne(default=Directive.RESUME)) as (system, ref, _):
        system.scheduler.every(1.0, ref, Boom(OSError()))
        await trio.sleep(3.5)
        assert ref.statistics().failures == 3


async def test_a_mailbox_that_raises_harms_no_other_schedule(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        broken = await system.spawn(Recorder, mailbox=Priority(lambda msg: msg.urgency))
        system.scheduler.every(1.0, broken, "tick")
        system.scheduler.every(1.0, ref, "tick")
        await trio.sleep(2.5)
        assert len(told) == 2
        assert system.statistics().dead_letters == 2


# Names, pause, resume, cancel, list


async def test_schedules_are_found_by_name_and_listed(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        named = system.scheduler.every(1.0, ref, "tick", name="tick")
        other = system.scheduler.once(5.0, ref, "once")
        assert system.scheduler.get("tick") is named
        assert system.scheduler.list() == (named, other)
        await trio.sleep(6)
        assert system.scheduler.list() == (named,)


async def test_a_taken_name_is_refused_until_its_schedule_has_ended(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        first = system.scheduler.every(1.0, ref, "tick", name="tick")
        with pytest.raises(ValueError, match="taken"):
            system.scheduler.once(1.0, ref, "tick", name="tick")
        first.cancel()
        again = system.scheduler.once(1.0, ref, "tick", name="tick")
        first.cancel()
        assert again.active


async def test_a_cancelled_schedule_ticks_no_more(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        handle = system.scheduler.every(1.0, ref, "tick")
        await trio.sleep(2.5)
        handle.cancel()
        handle.resume()
        await trio.sleep(5)
        assert len(told) == 2
        assert not handle.active


async def test_a_paused_schedule_goes_on_with_the_time_that_was_left(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        handle = system.scheduler.every(1.0, ref, "tick")
        await trio.sleep(1.75)
        handle.pause()
        handle.pause()
        assert handle.paused
        assert handle.due is None
        await trio.sleep(10)
        handle.resume()
        handle.resume()
        await trio.sleep(1.5)
        assert [at for at, _ in told] == [1.0, 12.0, 13.0]


async def test_a_schedule_is_paused_resumed_and_cancelled_by_its_name(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        handle = system.scheduler.every(1.0, ref, "tick", name="tick")
        system.scheduler.pause("tick")
        await trio.sleep(5)
        system.scheduler.resume("tick")
        await trio.sleep(1.5)
        system.scheduler.cancel("tick")
        await trio.sleep(5)
        assert told == [(6.0, "tick")]
        system.scheduler.cancel(handle)
        with pytest.raises(ValueError, match="no schedule"):
            system.scheduler.pause("tick")


@pytest.mark.parametrize("interval", [0, -1.0, 1e-300, math.inf, math.nan])
async def test_an_interval_that_is_none_is_refused(interval: float, autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        with pytest.raises(ValueError, match="interval"):
            system.scheduler.every(interval, ref, "tick")


async def test_a_misspelt_policy_is_refused(autojump_clock: MockClock) -> None:
    missed: Any = "skip"
    async with clock() as (system, ref, _):
        with pytest.raises(ValueError, match="coalesce, burst"):
            system.scheduler.every(1.0, ref, "tick", missed=missed)


async def test_a_call_from_another_thread_is_refused(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        with pytest.raises(RuntimeError, match="another thread"):
            await trio.to_thread.run_sync(system.scheduler.once, 1.0, ref, "tick")


async def test_a_system_that_was_not_entered_schedules_nothing(autojump_clock: MockClock) -> None:
    async with clock() as (_, ref, _):
        with pytest.raises(RuntimeError, match="entered"):
            ActorSystem("other").scheduler.once(1.0, ref, "tick")


# The end


async def test_a_schedule_ends_with_its_actor(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        handle = system.scheduler.every(1.0, ref, "tick")
        ref.stop()
        await ref.wait_stopped()
        assert not handle.active
        assert not system.scheduler.once(1.0, ref, "tick").active
        await trio.sleep(5)
        assert system.statistics().dead_letters == 0


async def test_a_schedule_of_the_system_outlives_a_restart(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        system.scheduler.every(1.0, ref, "tick")
        ref.tell(Boom(OSError()))
        await trio.sleep(2.5)
        assert len(told) == 2


async def test_a_system_with_schedules_ends_at_once(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        system.scheduler.every(1.0, ref, "tick")
        system.scheduler.once(1000, ref, "late")
    assert trio.current_time() == 0


async def test_a_system_with_schedules_that_is_cancelled_ends_at_once(autojump_clock: MockClock) -> None:
    with trio.move_on_after(2.5):
        async with clock() as (system, ref, _):
            system.scheduler.every(1.0, ref, "tick")
            await trio.sleep_forever()
    assert trio.current_time() == 2.5


async def test_an_actor_schedules_messages_to_itself(autojump_clock: MockClock) -> None:
    async with clock() as (_, ref, told):
        ref.tell(Do(lambda ctx: ctx.schedule_every(1.0, "tick")))
        ref.tell(Do(lambda ctx: ctx.schedule_once(1.5, "tea")))
        await trio.sleep(2.5)
        assert told == [(1.0, "tick"), (1.5, "tea"), (2.0, "tick")]


async def test_the_schedules_of_an_actor_die_with_that_life_of_it(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, told):
        ref.tell(Do(lambda ctx: ctx.schedule_every(1.0, "tick")))
        ref.tell(Do(lambda ctx: ctx.schedule_once(3.0, "tea")))
        await trio.sleep(1.5)
        ref.tell(Boom(OSError()))
        await trio.sleep(5)
        assert told == [(1.0, "tick")]
        assert system.scheduler.list() == ()


@pytest.mark.parametrize("missed", ["coalesce", "burst"])
async def test_a_late_tick_of_an_earlier_life_is_never_delivered(missed: Missing, autojump_clock: MockClock) -> None:
    async with clock() as (_, ref, told):
        ref.tell(Do(lambda ctx: ctx.schedule_every(1.0, "tick", missed=missed)))
        ref.tell(Sleep(2.5))
        ref.tell(Boom(OSError()))
        await trio.sleep(5)
        assert ref.statistics().restarts == 1
        assert told == []


async def test_a_schedule_made_in_pre_start_is_made_anew_by_each_life(autojump_clock: MockClock) -> None:
    kept: list[Any] = []
    async with ActorSystem("test") as system:
        ref = await system.spawn(lambda: Recorder(kept, pre_start=lambda ctx: ctx.schedule_every(1.0, "tick")))
        await trio.sleep(1.5)
        ref.tell(Boom(OSError()))
        await trio.sleep(2.5)
        assert kept == ["tick"] * 3
        assert await ref.ask(Get()) == 3


async def test_the_context_of_an_earlier_life_schedules_nothing(autojump_clock: MockClock) -> None:
    contexts: list[Context] = []
    async with clock() as (_, ref, _):
        ref.tell(Do(contexts.append))
        ref.tell(Boom(OSError()))
        await settle()
        with pytest.raises(RuntimeError, match="life"):
            contexts[0].schedule_once(1.0, "tick")


async def test_schedules_of_an_earlier_life_are_forgotten_with_the_restart(autojump_clock: MockClock) -> None:
    async with clock() as (system, ref, _):
        made: list[Schedule] = []
        ref.tell(Do(lambda ctx: made.append(ctx.schedule_once(1000.0, "tea"))))
        await settle()
        kept = system.scheduler.every(1000.0, ref, "tick")
        ref.tell(Boom(OSError()))
        await settle()
        assert system.scheduler.get(made[0].name) is None
        assert kept.active


# What a tick brings along

caller: ContextVar[str] = ContextVar("caller", default="nobody")


async def test_a_tick_is_told_with_the_context_variables_of_who_scheduled_it(autojump_clock: MockClock) -> None:
    told_by: list[str] = []

    def arrives(_: object) -> int:
        told_by.append(caller.get())
        return 0

    async with clock(mailbox=Priority(arrives)) as (system, ref, _):
        for name in "ada", "eve":
            caller.set(name)
            system.scheduler.once(1.0, ref, "tea")
            system.scheduler.every(1.5, ref, "tick", missed="burst")
        caller.set("nobody")
        await trio.sleep(3.5)
        assert told_by == ["ada", "eve"] * 3


# What is pure

times = st.integers(0, 20).map(float)


@given(times, st.floats(1e-3, 1e3), st.floats(0, 1e6))
def test_the_next_tick_is_within_one_interval_from_now(due: float, interval: float, late: float) -> None:
    now = due + late
    rhythm = Every(interval)
    following = rhythm.after(due, now)
    assert rhythm.count(due, now) >= 1
    assert now < following <= now + interval * (1 + 1e-6) + 1e-6


@given(st.lists(st.one_of(st.tuples(st.integers(0, 5), times), st.integers(0, 5), times.map(lambda at: (at,)))))
def test_the_agenda_agrees_with_a_sorted_list(steps: list[Any]) -> None:
    agenda, model = Agenda[int](), dict[int, float]()
    for step in steps:
        match step:
            case (item, due):
                agenda.put(item, due)
                model.pop(item, None)
                model[item] = due
            case (now,):
                ready = sorted((due, place, item) for place, (item, due) in enumerate(model.items()) if due <= now)
                assert agenda.take(now) == [(due, item) for due, _, item in ready]
                for _, _, item in ready:
                    del model[item]
            case item:
                agenda.discard(item)
                model.pop(item, None)
        assert agenda.next_at == min(model.values(), default=math.inf)


def test_what_is_put_and_discarded_again_and_again_does_not_pile_up() -> None:
    agenda = Agenda[int]()
    for number in range(10_000):
        agenda.put(number % 2, float(number))
    assert len(vars(agenda)["_heap"]) < 100


async def test_a_tick_of_its_own_that_waits_when_an_actor_stops_is_no_dead_letter(autojump_clock: MockClock) -> None:
    class Ticking(Actor):
        async def pre_start(self, ctx: Context) -> None:
            ctx.schedule_every(1.0, "tick")

        async def receive(self, ctx: Context, msg: object) -> None:
            await trio.sleep(2.5)

    async with open_test_system() as system:
        ref = await system.spawn(Ticking)
        ref.tell("work")
        await trio.sleep(2)
        assert ref.statistics().depth == 1


async def test_what_is_no_ref_is_refused_and_nothing_is_scheduled(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError, match="a schedule tells an actor, by its ref"):
            system.scheduler.once(1.0, "nobody", "tick")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert system.scheduler.list() == ()
        await trio.sleep(2)
