"""A pool in two processes: both processors work at once, and one that dies is replaced while the other goes on."""

import os

import trio

from trioakt import Actor, ActorSystem, ConnectionLostError, Context, Remote, Request, message


@message(name="primes.count")
class Count(Request[int]):
    """How many primes are there in this range?"""

    start: int
    stop: int


@message(name="primes.crash")
class Crash(Request[None]):
    """Do what a bug in a C library might do."""


def is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, number))


class Mathematician(Actor):
    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Count(start, stop):
                ctx.reply(sum(is_prime(number) for number in range(start, stop)))
            case Crash():
                os._exit(1)
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("primes", remote=Remote(cookie="s3cret")) as system:
        pool = await system.spawn_router(Mathematician, processes=2, name="mathematicians")

        found: list[int] = []

        async def count(start: int) -> None:
            found.append(await pool.ask(Count(start, start + 500)))

        async with trio.open_nursery() as nursery:
            for start in range(0, 5000, 500):
                nursery.start_soon(count, start)
        print("primes below 5000:", sum(found))

        try:
            await pool.ask(Crash())
        except ConnectionLostError as error:
            print("the process of that one is gone, its work may have been done:", error.outcome)
        print("primes below 100:", await pool.ask(Count(0, 100)))


if __name__ == "__main__":  # the processes import this module too, under another name
    trio.run(main)
