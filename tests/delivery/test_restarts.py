"""Producers and consumers that are made again by their supervisor, together with others or alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from tests.core.actors import Boom, Recorder, collected
from tests.delivery.letters import Letter, Reader, notebook, spawn_pair
from trioakt import (
    Actor,
    ActorRef,
    ActorRestarted,
    ActorStopped,
    ActorSystem,
    Context,
    DeadLetter,
    Directive,
    Eviction,
    Never,
    OneForAll,
    OneForOne,
    Request,
    message,
)
from trioakt.delivery import DurableQueue, open_queue, spawn_consumer, spawn_producer


@message
class Children(Request[Any]):
    """What have you spawned?"""


class Family(Actor):
    """Its children share the fate of any of them that fails."""

    supervision = OneForAll(max_restarts=100)

    def __init__(self, read: list[int], failures: dict[int, int]) -> None:
        self.read = read
        self.failures = failures

    async def pre_start(self, ctx: Context) -> None:
        reader = await ctx.spawn(Reader, self.read, 0.1, self.failures)
        self.consumer = await spawn_consumer(ctx, to=reader, window=4)

    def receive(self, ctx: Context, msg: Any) -> None:
        ctx.reply(self.consumer)


async def test_a_consumer_that_is_restarted_gets_again_what_it_had_not_confirmed(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        family = await system.spawn(Family, read, {3: 2, 7: 1})
        producer = await spawn_producer(system, "writer", to=await family.ask(Children()))
        with collected(system, ActorRestarted) as restarts:
            for number in range(10):
                await producer.send(Letter(number))
            await producer.wait_confirmed()
        assert len(restarts) == 2 * 3
        assert read == list(range(10))


class Office(Actor):
    """Has a producer and a sibling that fails when it is told to; both are made again."""

    supervision = OneForAll(max_restarts=100)

    def __init__(self, consumer: ActorRef, queue: DurableQueue | None) -> None:
        self.consumer = consumer
        self.queue = queue

    async def pre_start(self, ctx: Context) -> None:
        self.producer = await spawn_producer(ctx, "writer", to=self.consumer, queue=self.queue)
        self.sibling = await ctx.spawn(Recorder)

    def receive(self, ctx: Context, msg: Any) -> None:
        ctx.reply((self.producer, self.sibling))


async def test_a_producer_that_is_restarted_makes_dead_letters_of_what_no_queue_keeps(
    autojump_clock: MockClock,
) -> None:
    read: list[int] = []
    async with ActorSystem("test") as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read, 1.0), window=2)
        office = await system.spawn(Office, consumer, None)
        producer, sibling = await office.ask(Children())
        for number in range(5):
            producer.tell(Letter(number))
        await trio.sleep(1.5)
        with collected(system, DeadLetter) as dead:
            sibling.tell(Boom(OSError()))
            await trio.sleep(0.1)
            await producer.deliver(Letter(10))
        assert [each.message.number for each in dead] == [1, 2, 3, 4]
        assert read == [0, 1, 2, 10], "what the consumer had was handled all the same"


async def test_a_producer_that_is_restarted_goes_on_with_its_queue(tmp_path: Path) -> None:
    read: list[int] = []
    async with open_queue(tmp_path / "queue.db") as queue, ActorSystem("test") as system:
        consumer = await spawn_consumer(system, to=await system.spawn(Reader, read, 0.01), window=20)
        office = await system.spawn(Office, consumer, queue)
        producer, sibling = await office.ask(Children())
        for number in range(20):
            await producer.send(Letter(number))
            if number % 5 == 3:
                sibling.tell(Boom(OSError()))
                await trio.sleep(0.02)
        await producer.wait_confirmed()
    assert read == list(range(20))


async def test_a_message_that_never_succeeds_is_as_loud_as_its_supervision_says(autojump_clock: MockClock) -> None:
    async with ActorSystem("test", supervision=OneForOne(default=Directive.STOP)) as system:
        reader = await system.spawn(Reader, notebook(), 0.0, {1: 1000})
        producer, consumer = await spawn_pair(system, reader)
        with collected(system, ActorStopped) as stopped:
            producer.tell(Letter(1))
            await consumer.wait_stopped()
        assert stopped[0].ref == reader


async def test_a_consumer_at_rest_is_not_evicted(autojump_clock: MockClock) -> None:
    read: list[int] = []
    async with ActorSystem("test", eviction=Eviction(limit=1, interval=1.0)) as system:
        reader = await system.spawn(Reader, read, passivation=Never())
        producer, _ = await spawn_pair(system, reader)
        await producer.deliver(Letter(1))
        await trio.sleep(100.0)
        await producer.deliver(Letter(2))
        assert read == [1, 2]
