"""One memory channel for each reader: what topics are compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.patterns.workloads import publish
from benchmarks.workloads import on_trio

if TYPE_CHECKING:
    from benchmarks.workloads import Measured


async def _read(channel: trio.MemoryReceiveChannel[Any]) -> None:
    async for message in channel:
        message.act()


async def _streams(readers: int, burst: int, waves: int) -> Measured:
    """Send each message to every channel."""
    channels = [trio.open_memory_channel[Any](math.inf) for _ in range(readers)]

    def hand_out(message: Any) -> None:
        for send, _ in channels:
            send.send_nowait(message)

    async with trio.open_nursery() as nursery:
        for _, receive in channels:
            nursery.start_soon(_read, receive)
        measured = await publish(hand_out, readers, burst, waves)
        nursery.cancel_scope.cancel()
    return measured


WORKLOADS = on_trio({"topic_streams": _streams})
