"""The promises of a transport: ours keep them, and broken ones are told what they broke."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import trio.testing

from trioakt.remote.memory import MemoryNetwork
from trioakt.remote.nng import NngTransport
from trioakt.remote.transport import Transport
from trioakt.testing.transports import check_transport


def memory(low: float, high: float) -> Callable[[int], Transport]:
    network = MemoryNetwork(Random(1))
    network.delay(low, high)
    return lambda max_frame: network.transport("a", max_frame=max_frame)


def nng(max_frame: int) -> Transport:
    return NngTransport(max_frame=max_frame)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.1, 0.1), (0.0, 0.2)])
async def test_the_memory_transport_keeps_the_promises(
    low: float, high: float, autojump_clock: trio.testing.MockClock
) -> None:
    await check_transport(memory(low, high), "mem://a:0")


async def test_tcp_keeps_the_promises() -> None:
    await check_transport(nng, "tcp://127.0.0.1:0")


async def test_unix_sockets_keep_the_promises(tmp_path: Path) -> None:
    await check_transport(nng, f"ipc://{tmp_path}/a")
