"""Work for the processor runs in processes of its own; a process that dies is a failure like any other."""

import os

import trio

from trioakt import Actor, ActorSystem, Context, PipeFailed, Request, message


def largest_factor(number: int) -> tuple[int, int]:
    """Find the largest prime factor, the long way."""
    if number < 2:
        os._exit(1)  # a bug in a C library, say
    rest, factor = number, 2
    while factor * factor <= rest:
        if rest % factor:
            factor += 1
        else:
            rest //= factor
    return number, rest


@message
class Factor:
    number: int


@message
class Factored:
    number: int
    largest: int


@message
class Pending(Request[int]):
    """How many are on their way?"""


class Mathematician(Actor):
    def __init__(self) -> None:
        self.pending = 0

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Factor(number):
                self.pending += 1
                ctx.pipe_process_to(ctx.self, largest_factor, number, wrap=lambda result: Factored(*result))
            case Factored(number, largest):
                print(f"the largest factor of {number:,} is {largest:,}")
                self.done(ctx)
            case PipeFailed(failure):
                print(failure.text)
                self.done(ctx)
            case Pending():
                ctx.reply(self.pending)
            case _:
                ctx.unhandled()

    def done(self, ctx: Context) -> None:
        self.pending -= 1
        if not self.pending:
            ctx.stop()


async def main() -> None:
    async with ActorSystem("numbers") as system:
        mathematician = await system.spawn(Mathematician)
        mathematician.tell(Factor(1_000_003 * 999_983))
        print("the actor is free meanwhile:", await mathematician.ask(Pending()), "pending")
        mathematician.tell(Factor(1))
        await mathematician.wait_stopped()


if __name__ == "__main__":  # the processes import this module too, under another name
    trio.run(main)
