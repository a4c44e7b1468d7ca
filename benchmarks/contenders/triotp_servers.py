"""triotp's generic servers as a contender; runs under the old Trio that triotp needs, so it shares no workload code."""

from __future__ import annotations

import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from benchmarks.messages import BURST, TICK, Countdown

if TYPE_CHECKING:
    from collections.abc import Callable

# Untyped, and absent where the types are checked: imported by name, it is Any for both checkers.
gen_server: Any = import_module("triotp.gen_server")
mailbox: Any = import_module("triotp.mailbox")


class Server:
    """The callbacks of a generic server; triotp takes a module, any namespace will do."""

    @staticmethod
    async def init(_argument: object) -> None:
        """Start without state."""

    @staticmethod
    async def handle_cast(message: Any, state: None) -> tuple[Any, None]:
        """Do the work of a message."""
        if message is not TICK:
            message.act()
        return gen_server.NoReply(), state

    @staticmethod
    async def handle_call(_message: Any, _caller: object, state: None) -> tuple[Any, None]:
        """Answer a request."""
        return gen_server.Reply(1), state


async def _tell(bursts: int) -> float:
    started = time.perf_counter()
    for _ in range(bursts):
        handled = trio.Event()
        for _ in range(BURST - 1):
            await gen_server.cast("server", TICK)
        await gen_server.cast("server", Countdown(1, handled.set))
        await handled.wait()
    return bursts * BURST / (time.perf_counter() - started)


async def _ask(askers: int, each: int) -> float:
    async def asker() -> None:
        for _ in range(each):
            await gen_server.call("server", TICK)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(askers):
            nursery.start_soon(asker)
    return askers * each / (time.perf_counter() - started)


async def _with_server(measure: Callable[..., Any], *args: int) -> dict[str, float]:
    mailbox._init()  # what triotp's node does, without its logging and applications
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(gen_server.start, Server, name="server"))
        await trio.testing.wait_all_tasks_blocked()
        value = await measure(*args)
        nursery.cancel_scope.cancel()
    return {"value": value}


def _runner(measure: Callable[..., Any]) -> Callable[..., dict[str, float]]:
    return partial(trio.run, _with_server, measure)


WORKLOADS = {"tell": _runner(_tell), "ask": _runner(_ask)}
