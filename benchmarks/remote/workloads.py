"""What is measured between processes: each workload knows only the refs of servers, and returns figures by name."""

from __future__ import annotations

import time
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Protocol

import trio

from benchmarks.remote.messages import Arrived, Parcel, Weigh
from benchmarks.savina import check
from benchmarks.workloads import Measured, on_trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

SLICE = 64
"""Messages told before the sender lets others have their turn, as one does who reads them from somewhere."""
WARM = 200
"""Requests before the first that counts."""


class Ref(Protocol):
    """A server as its clients see it."""

    def tell(self, message: Any, /) -> object:
        """Put a message on its way."""
        ...

    def ask(self, request: Any, /) -> Awaitable[Any]:
        """Send a request and wait for its reply."""
        ...


async def tell(refs: Sequence[Ref], size: int, bursts: int, burst: int) -> Measured:
    """Tell servers in turn, so many bytes in each message, so many messages in each burst; messages per second."""
    body = bytes(size)

    async def send(number: int) -> None:
        parcels = range(number * burst, (number + 1) * burst)
        for count, (parcel, ref) in enumerate(zip(parcels, cycle(refs)), 1):
            ref.tell(Parcel(parcel // len(refs), body))
            if not count % SLICE:
                await trio.lowlevel.checkpoint()
        for ref in refs:
            check("parcels that arrived", parcels.stop // len(refs), await ref.ask(Arrived()))

    await send(0)
    started = time.perf_counter()
    for number in range(1, bursts + 1):
        await send(number)
    return {"value": bursts * burst / (time.perf_counter() - started)}


async def ask(refs: Sequence[Ref], size: int, askers: int, each: int) -> Measured:
    """Ask servers from so many tasks, so many bytes in each request; replies per second."""
    body = bytes(size)

    async def asker(ref: Ref, count: int) -> None:
        for _ in range(count):
            check("bytes in a request", size, await ref.ask(Weigh(body)))

    for ref in refs:
        await asker(ref, WARM if each > WARM else 1)
    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for ref in islice(cycle(refs), askers):
            nursery.start_soon(asker, ref, each)
    return {"value": askers * each / (time.perf_counter() - started)}


def between_processes(
    open_refs: Callable[..., AbstractAsyncContextManager[Sequence[Ref]]],
) -> dict[str, Callable[..., Measured]]:
    """Return each workload as a plain function; its first arguments are the number of servers and whether with TLS."""

    async def measure(workload: Callable[..., Awaitable[Measured]], servers: int, tls: int, *args: int) -> Measured:
        async with open_refs(servers, tls=bool(tls)) as refs:
            return await workload(refs, *args)

    return on_trio({workload.__name__: partial(measure, workload) for workload in (tell, ask)})
