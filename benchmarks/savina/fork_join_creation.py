"""Fork-join, creation: an actor starts many others, each for one message and no more."""

from __future__ import annotations

from benchmarks.savina import check
from trioakt import Actor, ActorSystem, Context, ReplyTo, Request, message


@message
class Fork(Request[int]):
    """Start so many workers; the answer is the sum of their results."""

    workers: int


@message
class Square:
    number: int


@message
class Result:
    number: int


class Worker(Actor):
    """Works once."""

    def receive(self, ctx: Context, msg: Square) -> None:
        ctx.reply(Result(msg.number * msg.number))
        ctx.stop()


class Master(Actor):
    """Starts the workers and joins their results."""

    joined: ReplyTo

    def __init__(self) -> None:
        self.left = self.sum = 0

    async def receive(self, ctx: Context, msg: Fork | Result) -> None:
        match msg:
            case Fork(workers):
                self.left, self.joined = workers, ctx.reply_to
                for number in range(workers):
                    worker = await ctx.spawn(Worker)
                    worker.tell(Square(number), sender=ctx.self)
            case Result(number):
                self.sum += number
                self.left -= 1
                if not self.left:
                    self.joined.reply(self.sum)


async def fork_join_creation(system: ActorSystem, workers: int) -> int:
    """Let each of so many workers compute one square."""
    master = await system.spawn(Master)
    squares = sum(number * number for number in range(workers))
    check("sum of squares", await master.ask(Fork(workers)), squares)
    return 2 * workers
