"""Counting: one actor sends another as fast as it can, and then asks what has come."""

from __future__ import annotations

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, Request, message


@message
class Increment:
    """One more."""


@message
class Count(Request[int]):
    """How many there were."""


@message
class Produce(Request[int]):
    """Send so many increments; the answer is what the counter says afterwards."""

    increments: int


class Counter(Actor):
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def receive(self, ctx: Context, msg: Increment | Count) -> None:
        match msg:
            case Increment():
                self.count += 1
            case Count():
                ctx.reply(self.count)


class Producer(Actor):
    """Sends the increments."""

    def __init__(self, counter: ActorRef) -> None:
        self.counter = counter

    async def receive(self, ctx: Context, msg: Produce) -> None:
        for _ in range(msg.increments):
            self.counter.tell(Increment())
        ctx.reply(await self.counter.ask(Count()))


async def counting(system: ActorSystem, increments: int) -> int:
    """Let one actor count what another sends."""
    counter = await system.spawn(Counter)
    producer = await system.spawn(Producer, counter)
    check("increments counted", await producer.ask(Produce(increments)), increments)
    return increments
