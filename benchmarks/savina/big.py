"""Big: many actors, each of which pings others at random, one after the other; everybody talks to everybody."""

from __future__ import annotations

from random import Random

from benchmarks.savina import WrongResultError, check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message


@message
class Begin(Request[int]):
    """Ping these at random, so many times; the answer is how many pongs came."""

    others: tuple[ActorRef, ...]
    pings: int


@message
class Ping:
    """Are you there?"""


@message
class Pong:
    """I am."""


@message
class Pinged(Request[int]):
    """How many pings were answered."""


class Talker(Actor):
    """Pings, and answers pings."""

    done: ReplyTo

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.others: tuple[ActorRef, ...] = ()
        self.partner: ActorRef | None = None
        self.pings = self.pongs = self.answered = 0

    def receive(self, ctx: Context, msg: Begin | Ping | Pong | Pinged) -> None:
        match msg:
            case Begin(others, pings):
                self.others, self.pings, self.done = others, pings, ctx.reply_to
                self.ping(ctx)
            case Ping():
                self.answered += 1
                ctx.reply(Pong())
            case Pong():
                if ctx.sender != self.partner:
                    raise WrongResultError(f"a pong from {ctx.sender}, which was not pinged")
                self.pongs += 1
                self.ping(ctx)
            case Pinged():
                ctx.reply(self.answered)

    def ping(self, ctx: Context) -> None:
        if self.pongs == self.pings:
            self.done.reply(self.pongs)
            return
        self.partner = self.rng.choice(self.others)
        self.partner.tell(Ping(), sender=ctx.self)


async def big(system: ActorSystem, talkers: int, pings: int) -> int:
    """Let each ping so many others."""
    refs = tuple([await system.spawn(Talker, seed) for seed in range(talkers)])
    check("pongs", await ask_all(refs, Begin(refs, pings)), [pings] * talkers)
    check("pings answered", sum(await ask_all(refs, Pinged())), talkers * pings)
    return 2 * talkers * pings
