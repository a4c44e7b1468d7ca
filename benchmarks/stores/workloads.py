"""What is measured of a store, whichever its engine is."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import trio

from benchmarks.workloads import on_trio
from trioakt.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from benchmarks.workloads import Measured
    from trioakt.cluster.lease import Lease
    from trioakt.cluster.store import Store

VALUE = b"x" * 100


async def create(store: Store, number: int) -> Measured:
    """Create one key after the other; median seconds of one."""
    taken: list[float] = []
    for each in range(number):
        started = time.perf_counter()
        await store.create(f"create/{each}", VALUE)
        taken.append(time.perf_counter() - started)
    return {"value": median(taken)}


async def watch(store: Store, number: int) -> Measured:
    """Create one key after the other; median seconds until a watch hears of it."""
    taken: list[float] = []
    revision = (await store.list("watch/")).revision
    async with store.watch("watch/", revision) as changes:
        for each in range(number):
            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.create, f"watch/{each}", VALUE)
                await anext(changes)
            taken.append(time.perf_counter() - started)
    return {"value": median(taken)}


async def creates(store: Store, tasks: int, each: int) -> Measured:
    """Create keys from many tasks at once; keys per second."""
    started = time.perf_counter()
    await _create_all(store, tasks, each, None)
    return {"value": tasks * each / (time.perf_counter() - started)}


async def leased(store: Store, tasks: int, each: int) -> Measured:
    """Let a node with many keys go; seconds until a watch has heard of all."""
    async with store.grant(60) as lease:
        await _create_all(store, tasks, each, lease)
        revision = (await store.list("none/")).revision
        started = time.perf_counter()
    left = tasks * each
    async with store.watch("many/", revision) as changes:
        while left:
            left -= len(getattr(await anext(changes), "changes", ()))
    return {"value": time.perf_counter() - started}


async def _create_all(store: Store, tasks: int, each: int, lease: Lease | None) -> None:
    async def work(task: int) -> None:
        for number in range(each):
            await store.create(f"many/{task}/{number}", VALUE, lease)

    async with trio.open_nursery() as nursery:
        for task in range(tasks):
            nursery.start_soon(work, task)


@asynccontextmanager
async def opened_soon(
    open_store: Callable[[str], AbstractAsyncContextManager[Store]], url: str
) -> AsyncGenerator[Store]:
    """Open a store in a server that is still starting."""
    async with AsyncExitStack() as stack:
        with trio.fail_after(30):
            while True:
                try:
                    store = await stack.enter_async_context(open_store(url))
                except ClusterError:
                    await trio.sleep(0.1)
                else:
                    break
        yield store


def workloads(opened: Callable[[], AbstractAsyncContextManager[Store]]) -> dict[str, Callable[..., Measured]]:
    """Return them for one engine, each of which opens a store in an empty one."""

    async def measure(workload: Callable[..., Awaitable[Measured]], *args: int) -> Measured:
        async with opened() as store:
            return await workload(store, *args)

    return on_trio({each.__name__: partial(measure, each) for each in (create, watch, creates, leased)})
