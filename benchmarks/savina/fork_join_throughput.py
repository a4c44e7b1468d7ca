"""Fork-join, throughput: many messages to each of some actors, which work through their mailboxes side by side."""

from __future__ import annotations

from benchmarks.savina import check
from trioakt import Actor, ActorSystem, Context, Request, ask_all, message


@message
class Add:
    number: int


@message
class Sum(Request[int]):
    """What was added up."""


class Worker(Actor):
    """Adds up."""

    def __init__(self) -> None:
        self.sum = 0

    def receive(self, ctx: Context, msg: Add | Sum) -> None:
        match msg:
            case Add(number):
                self.sum += number
            case Sum():
                ctx.reply(self.sum)


async def fork_join_throughput(system: ActorSystem, workers: int, messages: int) -> int:
    """Send each worker so many messages."""
    refs = [await system.spawn(Worker) for _ in range(workers)]
    for number in range(messages):
        for ref in refs:
            ref.tell(Add(number))
    check("sums", await ask_all(refs, Sum()), [sum(range(messages))] * workers)
    return workers * messages
