"""When schedules tick: once or every so many seconds, and who is next. Pure: no clock is read here.

A rhythm by cron expression is in ``cron``, as it needs a package of its own.
"""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import ClassVar, Generic, Protocol, TypeVar

import attrs

T = TypeVar("T")


SHORTEST = 0.001
"""Seconds: the shortest interval; below it a burst could be without end."""
SET_BACK = 3 * 3_600.0
"""Seconds by which a wall clock is set back from which on it counts as having been wrong before."""


class Rhythm(Protocol):
    """When a schedule ticks; all times are seconds on one clock."""

    by_wall_clock: ClassVar[bool]
    """Whether that is the wall clock, in seconds since 1970, or else Trio's."""

    def first(self, now: float) -> float:
        """Return when the first tick is of a schedule that is made now."""
        ...

    def after(self, due: float, now: float) -> float | None:
        """Return when the next tick is, given that one was due and is told now; ``None`` when it was the last."""
        ...

    def count(self, due: float, now: float) -> int:
        """Return how many ticks have become due by now, from the one at ``due`` on."""
        ...

    def resumed(self, due: float, left: float, now: float) -> float | None:
        """Return when the next tick is, after a pause that began ``left`` seconds before one was due."""
        ...


@attrs.frozen
class Once:
    """One tick, after ``delay`` seconds.

    Raises:
        ValueError: The delay is negative or not finite.
    """

    delay: float
    by_wall_clock: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        if not 0.0 <= self.delay < math.inf:
            raise ValueError(f"a delay is at least 0 s, and finite, got {self.delay!r}")

    def first(self, now: float) -> float:
        """Return when the delay is over."""
        return now + self.delay

    def after(self, due: float, now: float) -> float | None:
        """Return ``None``: there is no other."""
        return None

    def count(self, due: float, now: float) -> int:
        """Return 1."""
        return 1

    def resumed(self, due: float, left: float, now: float) -> float:
        """Return the moment at which the time that was left is over."""
        return now + left


@attrs.frozen
class Every:
    """A tick every ``interval`` seconds; one that is late makes no later one late.

    Raises:
        ValueError: The interval is shorter than 0.001 s or not finite.
    """

    interval: float
    by_wall_clock: ClassVar[bool] = False

    def __attrs_post_init__(self) -> None:
        if not SHORTEST <= self.interval < math.inf:
            raise ValueError(f"an interval is at least {SHORTEST} s, and finite, got {self.interval!r}")

    def first(self, now: float) -> float:
        """Return when the first interval is over."""
        return now + self.interval

    def after(self, due: float, now: float) -> float:
        """Return the first tick after now, on the grid of the ticks before."""
        return max(due + self.count(due, now) * self.interval, math.nextafter(now, math.inf))

    def count(self, due: float, now: float) -> int:
        """Return how many ticks of the grid have passed."""
        return math.floor((now - due) / self.interval) + 1

    def resumed(self, due: float, left: float, now: float) -> float:
        """Return the moment at which the time that was left is over."""
        return now + left


class Agenda(Generic[T]):
    """What is due when: a heap, in which what was taken back stays until its turn or until it is the most."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._entries: dict[T, tuple[float, int, T]] = {}
        self._numbers = count()

    @property
    def next_at(self) -> float:
        """When the next item is due; ``inf`` without any."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def put(self, item: T, due: float) -> None:
        """Put an item in, or move it."""
        entry = self._entries[item] = (due, next(self._numbers), item)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def items(self) -> tuple[T, ...]:
        """Return all items."""
        return tuple(self._entries)

    def discard(self, item: T) -> None:
        """Take an item back, if it is there."""
        self._entries.pop(item, None)

    def take(self, now: float) -> list[tuple[float, T]]:
        """Take out what is due by now, in the order of the times and then as it was put in."""
        taken: list[tuple[float, T]] = []
        while self.next_at <= now:
            due, _, item = heapq.heappop(self._heap)
            del self._entries[item]
            taken.append((due, item))
        return taken
