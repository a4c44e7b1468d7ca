"""trioakt itself as a contender, written as a user would: through `import trioakt` alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.messages import TICK
from benchmarks.workloads import workloads_in
from trioakt import Actor, ActorRef, ActorSystem, Context, Request, message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@message
class Get(Request[int]):
    """What an echo answers."""


class Sink(Actor):
    """Does the work of each message."""

    async def receive(self, ctx: Context, msg: Any) -> None:
        """Handle one message."""
        if msg is not TICK:
            msg.act()


class PlainSink(Actor):
    """The same without `async`."""

    def receive(self, ctx: Context, msg: Any) -> None:
        """Handle one message."""
        if msg is not TICK:
            msg.act()


class Echo(Actor):
    """Answers each request."""

    async def receive(self, ctx: Context, msg: object) -> None:
        """Handle one request."""
        ctx.reply(1)


class SubjectArena:
    """Starts top-level actors of one system."""

    request = Get()

    def __init__(self, system: ActorSystem) -> None:
        self._system = system

    async def sink(self) -> ActorRef[Any]:
        """Start an actor that does the work of each message."""
        return await self._system.spawn(Sink)

    async def plain_sink(self) -> ActorRef[Any]:
        """Start the same with a plain handler."""
        return await self._system.spawn(PlainSink)

    async def echo(self) -> ActorRef[Any]:
        """Start an actor that answers."""
        return await self._system.spawn(Echo)


@asynccontextmanager
async def open_arena() -> AsyncGenerator[SubjectArena]:
    """Open the system the actors live in."""
    async with ActorSystem("benchmarks") as system:
        yield SubjectArena(system)


WORKLOADS = workloads_in(open_arena)
