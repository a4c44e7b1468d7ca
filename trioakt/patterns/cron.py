"""The rhythm of a cron expression in a time zone: Debian's rules where the clocks change. Pure.

cronsim knows what an expression means on a calendar without time zones; what becomes of the hours that a change of the
clocks skips or repeats is decided here. This is the one file that knows cronsim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import ClassVar
from zoneinfo import ZoneInfo

import attrs
from cronsim import CronSim, CronSimError

from trioakt.patterns.rhythm import SET_BACK

_MOST = 1_000
"""Ticks that are counted as missed; a clock may jump by years."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK = 7 * 86_400
"""Seconds in which no zone changes its offset and back."""


@attrs.frozen
class Cron:
    """Ticks where the wall clock of a zone matches an expression of five fields, or of six that begin with seconds.

    An expression whose hour and minute begin with no star names times of day. Of these, one that a change of the
    clocks skips comes when the clocks have changed, together with the others that were skipped; one that is repeated
    comes the first time. Any other expression means every moment that matches, so that every ten minutes stay ten
    minutes.
    """

    expression: str
    zone: ZoneInfo = attrs.field(repr=str)
    _names_times: bool = attrs.field(repr=False)
    by_wall_clock: ClassVar[bool] = True

    @classmethod
    def parse(cls, expression: str, zone: str | ZoneInfo) -> Cron:
        """Make it out of what users write.

        Raises:
            ValueError: The expression is none, or there is no such zone.
        """
        try:
            CronSim(expression, datetime(1970, 1, 1))
        except CronSimError as error:
            raise ValueError(f"{expression!r} is no cron expression: {error}") from None
        minute, hour = expression.split()[-5:-3]
        return cls(expression, _zone(zone), not minute.startswith("*") and not hour.startswith("*"))

    def first(self, now: float) -> float:
        """Return the first tick after now, in seconds since 1970.

        Raises:
            ValueError: There is none.
        """
        first = self.after(now, now)
        if first is None:
            raise ValueError(f"{self.expression!r} names a time that never comes")
        return first

    def after(self, due: float, now: float) -> float | None:
        """Return the first tick after now, in seconds since 1970; ``None`` when none comes within fifty years."""
        return self._next_named(now) if self._names_times else self._next_match(math.floor(now))

    def count(self, due: float, now: float) -> int:
        """Return how many ticks have become due by now, at most a thousand."""
        return 1 + sum(1 for _ in islice(self._between(due, now), _MOST - 1))

    def resumed(self, due: float, left: float, now: float) -> float | None:
        """Return the first tick after now: what was due during the pause is not made up for.

        When the clock was set back meanwhile, that is not one which has been before, unless it was set back far.
        """
        return due if now < due <= now + left + SET_BACK else self.after(due, now)

    def _between(self, due: float, now: float) -> Iterator[float]:
        """Go through the ticks after one, up to now."""
        following = self.after(due, due)
        while following is not None and following <= now:
            yield following
            following = self.after(following, following)

    def _next_named(self, now: float) -> float | None:
        """Find the first time of day after now; each comes once."""
        for time in CronSim(self.expression, self._local(math.floor(now))):
            moment = self._moment(time)
            if moment > now:
                return moment
        return None

    def _next_match(self, now: int) -> float | None:
        """Find the first match after now.

        From one change of the clocks to the next, local time and moments differ by one offset. At each change the
        search begins anew, a second early, as the moment of the change itself may match.
        """
        early = 0
        while True:
            start = self._local(now) - timedelta(seconds=early)
            time = next(CronSim(self.expression, start), None)
            if time is None:
                return None
            match = now - early + _seconds(time - start)
            change = self._change(now, match)
            if change is None:
                return match
            now, early = change, 1

    def _moment(self, time: datetime) -> int:
        """Return when it is this time: the first time where it is repeated; the change where that skips it."""
        moment = self._when(time.replace(fold=0))
        if self._local(moment) == time:
            return moment
        change = self._change(self._when(time.replace(fold=1)), moment)
        assert change is not None
        return change

    def _change(self, start: int, end: int) -> int | None:
        """Return when the offset of the zone changes first, after the start and by the end."""
        offset = self._offset(start)
        while start < end:
            stop = min(start + _WEEK, end)
            if self._offset(stop) != offset:
                while stop - start > 1:
                    middle = (start + stop) // 2
                    start, stop = (middle, stop) if self._offset(middle) == offset else (start, middle)
                return stop
            start = stop
        return None

    def _offset(self, moment: int) -> timedelta | None:
        return datetime.fromtimestamp(moment, self.zone).utcoffset()

    def _local(self, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, self.zone).replace(tzinfo=None, fold=0)

    def _when(self, time: datetime) -> int:
        return _seconds(time.replace(tzinfo=self.zone) - _EPOCH)


def _seconds(span: timedelta) -> int:
    return span // timedelta(seconds=1)


def _zone(zone: str | ZoneInfo) -> ZoneInfo:
    if isinstance(zone, ZoneInfo):
        return zone
    try:
        return ZoneInfo(zone)
    except (LookupError, OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {zone!r}: {error}") from None
