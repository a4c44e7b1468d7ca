"""Bare Trio tasks that do nothing but wait: what starting and keeping an actor is compared with."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from benchmarks.workloads import workloads_in

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class BareArena:
    """Starts each task in one nursery; there is nothing to tell it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    async def sink(self) -> None:
        """Start a task that waits for ever."""
        self._nursery.start_soon(trio.sleep_forever)


@asynccontextmanager
async def open_arena() -> AsyncGenerator[BareArena]:
    """Open the nursery the tasks live in."""
    async with trio.open_nursery() as nursery:
        yield BareArena(nursery)
        nursery.cancel_scope.cancel()


WORKLOADS = workloads_in(open_arena)
