"""What the tests of watching share: a watcher that keeps what it hears, somebody to watch, and the end of that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from trio.testing import wait_all_tasks_blocked

from tests.core.actors import Do, Recorder
from trioakt import Actor, ActorRef, ActorSystem
from trioakt.lowlevel import Mailbox, UnboundedQueue


@asynccontextmanager
async def watcher_and_other(
    factory: Callable[[], Actor] = Recorder, *, mailbox: Callable[[], Mailbox] = UnboundedQueue, **options: Any
) -> AsyncGenerator[tuple[ActorRef, ActorRef, list[Any]]]:
    """Open a system with a watcher and another actor; yield both, and the list of what the watcher is told.

    The mailbox is the watcher's, the factory and the options are the other's. Nobody watches yet.
    """
    heard: list[Any] = []
    async with ActorSystem("test") as system:
        yield (
            await system.spawn(partial(Recorder, heard), mailbox=mailbox),
            await system.spawn(factory, **options),
            heard,
        )


async def watch(watcher: ActorRef, watched: ActorRef) -> None:
    """Let one actor watch another one."""
    await watcher.ask(Do(lambda ctx: ctx.watch(watched)))


async def unwatch(watcher: ActorRef, watched: ActorRef) -> None:
    """Let one actor watch another one no more."""
    await watcher.ask(Do(lambda ctx: ctx.unwatch(watched)))


async def ended(ref: ActorRef) -> None:
    """Wait until an actor has ended, and who watches it has heard of it."""
    await ref.wait_stopped()
    await wait_all_tasks_blocked()


async def stop(ref: ActorRef) -> None:
    """Stop an actor, and wait as ``ended``."""
    ref.stop()
    await ended(ref)
