"""Work pulling: one producer, and workers that ask for work and come and go."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import collected
from tests.delivery.letters import BadChannel, Letter, Reader, notebook
from trioakt import Actor, ActorRef, ActorSystem, Context, DeadLetter
from trioakt.delivery import ProducerRef, spawn_work_producer, spawn_worker
from trioakt.errors import MessageTooLargeError
from trioakt.testing import open_test_system


async def hire(system: ActorSystem, source: ProducerRef, read: list[Any], seconds: float = 1.0) -> ActorRef:
    """Start an actor that does work, and let it ask for some."""
    reader = await system.spawn(Reader, read, seconds)
    await spawn_worker(system, to=reader, source=source)
    return reader


async def test_workers_share_the_work(autojump_clock: MockClock) -> None:
    done: list[list[int]] = [[], [], []]
    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office")
        for each in done:
            await hire(system, producer, each)
        for number in range(9):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert trio.current_time() == 3.0
        assert [len(each) for each in done] == [3, 3, 3]
        assert sorted(number for each in done for number in each) == list(range(9))


async def test_send_waits_until_a_worker_asks(autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office")
        with trio.move_on_after(100.0) as waiting:
            await producer.send(Letter(1))
        assert waiting.cancelled_caught
        await hire(system, producer, done)
        await producer.deliver(Letter(2))
        assert done == [2]


async def test_a_slow_worker_holds_nobody_up(autojump_clock: MockClock) -> None:
    slow: list[int] = []
    quick: list[int] = []
    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office")
        await hire(system, producer, slow, 100.0)
        await hire(system, producer, quick, 1.0)
        for number in range(10):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert (len(slow), len(quick)) == (1, 9)


async def test_the_work_of_one_that_dies_goes_to_another(autojump_clock: MockClock) -> None:
    first: list[int] = []
    second: list[int] = []
    async with ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office")
        victim = await hire(system, producer, first, 10.0)
        await producer.send(Letter(1))
        await trio.sleep(5.0)
        await hire(system, producer, second)
        victim.kill()
        await producer.wait_confirmed()
        assert (first, second) == ([], [1])


async def test_without_any_worker_left_the_work_waits_for_the_next(autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office")
        victim = await hire(system, producer, notebook(), 10.0)
        await producer.send(Letter(1))
        producer.tell(Letter(2))
        victim.kill()
        await trio.sleep(100.0)
        await hire(system, producer, done)
        await producer.wait_confirmed()
        assert done == [1, 2]


async def test_a_worker_that_restarts_keeps_its_work(autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office")
        reader = await system.spawn(Reader, done, 0.0, {1: 2})
        await spawn_worker(system, to=reader, source=producer)
        await producer.deliver(Letter(1))
        assert done == [1]
        assert reader.statistics().restarts == 2


async def test_a_worker_may_take_several_at_a_time(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office")
        reader = await system.spawn(Reader, notebook(), 1.0)
        await spawn_worker(system, to=reader, source=producer, window=3)
        for number in range(3):
            await producer.send(Letter(number))
        assert trio.current_time() == 0.0
        await producer.wait_confirmed()


async def test_work_that_is_large_travels_in_parts(autojump_clock: MockClock) -> None:
    texts: list[str] = []

    def keep(ctx: Context, msg: Letter) -> None:
        texts.append(msg.text)

    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office", chunk_size=10)
        await spawn_worker(system, to=await system.spawn_func(keep), source=producer, max_size=10_000)
        await producer.deliver(Letter(1, "large " * 100))
        assert texts == ["large " * 100]
        with pytest.raises(MessageTooLargeError):
            await producer.send(Letter(2, "large " * 10_000))


class Hiring(Actor):
    """Spawns workers and dismisses them at random moments."""

    def __init__(self, producer: ProducerRef, done: list[Any]) -> None:
        self.producer = producer
        self.done = done

    async def receive(self, ctx: Context, msg: float) -> None:
        reader = await ctx.spawn(Reader, self.done, 0.3)
        await spawn_worker(ctx, to=reader, source=self.producer)
        ctx.nursery.start_soon(self.dismiss, reader, msg)

    async def dismiss(self, reader: ActorRef, seconds: float) -> None:
        await trio.sleep(seconds)
        reader.kill()


async def test_nothing_is_lost_while_workers_come_and_go(autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office")
        hiring = await system.spawn(Hiring, producer, done)
        for at, seconds in enumerate([0.1, 1.0, 0.5, 2.0, 0.2, 0.4, 1.5, 3.0, 0.1, 1000.0]):
            system.scheduler.once(at / 4, hiring, seconds)
        for number in range(30):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert sorted(set(done)) == list(range(30))
        assert len(done) == 30, "what had been done was confirmed"


@pytest.mark.parametrize("seed", range(5))
async def test_a_bad_channel_to_a_worker_changes_nothing(seed: int, autojump_clock: MockClock) -> None:
    done: list[int] = []
    async with open_test_system() as system:
        producer = await spawn_work_producer(system, "office")
        reader = await system.spawn(Reader, done)
        channel = await system.spawn(BadChannel, producer, seed)
        await spawn_worker(system, to=reader, source=channel)
        for number in range(10):
            await producer.send(Letter(number))
        await producer.wait_confirmed()
        assert done == list(range(10))


async def test_a_producer_of_work_that_stops_makes_dead_letters_of_what_it_has(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        producer = await spawn_work_producer(system, "office")
        await hire(system, producer, notebook(), 10.0)
        await producer.send(Letter(1))
        producer.tell(Letter(2))
        await trio.sleep(1.0)
        with collected(system, DeadLetter) as dead:
            producer.stop()
            await producer.wait_stopped()
            assert [each.message for each in dead] == [Letter(1), Letter(2)]
