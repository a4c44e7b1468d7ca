"""What the datacenters under test have: an actor that is slow, and a grain."""

from __future__ import annotations

import trio

from tests.multiprocess.cluster_kinds import Add, Where
from trioakt import Actor, Context, Grain, Request, message


@message(name="tests.datacenters.nap")
class Nap(Request[str]):
    """Answered after so many seconds."""

    seconds: float


class Sleeper(Actor):
    """Answers late."""

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Nap(seconds):
                await trio.sleep(seconds)
                ctx.reply("rested")
            case _:
                ctx.unhandled()


class Meter(Grain):
    """Counts in memory."""

    def __init__(self) -> None:
        self.sum = 0

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Where():
                ctx.reply(str(ctx.system.endpoint.remote.node))
            case Add():
                self.sum += 1
                ctx.reply([self.sum, ctx.fencing_token])
            case _:
                ctx.unhandled()
