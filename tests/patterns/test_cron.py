"""Schedules by cron expression: they go by the wall clock, whatever it does."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Boom, Do, Recorder, Sleep
from tests.patterns.wall import WallClock
from trioakt import ActorRef, ActorSystem, Context, Schedule
from trioakt.patterns.schedule import Missing

DAY, HOUR, MINUTE = 86_400, 3_600, 60


class Watcher(Recorder):
    """Keeps what the wall clock shows when a tick comes."""

    def __init__(self, wall: WallClock, told: list[str]) -> None:
        super().__init__()
        self.wall = wall
        self.told = told

    async def receive(self, ctx: Context, msg: Any) -> None:
        if msg == "tick":
            self.told.append(str(self.wall))
        else:
            await super().receive(ctx, msg)


@asynccontextmanager
async def wall_clock(start: str, zone: str = "UTC", **options: Any) -> AsyncGenerator[tuple[Any, ...]]:
    """Open a system on a wall clock; yields it, an actor, the clock and what that shows at each tick."""
    wall, told = WallClock(start, zone, **options), list[str]()
    async with ActorSystem("test", wall_clock=wall) as system:
        yield system, await system.spawn(Watcher, wall, told), wall, told


async def test_it_ticks_when_the_wall_clock_matches(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, told):
        system.scheduler.cron("30 9,17 * * *", ref, "tick")
        await trio.sleep(DAY)
        assert told == ["Thu 09:30:00 +0000", "Thu 17:30:00 +0000"]


async def test_six_fields_begin_with_seconds(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:59:50") as (system, ref, _, told):
        system.scheduler.cron("*/20 * 9 * * *", ref, "tick")
        await trio.sleep(60)
        assert told == ["Thu 09:00:00 +0000", "Thu 09:00:20 +0000", "Thu 09:00:40 +0000"]


async def test_it_goes_by_the_clock_of_its_zone_where_that_changes(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-03-28T12:00", "Europe/Berlin") as (system, ref, wall, told):
        system.scheduler.cron("30 2 * * *", ref, "tick", zone="Europe/Berlin")
        system.scheduler.cron("0 9 * * *", ref, "tick", zone=wall.zone)
        await trio.sleep(2 * DAY)
        assert told == ["Sun 03:00:00 +0200", "Sun 09:00:00 +0200", "Mon 02:30:00 +0200", "Mon 09:00:00 +0200"]


async def test_its_next_tick_is_told_on_trios_clock(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, wall, _):
        handle = system.scheduler.cron("0 * * * *", ref, "tick")
        assert handle.due == pytest.approx(600)
        wall.set_by(120)
        assert handle.due == pytest.approx(480)


# The wall clock


@pytest.mark.parametrize("rate", [0.999, 1.001])
async def test_a_clock_that_does_not_keep_pace_makes_no_tick_early(rate: float, autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:00", rate=rate) as (system, ref, _, told):
        system.scheduler.cron("0 * * * *", ref, "tick")
        await trio.sleep(4.5 * HOUR)
        assert told == [f"Thu {hour:02}:00:00 +0000" for hour in (9, 10, 11, 12)]


@pytest.mark.parametrize(("missed", "count"), [("coalesce", 1), ("burst", 3)])
async def test_what_a_clock_that_is_set_forward_jumps_over_comes_within_a_minute(
    missed: Missing, count: int, autojump_clock: MockClock
) -> None:
    async with wall_clock("2026-01-01T08:30:30") as (system, ref, wall, told):
        system.scheduler.cron("0 * * * *", ref, "tick", missed=missed)
        await trio.sleep(1)
        wall.set_by(3 * HOUR)
        await trio.sleep(MINUTE)
        assert told == ["Thu 11:31:30 +0000"] * count
        await trio.sleep(30 * MINUTE)
        assert told[count:] == ["Thu 12:00:00 +0000"]


async def test_a_clock_that_jumps_by_years_brings_no_endless_burst(autojump_clock: MockClock) -> None:
    async with wall_clock("1970-01-01T00:00") as (system, ref, wall, told):
        system.scheduler.cron("* * * * * *", ref, "tick", missed="burst")
        wall.set_by(20_000 * DAY)
        await trio.sleep(1.5)
        assert len(told) == 1_001


async def test_a_clock_that_is_set_back_repeats_no_tick(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, wall, told):
        system.scheduler.cron("*/15 * * * *", ref, "tick")
        await trio.sleep(30 * MINUTE)
        wall.set_by(-HOUR)
        assert str(wall) == "Thu 08:20:00 +0000"
        await trio.sleep(1.5 * HOUR)
        assert told == [f"Thu {time}:00 +0000" for time in ("09:00", "09:15", "09:30", "09:45")]


@pytest.mark.parametrize("held", [False, True])
async def test_a_clock_that_was_wrong_by_years_holds_nothing_up(held: bool, autojump_clock: MockClock) -> None:
    async with wall_clock("2036-01-01T08:50") as (system, ref, wall, told):
        handle = system.scheduler.cron("0 * * * *", ref, "tick")
        await trio.sleep(15 * MINUTE)
        if held:
            handle.pause()
        wall.set_by(-3653 * DAY)
        await trio.sleep(15 * MINUTE)
        handle.resume()
        await trio.sleep(HOUR)
        assert told == ["Tue 09:00:00 +0000", "Wed 10:00:00 +0000"]


async def test_a_wall_clock_that_is_none_is_refused() -> None:
    no_clock: Any = 0.0
    with pytest.raises(TypeError, match="wall_clock"):
        ActorSystem("test", wall_clock=no_clock)


# Held, ended, refused


async def test_a_tick_comes_once_while_the_one_before_is_handled(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:59:30") as (system, ref, _, told):
        ref.tell(Sleep(200))
        system.scheduler.cron("* * * * *", ref, "tick")
        await trio.sleep(250)
        assert told == ["Thu 09:02:50 +0000", "Thu 09:03:00 +0000"]


async def test_a_paused_schedule_goes_on_with_the_next_match(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, told):
        handle = system.scheduler.cron("0 * * * *", ref, "tick", name="hourly")
        handle.pause()
        assert handle.paused
        assert handle.due is None
        await trio.sleep(2.5 * HOUR)
        system.scheduler.resume("hourly")
        await trio.sleep(HOUR)
        assert told == ["Thu 12:00:00 +0000"]


async def test_a_short_pause_changes_nothing(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, wall, told):
        handle = system.scheduler.cron("0 * * * *", ref, "tick")
        await trio.sleep(11 * MINUTE)
        handle.pause()
        wall.set_by(-5 * MINUTE)
        handle.resume()
        await trio.sleep(HOUR)
        assert told == ["Thu 09:00:00 +0000"]
        await trio.sleep(5 * MINUTE)
        assert told == ["Thu 09:00:00 +0000", "Thu 10:00:00 +0000"]


async def test_a_cancelled_schedule_ticks_no_more(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, told):
        handle = system.scheduler.cron("0 * * * *", ref, "tick")
        assert system.scheduler.list() == (handle,)
        handle.cancel()
        await trio.sleep(DAY)
        assert (told, handle.active, system.scheduler.list()) == ([], False, ())


async def test_an_actor_schedules_for_itself_as_long_as_it_lives(autojump_clock: MockClock) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, told):
        ref.tell(Do(lambda ctx: ctx.schedule_cron("0 * * * *", "tick", zone="Europe/Berlin")))
        await trio.sleep(1.5 * HOUR)
        ref.tell(Boom(OSError()))
        await trio.sleep(DAY)
        assert told == ["Thu 09:00:00 +0000", "Thu 10:00:00 +0000"]
        assert system.scheduler.list() == ()


REFUSED: list[Callable[[ActorSystem, ActorRef], Schedule]] = [
    lambda system, ref: system.scheduler.cron("every day", ref, "tick"),
    lambda system, ref: system.scheduler.cron("0 0 31 2 *", ref, "tick"),
    lambda system, ref: system.scheduler.cron("0 0 */31 2 MON#5", ref, "tick"),
    lambda system, ref: system.scheduler.cron("* * * * *", ref, "tick", zone="Mars/Olympus"),
    lambda system, ref: system.scheduler.cron("* * * * *", ref, "tick", name="no name"),
]


@pytest.mark.parametrize("schedule", REFUSED)
async def test_what_is_refused_changes_nothing(
    schedule: Callable[[ActorSystem, ActorRef], Schedule], autojump_clock: MockClock
) -> None:
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, _):
        tasks = trio.lowlevel.current_statistics().tasks_living
        with pytest.raises(ValueError, match=r"cron expression|never comes|time zone|name"):
            schedule(system, ref)
        assert system.scheduler.list() == ()
        assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_without_its_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.delitem(sys.modules, "trioakt.patterns.cron", raising=False)
    monkeypatch.setitem(sys.modules, "cronsim", None)
    async with wall_clock("2026-01-01T08:50") as (system, ref, _, _):
        with pytest.raises(ImportError, match=r"trioakt\[schedules\]"):
            system.scheduler.cron("* * * * *", ref, "tick")
