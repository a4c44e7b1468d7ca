"""Messages, actors and a bad channel that the tests of delivery share."""

from __future__ import annotations

from random import Random
from typing import Any

import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, message
from trioakt.delivery import StreamProducerRef, spawn_consumer, spawn_producer


@message(name="tests.letter")
class Letter:
    number: int
    text: str = ""


def notebook() -> list[Any]:
    """Return a new one, for a reader whose notes do not matter."""
    return []


class Reader(Actor):
    """Writes down the numbers of the letters it has read; each takes some seconds, and some fail now and then."""

    def __init__(self, read: list[Any], seconds: float = 0.0, failures: dict[int, int] | None = None) -> None:
        self.read = read
        self.seconds = seconds
        self.failures = {} if failures is None else failures

    async def receive(self, ctx: Context, msg: Any) -> None:
        if not isinstance(msg, Letter):
            ctx.unhandled()
            return
        await trio.sleep(self.seconds)
        if self.failures.get(msg.number, 0):
            self.failures[msg.number] -= 1
            raise OSError("a letter that cannot be read yet")
        self.read.append(msg.number)


class BadChannel(Actor):
    """Stands between a producer and its consumer: it loses, doubles and delays what goes either way."""

    def __init__(self, consumer: ActorRef, seed: int) -> None:
        self.consumer = consumer
        self.producer: ActorRef | None = None
        self.chance = Random(seed)

    def receive(self, ctx: Context, msg: Any) -> None:
        target = self.producer if ctx.sender == self.consumer else self.consumer
        if target is self.consumer:
            self.producer = ctx.sender
        for _ in range(self.chance.choice([0, 1, 1, 1, 2])):
            ctx.nursery.start_soon(self.carry, ctx, target, msg)

    async def carry(self, ctx: Context, target: ActorRef | None, msg: Any) -> None:
        await trio.sleep(self.chance.choice([0.0, 0.0, 0.1, 1.0]))
        assert target is not None
        target.tell(msg, sender=ctx.self)


async def spawn_pair(
    system: ActorSystem, to: ActorRef, *, window: int = 20, **options: Any
) -> tuple[StreamProducerRef, ActorRef]:
    """Start a consumer in front of an actor, and a producer that delivers to it."""
    consumer = await spawn_consumer(system, to=to, window=window)
    return await spawn_producer(system, "writer", to=consumer, **options), consumer
