"""Grains that the tests share, and a system that keeps a diary of their lives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import trio

from tests.cluster.nodes import Add, Token, Who
from tests.core.actors import Recorder
from trioakt import ActorSystem, Context, Grain, GrainRef, Idle, Request, message
from trioakt.lowlevel import RestPolicy

IDLE = 10.0
"""Seconds after which the grains of these tests are passivated."""


class Diary(list[str]):
    """What the grains of a system have written."""


class Scribe(Recorder, Grain):
    """Obeys the messages that a ``Recorder`` does, and writes each beginning and end of its life into the diary."""

    passivation: ClassVar[RestPolicy] = Idle(IDLE)

    async def pre_start(self, ctx: Context) -> None:
        write(ctx, "starts")

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case str():
                write(ctx, msg)
            case _:
                await super().receive(ctx, msg)

    async def post_stop(self, ctx: Context) -> None:
        write(ctx, "ends")


class Plain(Grain):
    """Answers with who it is; it has no hook."""

    passivation: ClassVar[RestPolicy] = Idle(IDLE)

    def receive(self, ctx: Context, msg: Any) -> None:
        ctx.reply((ctx.identity, msg))


@message
class Hand:
    """Tells a grain about another one."""

    grain: GrainRef


@message
class Nap(Request[str]):
    """Answered after so many seconds."""

    seconds: float


class User(Grain):
    """Counts, and says where."""

    passivation = Idle(30.0)

    def __init__(self) -> None:
        self.sum = 0

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Who():
                ctx.reply(ctx.system.address)
            case Token():
                ctx.reply(ctx.fencing_token)
            case Add(amount):
                self.sum += amount
                ctx.reply(self.sum)
            case Hand(grain):
                grain.tell(Add(1))
            case Nap(seconds):
                await trio.sleep(seconds)
                ctx.reply(ctx.identity)
            case _:
                ctx.unhandled()


def write(ctx: Context, text: str) -> None:
    """Write a line into the diary of the system."""
    ctx.extension(Diary).append(f"{ctx.identity} {text}")


@asynccontextmanager
async def open_grains(name: str = "test", **options: Any) -> AsyncGenerator[tuple[ActorSystem, Diary]]:
    """Open a system with a diary."""
    diary = Diary()
    async with ActorSystem(name, extensions=[diary], **options) as system:
        yield system, diary


@asynccontextmanager
async def open_scribe(
    identity: str = "ada", **options: Any
) -> AsyncGenerator[tuple[ActorSystem, Diary, GrainRef[Any]]]:
    """Open a system with a diary, and give the ref to one scribe, which is not active yet."""
    async with open_grains(**options) as (system, diary):
        yield system, diary, system.grain(Scribe, "ada")
