"""The promises of a transport: ours keep them, and broken ones are told what they broke."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

from trioakt.remote.memory import MemoryNetwork
from trioakt.remote.nng import NngTransport
from trioakt.remote.transport import Frame, Link, Listener, PipeClosed, Transport
from trioakt.testing.transports import check_transport

Send = Callable[[Link, bytes], Awaitable[None]]
Receive = Callable[[Listener], Awaitable[Frame | PipeClosed]]


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


class Broken:
    """The memory transport, but for what its links and its listener do."""

    def __init__(self, transport: Transport, send: Send, receive: Receive) -> None:
        self._transport = transport
        self._send = send
        self._receive = receive

    @asynccontextmanager
    async def listen(self, address: str) -> AsyncGenerator[Listener]:
        async with self._transport.listen(address) as listener:
            yield BrokenListener(listener, self._receive)

    async def dial(self, address: str) -> Link:
        return BrokenLink(await self._transport.dial(address), self._send)


class BrokenLink:
    def __init__(self, link: Link, send: Send) -> None:
        self.peer = link.peer
        self.wait_lost = link.wait_lost
        self.aclose = link.aclose
        self._link = link
        self._send = send

    async def send(self, data: bytes) -> None:
        await self._send(self._link, data)


class BrokenListener:
    def __init__(self, listener: Listener, receive: Receive) -> None:
        self.address = listener.address
        self.close_pipe = listener.close_pipe
        self.aclose = listener.aclose
        self._listener = listener
        self._receive = receive

    async def receive(self) -> Frame | PipeClosed:
        return await self._receive(self._listener)


async def sound_send(link: Link, data: bytes) -> None:
    await link.send(data)


async def sound_receive(listener: Listener) -> Frame | PipeClosed:
    return await listener.receive()


async def doubles(link: Link, data: bytes) -> None:
    await link.send(data)
    await link.send(data)


async def never_waits(link: Link, data: bytes) -> None:
    with trio.move_on_after(0.001):
        await link.send(data)


async def sends_first_and_then_sees_that_it_is_cancelled(link: Link, data: bytes) -> None:
    await link.send(data)
    await trio.lowlevel.checkpoint()


async def receives_first_and_then_sees_that_it_is_cancelled(listener: Listener) -> Frame | PipeClosed:
    got = await listener.receive()
    await trio.lowlevel.checkpoint()
    return got


def wrapped(send: Send, receive: Receive) -> Callable[[int], Transport]:
    make = memory(0.0, 0.0)
    return lambda max_frame: Broken(make(max_frame), send, receive)


async def test_a_sound_transport_passes(autojump_clock: trio.testing.MockClock) -> None:
    await check_transport(wrapped(sound_send, sound_receive), "mem://a:0")


@pytest.mark.parametrize(
    ("send", "receive", "what"),
    [
        (doubles, sound_receive, "once and in order"),
        (never_waits, sound_receive, "makes send.. wait"),
        (sends_first_and_then_sees_that_it_is_cancelled, sound_receive, "a send that was cancelled"),
        (sound_send, receives_first_and_then_sees_that_it_is_cancelled, "a receive that is cancelled"),
    ],
)
async def test_a_broken_transport_is_told_what_it_broke(
    send: Send, receive: Receive, what: str, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(AssertionError, match=what):
        for _ in range(30):  # what a cancellation finds depends on the order in which Trio runs its tasks
            await check_transport(wrapped(send, receive), "mem://a:0")
