"""Cigarette smokers: an arbiter lets one of many smokers smoke, at random, and waits until that one has begun."""

from __future__ import annotations

from collections import Counter
from random import Random

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message


@message
class Begin(Request[None]):
    """Let the smokers smoke so many times; answered after the last."""

    rounds: int


@message
class Smoke:
    """Here is what you need."""


@message
class Smoking:
    """I have it."""


@message
class Smoked(Request[int]):
    """How often that was."""


def expected(smokers: int, rounds: int) -> list[int]:
    """Return how often each will have smoked."""
    rng = Random(0)
    times = Counter(rng.randrange(smokers) for _ in range(rounds))
    return [times[smoker] for smoker in range(smokers)]


class Arbiter(Actor):
    """Chooses who smokes."""

    done: ReplyTo

    def __init__(self, smokers: list[ActorRef]) -> None:
        self.smokers = smokers
        self.rng = Random(0)
        self.left = 0

    def receive(self, ctx: Context, msg: Begin | Smoking) -> None:
        if isinstance(msg, Begin):
            self.left, self.done = msg.rounds, ctx.reply_to
        if self.left:
            self.left -= 1
            self.smokers[self.rng.randrange(len(self.smokers))].tell(Smoke(), sender=ctx.self)
        else:
            self.done.reply(None)


class Smoker(Actor):
    """Smokes when it is its turn."""

    def __init__(self) -> None:
        self.smoked = 0

    def receive(self, ctx: Context, msg: Smoke | Smoked) -> None:
        match msg:
            case Smoke():
                self.smoked += 1
                ctx.reply(Smoking())
            case Smoked():
                ctx.reply(self.smoked)


async def cigarette_smokers(system: ActorSystem, smokers: int, rounds: int) -> int:
    """Let one of the smokers smoke, so many times."""
    refs = [await system.spawn(Smoker) for _ in range(smokers)]
    arbiter = await system.spawn(Arbiter, refs)
    await arbiter.ask(Begin(rounds))
    check("who smoked how often", await ask_all(refs, Smoked()), expected(smokers, rounds))
    return 2 * rounds
