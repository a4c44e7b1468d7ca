"""Grains and actors that datacenters have and tell each other about."""

from __future__ import annotations

from typing import Any

import trio

from tests.cluster.nodes import Add, Counter, Who
from trioakt import Actor, ActorRef, Context, Grain, GrainRef, Request, message


class User(Counter, Grain):
    """Counts, and says on which node."""


@message
class Keep:
    """Tells a clerk about an actor."""

    ref: ActorRef[Any]


@message
class AddThere(Request[int]):
    """Answered by what the actor that the clerk keeps has answered."""

    amount: int


@message
class Kept(Request[ActorRef[Any]]):
    """Answered by the ref that the clerk keeps."""


@message
class IsLocal(Request[bool]):
    """Answered by whether the ref that the clerk keeps is that of a name or a grain of its own cluster."""


@message
class Nap(Request[str]):
    """Answered after so many seconds."""

    seconds: float


class Clerk(Actor):
    """Keeps a ref that it has been given."""

    def __init__(self) -> None:
        self.kept: ActorRef[Any] | None = None

    async def receive(self, ctx: Context, msg: object) -> None:
        """Do as told."""
        match msg:
            case Keep(ref):
                self.kept = ref
            case AddThere(amount):
                assert self.kept is not None
                ctx.reply(await self.kept.ask(Add(amount)))
            case Kept():
                assert self.kept is not None
                ctx.reply(self.kept)
            case IsLocal():
                kept = self.kept
                own = ctx.system.grain(User, kept.identity) if isinstance(kept, GrainRef) else None
                ctx.reply(kept is not None and kept in (own, await ctx.system.locate("ada")))
            case Nap(seconds):
                await trio.sleep(seconds)
                ctx.reply("rested")
            case Who():
                ctx.reply(ctx.system.address)
            case _:
                ctx.unhandled()
