"""Whatever happens to grains: each message has one end, they come in their order, and no life overlaps another."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import rule
from trio.testing import MockClock

from tests.core.actors import collected
from tests.core.crew import Trouble
from tests.properties.program import SystemProgram, case_of
from trioakt import (
    ActorSystem,
    Bounded,
    Context,
    DeadLetter,
    Eviction,
    Grain,
    GrainRef,
    Idle,
    OneForOne,
    PoisonPill,
    message,
)
from trioakt.lowlevel import PASSIVATE


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep thousands of expected failures and dead letters out of the report."""
    caplog.set_level("CRITICAL", logger="trioakt")


@message
class Task:
    """Something to do, for so many seconds, well or not."""

    number: int
    seconds: float = 0.0
    fails: bool = False


class Record:
    """What the grains of a system have done."""

    def __init__(self) -> None:
        self.alive: Counter[str] = Counter()
        self.most_alive = 0
        self.begun: list[tuple[str, int]] = []


class Worker(Grain):
    """Does its tasks, and records how many there are of its identity."""

    passivation = Idle(1.0)

    async def pre_start(self, ctx: Context) -> None:
        record = ctx.extension(Record)
        record.alive[ctx.self.path] += 1
        record.most_alive = max(record.most_alive, record.alive[ctx.self.path])

    async def receive(self, ctx: Context, msg: Task) -> None:
        ctx.extension(Record).begun.append((ctx.self.path, msg.number))
        if msg.seconds:
            await trio.sleep(msg.seconds)
        if msg.fails:
            raise Trouble

    async def post_stop(self, ctx: Context) -> None:
        ctx.extension(Record).alive[ctx.self.path] -= 1


class SlowWorker(Worker):
    """Takes its time to begin and to end, and has little room."""

    options: ClassVar[Any] = {"mailbox": Bounded(3), "supervision": OneForOne(max_restarts=1, within=5.0)}

    async def pre_start(self, ctx: Context) -> None:
        await trio.sleep(0.3)
        await super().pre_start(ctx)

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(0.5)
        await super().post_stop(ctx)


kinds = st.sampled_from([Worker, SlowWorker])
seldom = st.sampled_from([False] * 9 + [True])
names = st.sampled_from(["ada", "bob"])


class GrainMachine(SystemProgram):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.accepted: dict[str, list[int]] = {}

    def grain(self, kind: type[Worker], name: str) -> GrainRef[Any]:
        return self.system.grain(kind, name)

    @rule(
        kind=kinds,
        name=names,
        seconds=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
        fails=st.integers(0, 9).map(lambda dice: dice == 0),
    )
    def send(self, kind: type[Worker], name: str, seconds: float, fails: bool) -> None:
        self.count += 1
        task = Task(self.count, seconds, fails)

        async def step() -> None:
            ref = self.grain(kind, name)
            await ref.send(task)
            self.accepted.setdefault(ref.path, []).append(task.number)

        self.steps.append(step)

    @rule(kind=kinds, name=names)
    def tell_a_crowd(self, kind: type[Worker], name: str) -> None:
        numbers = range(self.count + 1, self.count + 4)
        self.count += 3

        def step() -> None:
            ref = self.grain(kind, name)
            for number in numbers:
                try:
                    ref.tell(Task(number))
                except trio.WouldBlock:
                    return
                self.accepted.setdefault(ref.path, []).append(number)

        self.steps.append(step)

    @rule(kind=kinds, name=names, order=st.sampled_from(["passivate", "passivate", "stop", "kill", "poison"]))
    def order(self, kind: type[Worker], name: str, order: str) -> None:
        def step() -> None:
            ref = self.grain(kind, name)
            match order:
                case "passivate":
                    ref.recipient.signal(PASSIVATE)
                case "stop":
                    ref.stop()
                case "kill":
                    ref.kill()
                case _:
                    ref.tell(PoisonPill())

        self.steps.append(step)

    async def run(self) -> None:
        record = Record()
        self.system = ActorSystem("test", extensions=[record], eviction=Eviction(limit=3, interval=0.7))
        with collected(self.system, DeadLetter) as letters:
            await self.run_inside(self.system, trio.lowlevel.checkpoint)
        assert record.most_alive <= 1
        assert not +record.alive
        for path, accepted in self.accepted.items():
            begun = [number for grain, number in record.begun if grain == path]
            lost = [letter.message.number for letter in letters if letter.recipient.path == path]
            assert begun == sorted(begun)
            assert sorted(begun + lost) == accepted


TestGrains = case_of(GrainMachine, examples=60, steps=30)


class Gentle(Worker):
    """As a worker, without a failure or an order to stop."""

    passivation = Idle(0.1)


@pytest.mark.parametrize("seed", range(20))
async def test_messages_at_any_moment_around_passivation_are_all_handled_in_their_order(
    autojump_clock: MockClock, seed: int
) -> None:
    record = Record()
    async with ActorSystem("test", extensions=[record]) as system:
        for number in range(200):
            system.grain(Gentle, "ada").tell(Task(number))
            await trio.sleep(0.1)
            for _ in range((number + seed) % 9):
                await trio.lowlevel.checkpoint()
    assert [number for _, number in record.begun] == list(range(200))
    assert system.statistics().dead_letters == 0
