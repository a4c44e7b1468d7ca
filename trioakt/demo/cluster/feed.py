"""What was measured, and what of it the cluster has promised to keep."""

from __future__ import annotations

import math
from typing import TypeVar

import attrs
import trio

from trioakt import ActorRef, ActorSystem, Request, TrioaktError
from trioakt.demo.cluster.actors import Account, Audit, Device, Parse, Reading
from trioakt.demo.cluster.telemetry import measure

T = TypeVar("T")

ROUNDS = 40
"""How often the machine is measured."""
MIDDLE = 15
"""After so many measurements it is time for the accident."""
PERIOD = 0.2
"""Seconds from one measurement to the next."""
PAUSE = 0.2
"""Seconds after which what had no answer is asked again."""


@attrs.define(eq=False)
class Line:
    """The readings of one device, in their order.

    Attributes:
        measured: How many there are.
        acknowledged: How many of them the device has stored.
        node: Which node has answered last.
    """

    measured: int = 0
    acknowledged: int = 0
    node: str = ""


class Feed:
    """Measures this machine, lets parsers read the lines, and takes each reading to its device until it is stored.

    The readings of a device go one after the other; one whose node is lost delays no other.

    Args:
        system: A node of the cluster.
        parsers: The router to the parsers.

    Attributes:
        rounds: How often the machine was measured.
        input: Each line of each measurement.
        lines: What has become of the readings, by device.
        repeats: How many asks had no answer and were repeated.
        middle: Set when it is time for the accident.
    """

    def __init__(self, system: ActorSystem, parsers: ActorRef) -> None:
        self.rounds = 0
        self.input: list[str] = []
        self.lines: dict[str, Line] = {}
        self.repeats = 0
        self.middle = trio.Event()
        self._system = system
        self._parsers = parsers
        self._ways: dict[str, trio.MemorySendChannel[Reading]] = {}

    @property
    def measured(self) -> int:
        """Readings so far."""
        return sum(line.measured for line in self.lines.values())

    @property
    def acknowledged(self) -> int:
        """Readings that are stored, as their devices have said."""
        return sum(line.acknowledged for line in self.lines.values())

    async def run(self) -> None:
        """Measure as often as is to be, and return when all readings are acknowledged."""
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            while self.rounds < ROUNDS:
                await trio.sleep_until(begin + PERIOD * self.rounds)
                lines = await trio.to_thread.run_sync(measure)
                self.input += lines
                readings = await self.insist(self._parsers, Parse(lines))
                for device, kilobytes in readings.items():
                    self._put(device, kilobytes, nursery)
                self.rounds += 1
                if self.rounds == MIDDLE:
                    self.middle.set()
            for way in self._ways.values():
                way.close()

    async def audit(self) -> dict[str, Account]:
        """Ask each device what it has counted."""
        return {device: await self.insist(self._system.grain(Device, device), Audit()) for device in self.lines}

    def _put(self, device: str, kilobytes: int, nursery: trio.Nursery) -> None:
        if device not in self.lines:
            self.lines[device] = Line()
            self._ways[device], readings = trio.open_memory_channel[Reading](math.inf)
            nursery.start_soon(self._deliver, device, readings)
        line = self.lines[device]
        line.measured += 1
        self._ways[device].send_nowait(Reading(line.measured, kilobytes))

    async def _deliver(self, device: str, readings: trio.MemoryReceiveChannel[Reading]) -> None:
        grain, line = self._system.grain(Device, device), self.lines[device]
        async for reading in readings:
            answer = await self.insist(grain, reading)
            line.acknowledged, line.node = answer.number, answer.node

    async def insist(self, ref: ActorRef, request: Request[T]) -> T:
        """Ask until there is an answer; whoever is asked takes no harm from a repeat."""
        while True:
            try:
                return await ref.ask(request)
            except TrioaktError:
                self.repeats += 1
                await trio.sleep(PAUSE)
