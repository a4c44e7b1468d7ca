"""Ping pong: two actors send a ball to and fro, so that every message finds its actor idle."""

from __future__ import annotations

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, message


@message
class Play(Request[int]):
    """Send so many balls, one after the other; the answer says how many came back."""

    balls: int


@message
class Ping:
    """A ball on its way to the ponger."""


@message
class Pong:
    """The ball on its way back."""


class Pinger(Actor):
    """Sends a ball, and the next one when it is back."""

    done: ReplyTo

    def __init__(self, ponger: ActorRef) -> None:
        self.ponger = ponger
        self.balls = self.returned = 0

    def receive(self, ctx: Context, msg: Play | Pong) -> None:
        match msg:
            case Play(balls):
                self.balls, self.done = balls, ctx.reply_to
            case Pong():
                self.returned += 1
        if self.returned < self.balls:
            self.ponger.tell(Ping(), sender=ctx.self)
        else:
            self.done.reply(self.returned)


class Ponger(Actor):
    """Sends every ball back."""

    def receive(self, ctx: Context, msg: Ping) -> None:
        ctx.reply(Pong())


async def ping_pong(system: ActorSystem, balls: int) -> int:
    """Let two actors play."""
    ponger = await system.spawn(Ponger)
    pinger = await system.spawn(Pinger, ponger)
    check("balls returned", await pinger.ask(Play(balls)), balls)
    return 2 * balls
