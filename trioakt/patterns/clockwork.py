"""The one task in which all schedules of a system wait, on two clocks: Trio's, and the wall clock for those by cron.

It knows when something is due and has it fire; it does not know what that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import trio

from trioakt.patterns.rhythm import SET_BACK, SHORTEST, Agenda, Rhythm

_LOOK = 60.0
"""Seconds after which the wall clock is looked at again: it may have been set, or the machine may have slept."""


class Timer(Protocol):
    """What waits here."""

    rhythm: Rhythm

    def fire(self, now: float) -> None:
        """Do what is due, and wait again or not; it must not raise."""
        ...

    def begin(self, due: float | None) -> None:
        """Wait for this time; end when there is none."""
        ...


class Line:
    """Those that wait for one clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self.agenda = Agenda[Timer]()


class Clockwork:
    """Waits for the next of all timers, whichever its clock; ``run`` is its task."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._steady = Line(trio.current_time)
        self._wall = Line(wall_clock)
        self._latest = -math.inf
        self._changed = trio.Event()

    def now(self, rhythm: Rhythm) -> float:
        """Return the time on the clock that this rhythm goes by."""
        return self._line(rhythm).now()

    def put(self, timer: Timer, due: float) -> None:
        """Let a timer fire at this time of its clock, and at no other."""
        agenda = self._line(timer.rhythm).agenda
        if due < agenda.next_at:
            self._changed.set()
        agenda.put(timer, due)

    def discard(self, timer: Timer) -> None:
        """Let a timer fire no more."""
        self._line(timer.rhythm).agenda.discard(timer)

    async def run(self) -> None:
        """Have timers fire, until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self._wake_at()):
                await self._changed.wait()
            self._fire(self._steady)
            if self._wall.agenda.next_at < math.inf:
                self._heed_set_back()
                self._fire(self._wall)

    def _line(self, rhythm: Rhythm) -> Line:
        return self._wall if rhythm.by_wall_clock else self._steady

    def _wake_at(self) -> float:
        """Return when to look again; a wall clock that did not quite keep pace with Trio's gets another moment."""
        steady, wall = self._steady.agenda.next_at, self._wall.agenda.next_at
        if wall == math.inf:
            return steady
        return min(steady, trio.current_time() + min(max(wall - self._wall.now(), SHORTEST), _LOOK))

    def _fire(self, line: Line) -> None:
        now = line.now()
        for _, timer in line.agenda.take(now):
            timer.fire(now)

    def _heed_set_back(self) -> None:
        """Reckon anew when the wall clock was wrong: else a timer might wait for years."""
        now = self._wall.now()
        if now < self._latest - SET_BACK:
            for timer in self._wall.agenda.items():
                timer.begin(timer.rhythm.after(now, now))
            self._latest = now
        self._latest = max(self._latest, now)
