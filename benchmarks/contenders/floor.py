"""The hand-made minimal actor as a contender."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.floor import Envelope, FloorActor
from benchmarks.messages import TICK
from benchmarks.workloads import workloads_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


async def work(_envelope: Envelope, message: Any) -> None:
    """Handle a message of a sink."""
    if message is not TICK:
        message.act()


async def answer(envelope: Envelope, _message: object) -> None:
    """Handle a request of an echo."""
    envelope.reply(1)


class FloorArena:
    """Starts each actor as one task of one nursery; every handler is async, the minimal actor knows no other."""

    request = TICK

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    async def sink(self) -> FloorActor:
        """Start an actor that does the work of each message."""
        return self._start(work)

    async def plain_sink(self) -> FloorActor:
        """Start the same."""
        return self._start(work)

    async def echo(self) -> FloorActor:
        """Start an actor that answers."""
        return self._start(answer)

    def _start(self, handler: Callable[[Envelope, Any], Awaitable[None]]) -> FloorActor:
        actor = FloorActor(handler)
        self._nursery.start_soon(actor.run)
        return actor


@asynccontextmanager
async def open_arena() -> AsyncGenerator[FloorArena]:
    """Open the nursery the actors live in."""
    async with trio.open_nursery() as nursery:
        yield FloorArena(nursery)
        nursery.cancel_scope.cancel()


WORKLOADS = workloads_in(open_arena)
