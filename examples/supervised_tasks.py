"""A supervision tree without a single message: plain async functions, restarted by the rules, and together."""

from collections.abc import Iterator
from itertools import count

import trio
import trio.testing

from trioakt import Actor, ActorFailed, ActorSystem, Context, OneForAll


class Line:
    """What the two tasks of the studio share."""

    def __init__(self) -> None:
        self.opened = 0
        self.is_open = trio.Event()


async def keep_open(line: Line) -> None:
    line.opened += 1
    print(f"line: open, for the {['first', 'second'][line.opened - 1]} time")
    line.is_open.set()
    try:
        if line.opened == 2:
            await trio.sleep_forever()
        await trio.sleep(0.5)
        raise OSError("no carrier")
    finally:
        line.is_open = trio.Event()


async def play(line: Line) -> None:
    await line.is_open.wait()
    print("player: the song begins")
    await trio.sleep_forever()


async def load_playlist(tries: Iterator[int]) -> None:
    if (number := next(tries)) < 3:
        raise TimeoutError(f"no answer to try {number}")
    print("playlist: loaded")


async def greet() -> None:
    raise LookupError("nobody to greet")


class Studio(Actor):
    supervision = OneForAll()  # the song on a new line begins anew, so the two are restarted together

    async def pre_start(self, ctx: Context) -> None:
        line = Line()
        await ctx.spawn_task(keep_open, line, name="line")  # permanent: it is not supposed to end at all
        await ctx.spawn_task(play, line, name="player")


def tell_about(event: ActorFailed) -> None:
    print(f"{event.ref.name}: failed, {event.failure.text}")


async def main() -> None:
    async with ActorSystem("radio") as system:
        with system.events.listen(tell_about, ActorFailed):
            await system.spawn(Studio, name="studio")
            await trio.sleep(1.0)
            playlist = await system.spawn_task(load_playlist, count(1), restart="transient", name="playlist")
            await playlist.wait_stopped()  # it has succeeded, and transient tasks are then done
            greeting = await system.spawn_task(greet, restart="temporary", name="greeting")
            await greeting.wait_stopped()  # it has failed, and temporary tasks are not tried again
        print(system.tree())
        print("restarts:", system.statistics().restarts)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
