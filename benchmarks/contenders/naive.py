"""The naive Trio actor as a contender; its `tell` is awaited, so its tells are timed here."""

from __future__ import annotations

import time
from typing import Any

import trio

from benchmarks.messages import BURST, TICK, Countdown
from benchmarks.naive import NaiveActor


async def handle(message: Any) -> int:
    """Do the work of a message, if any; the result answers an ask."""
    if message is not TICK:
        message.act()
    return 1


async def _tell(actor: NaiveActor, bursts: int) -> float:
    started = time.perf_counter()
    for _ in range(bursts):
        handled = trio.Event()
        for _ in range(BURST - 1):
            await actor.tell(TICK)
        await actor.tell(Countdown(1, handled.set))
        await handled.wait()
    return bursts * BURST / (time.perf_counter() - started)


async def _ask(actor: NaiveActor, askers: int, each: int) -> float:
    async def asker() -> None:
        for _ in range(each):
            await actor.ask(TICK)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(askers):
            nursery.start_soon(asker)
    return askers * each / (time.perf_counter() - started)


async def _measure(workload: Any, *args: int) -> dict[str, float]:
    actor = NaiveActor(handle)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        value = await workload(actor, *args)
        nursery.cancel_scope.cancel()
    return {"value": value}


def tell(bursts: int) -> dict[str, float]:
    """Tell one actor in bursts of a thousand; messages per second."""
    return trio.run(_measure, _tell, bursts)


def tell_yield(count: int) -> dict[str, float]:
    """Tell one actor, yielding after each message, as every naive tell does; messages per second."""
    return tell(count // BURST)


def ask(askers: int, each: int) -> dict[str, float]:
    """Ask one actor from `askers` tasks; replies per second."""
    return trio.run(_measure, _ask, askers, each)


WORKLOADS = {"tell": tell, "tell_yield": tell_yield, "ask": ask}
