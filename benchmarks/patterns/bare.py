"""Bare Trio tasks that sleep: what timers are compared with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from benchmarks.patterns.workloads import TIMERS, Alarm
from benchmarks.workloads import on_trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.workloads import Measured


async def _ring(alarm: Alarm) -> None:
    await trio.sleep_until(alarm.at)
    alarm.act()


async def _timers(workload: Callable[..., Awaitable[Measured]], *args: int) -> Measured:
    """Start one task for each alarm."""
    async with trio.open_nursery() as nursery:
        measured = await workload(lambda alarm: nursery.start_soon(_ring, alarm), *args)
        nursery.cancel_scope.cancel()
    return measured


WORKLOADS = on_trio({workload.__name__: partial(_timers, workload) for workload in TIMERS})
