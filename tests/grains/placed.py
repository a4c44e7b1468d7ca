"""Grains that are placed elsewhere than at the owner of their shard, and nodes that have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
import trio

from tests.cluster.nodes import Town, Who, open_town
from tests.grains.kinds import User
from trioakt import (
    ActorSystem,
    Context,
    Grain,
    GrainRef,
    Idle,
    Placement,
    Request,
    message,
)

IDS = [f"u{number}" for number in range(40)]
IDLE = 20.0


@message
class Quit(Request[None]):
    """Answered, and then the grain stops itself, which takes a while."""


@message
class Visit(Request[str]):
    """Lets a grain ask another one."""

    grain: GrainRef


@message
class Remind(Request[None]):
    """Lets a reminder come after so many seconds."""

    delay: float


@message
class Forget(Request[bool]):
    """Lets it not come."""


@message
class Ring:
    """A reminder."""


class Strange:
    """No message that could travel."""


class Local(User):
    """Counts where it was first needed."""

    passivation = Idle(IDLE)
    placement = Placement.local()
    alive: ClassVar[Counter[str]] = Counter()
    rung: ClassVar[list[tuple[str, str]]] = []

    async def pre_start(self, ctx: Context) -> None:
        self.alive[ctx.identity] += 1
        assert self.alive[ctx.identity] == 1, "it is active twice"

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(0.2)
        self.alive[ctx.identity] -= 1

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Quit():
                ctx.reply(None)
                ctx.stop()
            case Visit(grain):
                assert isinstance(ctx.self, GrainRef)
                ctx.reply(await grain.ask(Visit(ctx.self)))
            case Remind(delay):
                await ctx.remind("tea", delay, Ring())
                ctx.reply(None)
            case Forget():
                ctx.reply(await ctx.forget_reminder("tea"))
            case Ring():
                assert ctx.reminder is not None
                self.rung.append((ctx.identity, ctx.reminder.name))
            case _:
                await super().receive(ctx, msg)


class AnyNode(Local):
    placement = Placement.random()


class ByTurns(Local):
    placement = Placement.round_robin()


class LeastLoaded(Local):
    placement = Placement.least_load()


class Workers(Local):
    placement = Placement.random(role="work")


class Eager(Local):
    placement = Placement.local()
    relocation = "eager"


KINDS: tuple[type[Grain], ...] = (Local, AnyNode, ByTurns, LeastLoaded, Eager)


@pytest.fixture(autouse=True)
def clean() -> None:
    """Forget what the grains of earlier tests have noted."""
    Local.alive.clear()
    Local.rung.clear()


@asynccontextmanager
async def open_nodes(count: int = 3) -> AsyncGenerator[tuple[Town, list[ActorSystem]]]:
    async with open_town() as town:
        nodes = [await town.start(name, grains=KINDS, wall_clock=trio.current_time) for name in "abcd"[:count]]
        for node in nodes:
            await node.cluster.wait_members(count)
        yield town, nodes


async def homes(node: ActorSystem, kind: type[Grain]) -> dict[str, str]:
    """Return on which node each grain is."""
    return {each: await node.grain(kind, each).ask(Who()) for each in IDS}


async def settle_on(node: ActorSystem) -> None:
    """Let the local grains be active on a node."""
    for each in IDS:
        assert await node.grain(Local, each).ask(Who()) == node.address


def owner_of(nodes: list[ActorSystem], kind: type[Grain], identity: str) -> ActorSystem:
    """Return the node that owns the shard of a grain."""
    shard = nodes[0].grain(kind, identity).grain.shard
    return next(node for node in nodes if node.actor(shard) is not None)


def stewards(node: ActorSystem) -> int:
    """Return how many stewards a node has."""
    return sum(ref.path.startswith("/user/$shard.") and ref.path.count("/") == 3 for ref in node.actors())
