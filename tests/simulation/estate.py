"""Actors with names of the cluster, used at random, and what must hold for them whatever happens."""

from __future__ import annotations

from itertools import count

import attrs
import trio

from trioakt import Actor, Context, Request, message


@message(name="simulation.work")
class Work(Request[int]):
    """Take so many seconds, and answer the fencing token."""

    seconds: float


@message(name="simulation.tick")
class Tick:
    """Comes once a minute in the cluster."""


@attrs.define(eq=False)
class Register:
    """What all nodes of a scenario know together; an extension of each.

    Attributes:
        acknowledged: The names whose actors were said to have started, and were not stopped, with the attempts.
        attempts: The attempts to start an actor for each name.
        ended: Attempts whose actors were said to have ended.
        ticks: When the minutes have struck.
        broken: What went wrong.
    """

    acknowledged: dict[str, int] = attrs.field(factory=dict[str, int])
    attempts: dict[str, set[int]] = attrs.field(factory=dict[str, set[int]])
    ended: set[int] = attrs.field(factory=set[int])
    ticks: list[float] = attrs.field(factory=list[float])
    broken: list[str] = attrs.field(factory=list[str])
    numbers: count[int] = attrs.field(factory=lambda: count(1))

    def attempt(self, name: str) -> int:
        """Count another attempt to start an actor, and return its number."""
        number = next(self.numbers)
        self.attempts.setdefault(name, set()).add(number)
        return number

    def end(self, name: str) -> None:
        """Take note that the actor of a name has ended, and all attempts so far with it."""
        self.ended |= self.attempts.pop(name, set())


class Worker(Actor):
    """Works under its token; the number of its attempt comes with the name."""

    def __init__(self, attempt: int, dawdles: float) -> None:
        self.attempt = attempt
        self.dawdles = dawdles

    async def pre_start(self, ctx: Context) -> None:
        self.check(ctx, "starts")
        await trio.sleep(self.dawdles)

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(self.dawdles)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Work(seconds):
                self.check(ctx, "works")
                token = ctx.fencing_token
                await trio.sleep(seconds)
                ctx.reply(token)
            case _:
                ctx.unhandled()

    def check(self, ctx: Context, does: str) -> None:
        """See that nobody was told of the end of this actor, unless it is one of the past, and would notice."""
        _ = ctx.fencing_token
        register = ctx.extension(Register)
        if self.attempt in register.ended:
            register.broken.append(f"{ctx.self.name} was stopped, and {does} at {ctx.system.address}")


class Bell(Actor):
    """Hears the minutes."""

    def receive(self, ctx: Context, msg: object) -> None:
        ctx.extension(Register).ticks.append(trio.current_time())
