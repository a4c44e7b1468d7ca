"""A wall clock for tests: it keeps pace with Trio's clock, until somebody sets it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import trio


class WallClock:
    """Shows a local time when Trio's clock shows 0; ``rate`` is how many of its seconds are one of Trio's."""

    def __init__(self, start: str, zone: str = "UTC", *, rate: float = 1.0) -> None:
        self.zone = ZoneInfo(zone)
        self._start = moment(start, zone)
        self._rate = rate

    def __call__(self) -> float:
        return round(self._start + trio.current_time() * self._rate, 6)

    def set_by(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._start += seconds

    def __str__(self) -> str:
        return local(self(), self.zone.key)


def moment(time: str, zone: str) -> float:
    """Return when it is this local time, the first time."""
    return datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone)).timestamp()


def local(moment: float, zone: str) -> str:
    """Return the local time at a moment, to the second, with its offset."""
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%a %H:%M:%S %z")
