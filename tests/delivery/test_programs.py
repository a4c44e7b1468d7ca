"""Any program of messages, failures and ends: what was accepted is handled, in the order it was given."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import trio
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.delivery.letters import BadChannel, Letter, Reader
from tests.properties.program import SystemProgram, case_of
from trioakt import ActorRef, ActorStoppedError, ActorSystem, Directive, OneForOne
from trioakt.delivery import ProducerRef, spawn_consumer, spawn_producer, spawn_work_producer, spawn_worker

RESUME = OneForOne(default=Directive.RESUME)


class DeliveryProgram(SystemProgram):
    """Messages are told, sent and delivered, some callers give up, handlers fail, and readers are replaced."""

    producer: ProducerRef
    system: ActorSystem

    def __init__(self) -> None:
        super().__init__()
        self.window, self.seed = 2, 0
        self.chunk_size: int | None = None
        self.given: list[int] = []
        self.wanted: set[int] = set()
        self.done: list[int] = []
        self.failures: dict[int, int] = {}
        self.readers: list[ActorRef] = []

    @initialize(window=st.integers(1, 4), chunk_size=st.sampled_from([None, 5]), seed=st.integers(0, 99))
    def choose(self, window: int, chunk_size: int | None, seed: int) -> None:
        self.window, self.chunk_size, self.seed = window, chunk_size, seed

    async def run(self) -> None:
        self.system = ActorSystem("test", supervision=RESUME)
        async with trio.open_nursery() as self.nursery:
            await self.run_inside(self.system, self.prepare)
            self.nursery.cancel_scope.cancel()

    async def run_steps(self) -> None:
        await super().run_steps()
        if self.ending == "when all is quiet":
            await trio.sleep(500.0)
            await self.producer.wait_confirmed()
            assert self.wanted <= set(self.done) <= set(self.given)
        self.check()

    def check(self) -> None:
        raise NotImplementedError

    async def prepare(self) -> None:
        raise NotImplementedError

    async def spawn_reader(self) -> ActorRef:
        reader = await self.system.spawn(Reader, self.done, 0.2, self.failures)
        self.readers.append(reader)
        return reader

    @rule(failures=st.sampled_from([0, 0, 0, 1, 3]))
    def tell(self, failures: int) -> None:
        def step() -> None:
            letter = self.write(failures)
            self.wanted.add(letter.number)
            self.producer.tell(letter)

        self.steps.append(step)

    @rule(how=st.sampled_from(["send", "deliver", "flush"]), patience=st.sampled_from([0.0, 0.5, 1e9]))
    def call(self, how: str, patience: float) -> None:
        def step() -> None:
            self.nursery.start_soon(self.call_and_wait, how, patience)

        self.steps.append(step)

    async def call_and_wait(self, how: str, patience: float) -> None:
        with suppress(ActorStoppedError), trio.CancelScope(deadline=trio.current_time() + patience):
            if how == "flush":
                given = [number for number in self.given if number in self.wanted]
                await self.producer.wait_confirmed()
                assert set(given) <= set(self.done)
            else:
                letter = self.write(0)
                await (self.producer.send(letter) if how == "send" else self.producer.deliver(letter))
                self.wanted.add(letter.number)
                assert how == "send" or letter.number in self.done

    def write(self, failures: int) -> Letter:
        letter = Letter(len(self.given), "text" * (len(self.given) % 4))
        self.given.append(letter.number)
        self.failures[letter.number] = failures
        return letter


class StreamProgram(DeliveryProgram):
    """One consumer behind a bad channel; when its reader is killed, another one takes its place."""

    async def prepare(self) -> None:
        self.producer = self.stream = await spawn_producer(
            self.system, "writer", to=await self.new_consumer(), chunk_size=self.chunk_size
        )

    async def new_consumer(self) -> ActorRef:
        consumer = await spawn_consumer(self.system, to=await self.spawn_reader(), window=self.window)
        return await self.system.spawn(BadChannel, consumer, self.seed)

    @rule()
    def replace_the_reader(self) -> None:
        async def step() -> None:
            self.readers[-1].kill()
            self.stream.redirect(await self.new_consumer())

        self.steps.append(step)

    def check(self) -> None:
        in_order = list(dict.fromkeys(self.done))
        assert in_order == sorted(in_order)


class WorkProgram(DeliveryProgram):
    """Workers come and go."""

    async def prepare(self) -> None:
        self.producer = await spawn_work_producer(self.system, "writer", chunk_size=self.chunk_size)
        await self.hire()

    async def hire(self) -> None:
        await spawn_worker(self.system, to=await self.spawn_reader(), source=self.producer, window=self.window)

    @rule()
    def hire_one(self) -> None:
        self.steps.append(self.hire)

    @rule(which=st.integers(0, 9))
    def dismiss_one(self, which: int) -> None:
        async def step() -> None:
            self.readers.pop(which % len(self.readers)).kill()
            if not self.readers:
                await self.hire()

        self.steps.append(step)

    def check(self) -> None:
        assert set(self.done) <= set(self.given)


TestStreams: Any = case_of(StreamProgram, examples=40, steps=15)
TestWork: Any = case_of(WorkProgram, examples=40, steps=15)
