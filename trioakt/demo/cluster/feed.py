"""What was measured, and what of it the cluster has promised to keep."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import attrs
import trio

from trioakt import ActorRef, ActorSystem, TrioaktError
from trioakt.demo.cluster.actors import Account, Audit, Device, Parse, Reading
from trioakt.demo.cluster.telemetry import measure

T = TypeVar("T")

ROUNDS = 40
"""How often the machine is measured."""
PERIOD = 0.2
"""Seconds from one measurement to the next."""
PAUSE = 0.2
"""Seconds after which what has failed is asked again."""


@attrs.define(eq=False)
class Line:
    """The readings of one device, in their order.

    Attributes:
        measured: How many there are.
        acknowledged: How many of them the device has stored.
        repeats: How many asks had no answer and were repeated.
        node: Which node has answered last.
    """

    measured: int = 0
    acknowledged: int = 0
    repeats: int = 0
    node: str = ""


class Feed:
    """Measures this machine, lets parsers read the lines, and takes each reading to its device until it is stored.

    The readings of a device go one after the other; a device whose node is lost delays no other.

    Args:
        system: A node of the cluster.
        parsers: The router to the parsers.

    Attributes:
        rounds: How often the machine was measured.
        input: Each line of each measurement.
        lines: What became of the readings, by device.
    """

    def __init__(self, system: ActorSystem, parsers: ActorRef) -> None:
        self.rounds = 0
        self.input: list[str] = []
        self.lines: dict[str, Line] = {}
        self._system = system
        self._parsers = parsers
        self._ways: dict[str, trio.MemorySendChannel[tuple[int, int]]] = {}
        self._repeats = 0

    @property
    def measured(self) -> int:
        """Readings so far."""
        return sum(line.measured for line in self.lines.values())

    @property
    def acknowledged(self) -> int:
        """Readings that are stored, as the devices have said."""
        return sum(line.acknowledged for line in self.lines.values())

    @property
    def repeats(self) -> int:
        """Asks that had no answer and were repeated."""
        return self._repeats + sum(line.repeats for line in self.lines.values())

    async def run(self) -> None:
        """Measure as often as is to be, and return when all readings are acknowledged."""
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            while self.rounds < ROUNDS:
                await trio.sleep_until(begin + PERIOD * self.rounds)
                lines = await trio.to_thread.run_sync(measure)
                self.input += lines
                for device, kilobytes in (await self._parse(lines)).items():
                    self._put(device, kilobytes, nursery)
                self.rounds += 1
            for way in self._ways.values():
                way.close()

    async def audit(self) -> dict[str, Account]:
        """Ask each device what it has counted."""
        return {device: await self._audit(device) for device in sorted(self.lines)}
