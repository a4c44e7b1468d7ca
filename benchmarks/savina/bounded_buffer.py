"""Bounded buffer: producers wait while it is full and consumers while it is empty, so it answers some of them later."""

from __future__ import annotations

from collections import deque

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message


@message
class Put(Request[None]):
    """Take this item; answered when there is room for it."""

    item: int


@message
class Take(Request[int]):
    """Give the oldest item; answered when there is one."""


@message
class Produce:
    """Put these items."""

    items: range


@message
class Consume(Request[int]):
    """Take so many items; the answer is their sum."""

    items: int


class Buffer(Actor):
    """Keeps so many items and no more, and those who wait."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: deque[int] = deque()
        self.producers: deque[tuple[int, ReplyTo]] = deque()
        self.consumers: deque[ReplyTo] = deque()

    def receive(self, ctx: Context, msg: Put | Take) -> None:
        match msg:
            case Put(item) if self.consumers:
                self.consumers.popleft().reply(item)
                ctx.reply(None)
            case Put(item) if len(self.items) < self.capacity:
                self.items.append(item)
                ctx.reply(None)
            case Put(item):
                self.producers.append((item, ctx.reply_to))
            case Take() if self.items:
                ctx.reply(self.items.popleft())
                self.admit()
            case Take():
                self.consumers.append(ctx.reply_to)

    def admit(self) -> None:
        if self.producers:
            item, producer = self.producers.popleft()
            self.items.append(item)
            producer.reply(None)


class Producer(Actor):
    """Puts one item after the other."""

    def __init__(self, buffer: ActorRef) -> None:
        self.buffer = buffer

    async def receive(self, ctx: Context, msg: Produce) -> None:
        for item in msg.items:
            await self.buffer.ask(Put(item))


class Consumer(Actor):
    """Takes one item after the other."""

    def __init__(self, buffer: ActorRef) -> None:
        self.buffer = buffer

    async def receive(self, ctx: Context, msg: Consume) -> None:
        ctx.reply(sum([await self.buffer.ask(Take()) for _ in range(msg.items)]))


async def bounded_buffer(system: ActorSystem, capacity: int, pairs: int, each: int) -> int:
    """Let as many producers as consumers handle so many items each."""
    buffer = await system.spawn(Buffer, capacity)
    producers = [await system.spawn(Producer, buffer) for _ in range(pairs)]
    consumers = [await system.spawn(Consumer, buffer) for _ in range(pairs)]
    for number, producer in enumerate(producers):
        producer.tell(Produce(range(number * each, (number + 1) * each)))
    check("sum of what was consumed", sum(await ask_all(consumers, Consume(each))), sum(range(pairs * each)))
    return 4 * pairs * each
