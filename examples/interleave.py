"""Asking while being asked: a circle is refused at once, and `Reentrancy` lets an actor go on while it waits."""

import trio
import trio.testing

from trioakt import Actor, ActorFailedError, ActorRef, ActorSystem, Context, Reentrancy, Request, message


@message
class Borrow(Request[str]):
    title: str


@message
class Fetch(Request[str]):
    title: str
    desk: ActorRef


@message
class IsUrgent(Request[bool]):
    title: str


class Desk(Actor):
    def __init__(self, archive: ActorRef) -> None:
        self.archive = archive

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Borrow(title):
                ctx.reply(await ctx.ask(self.archive, Fetch(title, ctx.self)))
            case IsUrgent(title):
                ctx.reply(title == "Emma")
            case _:
                ctx.unhandled()


class Archive(Actor):
    async def receive(self, ctx: Context, msg: Fetch) -> None:
        urgent = await ctx.ask(msg.desk, IsUrgent(msg.title))  # asks back while the desk waits for it
        async with ctx.interleave():  # other messages may be handled while this block waits
            await trio.sleep(1.0 if urgent else 2.0)
        ctx.reply(f"{msg.title} was in the archive")


async def borrow(desk: ActorRef, title: str) -> None:
    book = await desk.ask(Borrow(title))
    print(f"{trio.current_time():.2f} s: {book}")


def root_cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else root_cause(error.__cause__)


async def main() -> None:
    async with ActorSystem("library") as system:
        archive = await system.spawn(Archive, name="strict-archive")
        desk = await system.spawn(Desk, archive, name="strict-desk")
        try:
            await desk.ask(Borrow("Emma"))
        except ActorFailedError as error:
            cause = root_cause(error)
            print(f"{type(cause).__name__}: {cause}")

        archive = await system.spawn(Archive, reentrancy=Reentrancy(), name="archive")
        desk = await system.spawn(Desk, archive, reentrancy=Reentrancy(), name="desk")
        async with trio.open_nursery() as nursery:
            for title in ("Dune", "Emma", "Ulysses"):
                nursery.start_soon(borrow, desk, title)
                await trio.sleep(0.25)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
