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
class Largest:
    number: int
    factor: int


@message
class Left(Request[int]):
    """How many numbers are still to come?"""


class Mathematician(Actor):
    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def pre_start(self, ctx: Context) -> None:
        self.go_on(ctx)

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Largest(number, factor):
                print(f"the largest factor of {number:,} is {factor:,}")
                self.go_on(ctx)
            case PipeFailed(failure):
                print("failed:", failure.text)
                self.go_on(ctx)
            case Left():
                ctx.reply(len(self.numbers))
            case _:
                ctx.unhandled()

    def go_on(self, ctx: Context) -> None:
        if self.numbers:
            number = self.numbers.pop(0)
            ctx.pipe_process_to(ctx.self, largest_factor, number, wrap=lambda result: Largest(*result))
        else:
            ctx.stop()


async def main() -> None:
    async with ActorSystem("numbers") as system:
        mathematician = await system.spawn(Mathematician, 1_000_003 * 999_983, 1, 2 * 3 * 5 * 7)
        print("the actor is free meanwhile:", await mathematician.ask(Left()), "numbers left")
        await mathematician.wait_stopped()


if __name__ == "__main__":  # the processes import this module too, under another name
    trio.run(main)
