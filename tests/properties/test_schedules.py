"""Schedules against a model that looks at each quarter of a second: what ticks when, and what is left at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Boom, Do, Recorder
from tests.patterns.wall import WallClock
from tests.properties.program import Program, case_of
from trioakt import ActorSystem, Context, OneForOne, Schedule

QUARTER = 0.25
Kind = Literal["once", "every", "cron"]


@attrs.define
class Entry:
    """One schedule of the model; ``left`` is the time to the next tick of those that do not go by the wall clock."""

    kind: Kind
    seconds: float
    of_a_life: bool
    left: float
    paused: bool = False
    active: bool = True

    def ticks(self, now: float) -> bool:
        """Let a quarter of a second pass; true when there is a tick at its end."""
        if self.paused or not self.active:
            return False
        if self.kind == "cron":
            return now % 60 % self.seconds == 0
        self.left -= QUARTER
        if self.left > 0:
            return False
        self.left = self.seconds
        self.active = self.kind == "every"
        return True


class Clock(Recorder):
    """Notes when each number comes."""

    def __init__(self, told: list[tuple[float, int]]) -> None:
        super().__init__()
        self.told = told

    async def receive(self, ctx: Context, msg: Any) -> None:
        if isinstance(msg, int):
            self.told.append((trio.current_time(), msg))
        else:
            await super().receive(ctx, msg)


class ScheduleMachine(Program):
    def __init__(self) -> None:
        super().__init__()
        self.model: list[Entry] = []
        self.expected: list[tuple[float, int]] = []
        self.now = 0.0
        self.made: dict[int, Schedule] = {}

    @rule(kind=st.sampled_from(["once", "every", "cron"]), quarters=st.integers(1, 80), of_a_life=st.booleans())
    def make(self, kind: Kind, quarters: int, of_a_life: bool) -> None:
        seconds = 1 + quarters // 4 if kind == "cron" else quarters * QUARTER
        number = len(self.model)
        self.model.append(Entry(kind, seconds, of_a_life, left=seconds))
        make = self.for_actor if of_a_life else self.for_system

        async def step() -> None:
            make(number, kind, seconds)
            await settle()

        self.steps.append(step)

    def for_system(self, number: int, kind: Kind, seconds: float) -> None:
        scheduler = self.system.scheduler
        expression = f"*/{seconds:.0f} * * * * *"
        makers: dict[Kind, Callable[[], Schedule]] = {
            "once": lambda: scheduler.once(seconds, self.ref, number),
            "every": lambda: scheduler.every(seconds, self.ref, number),
            "cron": lambda: scheduler.cron(expression, self.ref, number),
        }
        self.made[number] = makers[kind]()

    def for_actor(self, number: int, kind: Kind, seconds: float) -> None:
        def make(ctx: Context) -> None:
            makers: dict[Kind, Callable[[], Schedule]] = {
                "once": lambda: ctx.schedule_once(seconds, number),
                "every": lambda: ctx.schedule_every(seconds, number),
                "cron": lambda: ctx.schedule_cron(f"*/{seconds:.0f} * * * * *", number),
            }
            self.made[number] = makers[kind]()

        self.ref.tell(Do(make))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), quarters=st.integers(1, 150))
    def hold_for_a_while(self, data: st.DataObject, quarters: int) -> None:
        number = self.draw_one(data)
        self.model[number].paused = True
        self.steps.append(lambda: self.made[number].pause())
        self.let_time_pass(quarters)
        if data.draw(st.booleans()):
            self.model[number].paused = False
            self.steps.append(lambda: self.made[number].resume())

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = self.draw_one(data)
        self.model[number].active = False
        self.steps.append(lambda: self.made[number].cancel())

    def draw_one(self, data: st.DataObject) -> int:
        return data.draw(st.integers(max(0, len(self.model) - 4), len(self.model) - 1))

    @rule(quarters=st.integers(1, 150))
    def let_time_pass(self, quarters: int) -> None:
        for _ in range(quarters):
            self.now += QUARTER
            self.expected += [(self.now, number) for number, entry in enumerate(self.model) if entry.ticks(self.now)]

        async def step() -> None:
            await trio.sleep(quarters * QUARTER)
            await settle()

        self.steps.append(step)

    @rule()
    def restart(self) -> None:
        for entry in self.model:
            entry.active &= not entry.of_a_life

        async def step() -> None:
            self.ref.tell(Boom(OSError()))
            await settle()

        self.steps.append(step)

    async def run(self) -> None:
        told: list[tuple[float, int]] = []
        wall = WallClock("2026-01-01T00:00")
        async with ActorSystem("test", supervision=OneForOne(max_restarts=None), wall_clock=wall) as self.system:
            self.ref = await self.system.spawn(Clock, told)
            await self.run_steps()
            assert sorted(told) == self.expected
            assert [at for at, _ in told] == sorted(at for at, _ in told)
            for number, entry in enumerate(self.model):
                schedule = self.made[number]
                assert (schedule.active, schedule.paused) == (entry.active, entry.active and entry.paused)
                assert (schedule in self.system.scheduler.list()) == entry.active


TestSchedules = case_of(ScheduleMachine, examples=100, steps=30)
