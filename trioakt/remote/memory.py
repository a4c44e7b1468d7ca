"""A network inside one process, for tests: the same seed and clock bring the same delays, losses and order."""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from heapq import heapify, heappop, heappush
from itertools import count, product
from math import inf
from random import Random
from typing import Generic, TypeVar

import attrs
import trio

from trioakt.remote.transport import Frame, Pipe, PipeClosed

T = TypeVar("T")


@attrs.frozen
class NetworkStatistics:
    """How much of a network is in use."""

    listeners: int
    links: int


_ADDRESS = re.compile(r"mem://(?P<host>[^:/]+):(?P<port>\d+)")


class MemoryNetwork:
    """Connects the transports of hosts, and does to them what networks do.

    Losses and delays hold for frames that are sent from now on, for all links, or ``between`` two hosts both ways.

    Args:
        rng: Where the chance comes from.
        buffer: How many frames a link holds before ``send`` waits.
    """

    def __init__(self, rng: Random | None = None, *, buffer: int = 128) -> None:
        self._wire = _Wire(rng or Random(0), buffer)

    def transport(self, host: str, *, max_frame: int = 16 * 2**20) -> MemoryTransport:
        """Give a host its transport; its addresses are ``mem://HOST:PORT``."""
        return MemoryTransport(self._wire, host, max_frame)

    def drop(self, probability: float, *, between: tuple[str, str] | None = None) -> None:
        """Lose single frames, without a word to anybody."""
        self._wire.losses.put(probability, between)

    def delay(self, low: float, high: float, *, between: tuple[str, str] | None = None) -> None:
        """Let each frame take so many seconds; none overtakes another of its link."""
        self._wire.delays.put((low, high), between)

    def partition(self, hosts: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Cut hosts off from others: frames between them vanish, and ends of connections are not seen.

        Args:
            hosts: Those on one side.
            others: Those on the other side.
            one_way: Cut only what the hosts send to the others.
        """
        ways = set(product(set(hosts), set(others)))
        self._wire.cuts |= ways if one_way else ways | {(target, source) for source, target in ways}

    def heal(self) -> None:
        """End all partitions; the ends of connections that were not seen are seen now."""
        self._wire.heal()

    def crash(self, host: str) -> None:
        """Close all listeners and links of a host; whatever is on the way from it or to it is lost."""
        for listener in [each for each in self._wire.listeners.values() if each.host == host]:
            listener.close()
        for connection in [each for each in self._wire.connections if each.source == host]:
            connection.hang_up(keep=0)

    def statistics(self) -> NetworkStatistics:
        """Return how many listeners and links are open now."""
        return NetworkStatistics(len(self._wire.listeners), len(self._wire.connections))


class _Wire:
    """What hosts share: who listens where, who is connected to whom, and what happens on the way."""

    def __init__(self, rng: Random, buffer: int) -> None:
        self.buffer = buffer
        self.listeners: dict[str, _MemoryListener] = {}
        self.connections: dict[_Connection, None] = {}  # in the order in which they were made
        self.losses = _PerRoute(0.0)
        self.delays = _PerRoute((0.0, 0.0))
        self.cuts: set[tuple[str, str]] = set()
        self.rng = rng
        self._healed = trio.Event()
        self._withheld: list[Callable[[], None]] = []

    def bind(self, listener: _MemoryListener, port: int) -> str:
        """Give a listener its address."""
        ports = [port] if port else count(1)
        addresses = (f"mem://{listener.host}:{port}" for port in ports)
        address = next((each for each in addresses if each not in self.listeners), None)
        if address is None:
            raise OSError(errno.EADDRINUSE, f"mem://{listener.host}:{port} is in use")
        self.listeners[address] = listener
        return address

    async def connect(self, source: str, address: str) -> _Connection:
        """Connect a host to the listener at an address, as soon as they are not cut off from each other."""
        target, _ = _parse(address)
        await trio.sleep(self.delay(source, target) + self.delay(target, source))
        while self.cuts & {(source, target), (target, source)}:
            await self._healed.wait()
        if address not in self.listeners:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {address}")
        connection = _Connection(self, source, target, self.listeners[address])
        self.connections[connection] = None
        return connection

    def loses(self, source: str, target: str) -> bool:
        """Decide whether the next frame is lost."""
        probability = self.losses.get(source, target)
        return (source, target) in self.cuts or (probability > 0 and self.rng.random() < probability)

    def delay(self, source: str, target: str) -> float:
        """Decide how many seconds the next frame takes."""
        low, high = self.delays.get(source, target)
        return self.rng.uniform(low, high) if high > 0 else 0.0

    def report(self, source: str, target: str, end: Callable[[], None]) -> None:
        """Let one host see that the other has ended a connection, now or when the network has healed."""
        if (source, target) in self.cuts:
            self._withheld.append(end)
        else:
            end()

    def heal(self) -> None:
        self.cuts.clear()
        self._healed.set()
        self._healed = trio.Event()
        withheld, self._withheld = self._withheld, []
        for end in withheld:
            end()


class MemoryTransport:
    """The transport of one host of a ``MemoryNetwork``."""

    def __init__(self, wire: _Wire, host: str, max_frame: int) -> None:
        self._wire = wire
        self._host = host
        self._max_frame = max_frame

    @asynccontextmanager
    async def listen(self, address: str) -> AsyncGenerator[_MemoryListener]:
        """Listen as ``Transport.listen``."""
        host, port = _parse(address)
        if host != self._host:
            raise OSError(errno.EADDRNOTAVAIL, f"{address} is no address of {self._host}")
        listener = _MemoryListener(self._wire, host, port, self._max_frame)
        try:
            yield listener
        finally:
            listener.close()

    async def dial(self, address: str) -> _MemoryLink:
        """Connect as ``Transport.dial``."""
        return _MemoryLink(await self._wire.connect(self._host, address), self._max_frame)


class _Connection:
    """What two ends share: each ends by itself, and learns of the other's end when the network lets it."""

    def __init__(self, wire: _Wire, source: str, target: str, listener: _MemoryListener) -> None:
        self.source = source
        self.target = target
        self.pipe = Pipe()
        self.on_the_way = 0
        self.closed = False
        self.lost = False
        self.ended = trio.Event()
        self._wire = wire
        self._listener = listener
        self._room = trio.Event()
        self._due = -inf
        listener.connections[self.pipe] = self

    @property
    def is_full(self) -> bool:
        return self.on_the_way >= self._wire.buffer

    async def wait_room(self) -> None:
        await self._room.wait()

    def post(self, data: bytes) -> None:
        """Send a frame on its way, if it is not lost."""
        if self._wire.loses(self.source, self.target) or self.pipe not in self._listener.connections:
            return
        if len(data) > self._listener.max_frame:
            self._listener.close_pipe(self.pipe)
            return
        self.on_the_way += 1
        self._listener.put(self._arrival(), self, data)

    def make_room(self, frames: int = 1) -> None:
        """Count frames out that have arrived, or are lost."""
        self.on_the_way -= frames
        self._wake()

    def hang_up(self, keep: int | None = None) -> None:
        """End at the link's end; of the frames on the way only the first arrive, by chance how many."""
        if self.closed:
            return
        self.closed = True
        self._end()
        if self.pipe in self._listener.connections:
            self._listener.discard(self, self._wire.rng.randint(0, self.on_the_way) if keep is None else keep)
            self._wire.report(self.source, self.target, self._end_pipe)

    def turn_out(self) -> None:
        """End at the listener's end."""
        self._wire.report(self.target, self.source, self._lose)

    def _end_pipe(self) -> None:
        if self.pipe in self._listener.connections:
            self._listener.put(self._arrival(), self, None)

    def _lose(self) -> None:
        if not self.closed:
            self.lost = True
            self._end()

    def _end(self) -> None:
        self._wire.connections.pop(self, None)
        self.ended.set()
        self._wake()

    def _arrival(self) -> float:
        delay = self._wire.delay(self.source, self.target)
        self._due = max(self._due, trio.current_time() + delay)
        return self._due

    def _wake(self) -> None:
        self._room.set()
        self._room = trio.Event()


class _MemoryListener:
    """Holds what is on the way to it, and lets it out when it is due."""

    def __init__(self, wire: _Wire, host: str, port: int, max_frame: int) -> None:
        self.host = host
        self.max_frame = max_frame
        self.connections: dict[Pipe, _Connection] = {}
        self.address = wire.bind(self, port)
        self._wire = wire
        self._closed = False
        self._changed = trio.Event()
        self._numbers = count()
        self._coming: list[tuple[float, int, _Connection, bytes | None]] = []

    async def receive(self) -> Frame | PipeClosed:
        await trio.lowlevel.checkpoint()
        while True:
            if self._closed:
                raise trio.ClosedResourceError(f"the listener at {self.address} is closed")
            due = self._coming[0][0] if self._coming else inf
            if due <= trio.current_time():
                return self._take()
            with trio.move_on_at(due):
                await self._changed.wait()

    def close_pipe(self, pipe: Pipe) -> None:
        connection = self.connections.get(pipe)
        if connection is not None:
            self.discard(connection)
            self.put(trio.current_time(), connection, None)
            del self.connections[pipe]
            connection.turn_out()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        del self._wire.listeners[self.address]
        for pipe in list(self.connections):
            self.close_pipe(pipe)
        self._wake()

    def put(self, due: float, connection: _Connection, data: bytes | None) -> None:
        """Let a frame arrive at its time, or with None the end of its pipe."""
        heappush(self._coming, (due, next(self._numbers), connection, data))
        self._wake()

    def discard(self, connection: _Connection, keep: int = 0) -> None:
        """Lose what is on the way through a connection, but for the first frames."""
        mine = sorted(each for each in self._coming if each[2] is connection)
        self._coming = [each for each in self._coming if each[2] is not connection] + mine[:keep]
        heapify(self._coming)
        connection.make_room(sum(data is not None for *_, data in mine[keep:]))

    def _take(self) -> Frame | PipeClosed:
        _, _, connection, data = heappop(self._coming)
        if data is None:
            self.connections.pop(connection.pipe, None)
            return PipeClosed(connection.pipe)
        connection.make_room()
        return Frame(connection.pipe, data)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _MemoryLink:
    """The sending end of a connection."""

    peer: str | None = None

    def __init__(self, connection: _Connection, max_frame: int) -> None:
        self._connection = connection
        self._max_frame = max_frame

    async def send(self, data: bytes) -> None:
        if len(data) > self._max_frame:
            raise ValueError(f"a frame of {len(data)} bytes is larger than max_frame, {self._max_frame}")
        await trio.lowlevel.checkpoint()
        self._check_connected()
        while self._connection.is_full:
            await self._connection.wait_room()
            self._check_connected()
        self._connection.post(data)

    async def wait_lost(self) -> None:
        await self._connection.ended.wait()

    async def aclose(self) -> None:
        self._connection.hang_up()
        await trio.lowlevel.checkpoint()

    def _check_connected(self) -> None:
        if self._connection.closed:
            raise trio.ClosedResourceError("the link is closed")
        if self._connection.lost:
            raise trio.BrokenResourceError("the connection is lost")


@attrs.define
class _PerRoute(Generic[T]):
    """A value for all routes, and others for some."""

    everywhere: T
    _between: dict[tuple[str, str], T] = attrs.field(factory=dict[tuple[str, str], T])

    def put(self, value: T, between: tuple[str, str] | None) -> None:
        if between is None:
            self.everywhere = value
            self._between.clear()
        else:
            self._between[between] = self._between[between[1], between[0]] = value

    def get(self, source: str, target: str) -> T:
        return self._between.get((source, target), self.everywhere)


def _parse(address: str) -> tuple[str, int]:
    """Take an address apart into host and port."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"{address!r} is no address like mem://name:1")
    return match["host"], int(match["port"])
