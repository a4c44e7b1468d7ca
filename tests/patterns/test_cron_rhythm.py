"""What a cron expression means in a time zone, where the clocks change too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st

from tests.patterns.wall import local, moment
from trioakt.patterns.cron import Cron

BERLIN, NEW_YORK, LORD_HOWE, CAIRO = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"
CHANGES = {
    BERLIN: ["2026-03-29T01:59:59", "2026-10-25T02:59:59"],
    NEW_YORK: ["2026-03-08T01:59:59", "2026-11-01T01:59:59"],
    LORD_HOWE: ["2026-04-05T01:59:59", "2026-10-04T01:59:59"],  # by half an hour
    CAIRO: ["2026-04-23T23:59:59", "2026-10-29T23:59:59"],  # at midnight
}
"""The last second before the clocks change."""


def ticks(expression: str, zone: str, since: float) -> Iterator[float]:
    """Go through the ticks after a moment."""
    rhythm = Cron.parse(expression, zone)
    due = rhythm.first(since)
    while True:
        yield due
        following = rhythm.after(due, due)
        assert following is not None
        due = following


def shown(expression: str, zone: str, since: str, count: int) -> list[str]:
    """Show the first ticks after a local time, as local times."""
    return [local(due, zone) for due in islice(ticks(expression, zone, moment(since, zone)), count)]


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("*/20 * * * *", ["Thu 00:20:00", "Thu 00:40:00", "Thu 01:00:00"]),
        ("30 9 * * MON-FRI", ["Thu 09:30:00", "Fri 09:30:00", "Mon 09:30:00"]),
        ("*/20 30 9 * * *", ["Thu 09:30:00", "Thu 09:30:20", "Thu 09:30:40"]),
        ("0 12 L * *", ["Sat 12:00:00", "Sat 12:00:00", "Tue 12:00:00"]),
        ("0 0 * * FRI#2", ["Fri 00:00:00", "Fri 00:00:00", "Fri 00:00:00"]),
    ],
)
def test_five_fields_begin_with_minutes_and_six_with_seconds(expression: str, times: list[str]) -> None:
    assert shown(expression, "UTC", "2026-01-01T00:00:00", 3) == [f"{time} +0000" for time in times]


def test_a_tick_at_this_very_moment_has_been() -> None:
    assert shown("0 * * * *", "UTC", "2026-01-01T10:00:00", 1) == ["Thu 11:00:00 +0000"]
    assert shown("0 * * * *", "UTC", "2026-01-01T09:59:59.999", 1) == ["Thu 10:00:00 +0000"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0,30 2 * * *", "15,45 30 2 * * *"])
def test_times_of_day_that_are_skipped_come_once_when_the_clocks_have_changed(expression: str) -> None:
    assert shown(expression, BERLIN, "2026-03-28T12:00", 2)[0] == "Sun 03:00:00 +0200"
    assert shown(expression, BERLIN, "2026-03-29T03:00", 1)[0].startswith("Mon 02:")


@pytest.mark.parametrize(
    ("expression", "zone", "since", "days"),
    [
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["Sun 02:30:00 +0200", "Mon 02:30:00 +0100"]),
        ("0 30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["Sun 01:30:00 -0400", "Mon 01:30:00 -0500"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["Sun 01:45:00 +1100", "Mon 01:45:00 +1030"]),
        ("30 23 * * *", CAIRO, "2026-10-29T12:00", ["Thu 23:30:00 +0300", "Fri 23:30:00 +0200"]),
    ],
)
def test_a_time_of_day_that_is_repeated_comes_the_first_time_only(
    expression: str, zone: str, since: str, days: list[str]
) -> None:
    assert shown(expression, zone, since, 2) == days


@pytest.mark.parametrize(
    ("expression", "zone", "since", "day"),
    [
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", "Sun 02:30:00 +1100"),
        ("0 0 * * *", CAIRO, "2026-04-23T12:00", "Fri 01:00:00 +0300"),
        ("0 0 5 * * *", LORD_HOWE, "2026-04-04T12:00", "Sun 05:00:00 +1030"),
        ("0 0 5 * * *", LORD_HOWE, "2026-10-03T12:00", "Sun 05:00:00 +1100"),
    ],
)
def test_a_change_by_half_an_hour_or_at_midnight_makes_no_day_without_its_tick(
    expression: str, zone: str, since: str, day: str
) -> None:
    assert shown(expression, zone, since, 1) == [day]


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("change", [0, 1])
def test_what_comes_every_ten_minutes_goes_on_evenly(zone: str, change: int) -> None:
    some = list(islice(ticks("*/10 * * * *", zone, moment(CHANGES[zone][change], zone) - 7200), 30))
    assert {later - earlier for earlier, later in pairwise(some)} == {600}


NO_EXPRESSIONS = ["", "*", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "x * * * *", "*/0 * * * *"]


@pytest.mark.parametrize("expression", [*NO_EXPRESSIONS, "@daily", "5-1 * * * *", "0 0 31 2 *", "* * * * ²"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        Cron.parse(expression, "UTC")


def test_an_expression_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="never"):
        Cron.parse("0 0 */31 2 MON#5", BERLIN).first(0.0)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "..", "/etc/passwd", "Europe", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Cron.parse("* * * * *", zone)


@given(st.one_of(st.text(), st.text("0123456789*/-,L#W ", max_size=30), st.lists(st.text(max_size=3)).map(" ".join)))
def test_whatever_is_written_makes_a_rhythm_or_is_refused(expression: str) -> None:
    try:
        Cron.parse(expression, "UTC")
    except ValueError:
        return


# ------------------------------------------------------------- against looking at every minute


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Make one field of an expression."""
    some = st.sets(st.integers(low, high), min_size=1, max_size=4).map(lambda numbers: ",".join(map(str, numbers)))
    return st.one_of(st.just("*"), st.integers(2, 30).map("*/{}".format), some)


expressions = st.tuples(field(0, 59), field(0, 4), field(1, 31), field(1, 12), field(0, 7)).map(" ".join)
around_changes = st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes])


def matches(expression: str, time: datetime) -> bool:
    return next(CronSim(expression, time - timedelta(seconds=1))) == time


def every_minute_looked_at(expression: str, zone: ZoneInfo, since: datetime, minutes: int) -> Iterator[float]:
    """Find the ticks by looking at the clock each minute."""
    names_times = not any(field.startswith("*") for field in expression.split()[:2])
    before = since
    for number in range(1, minutes):
        now = since + timedelta(minutes=number)
        time = now.astimezone(zone)
        shown = [time.replace(tzinfo=None, fold=0)]
        if names_times and time.utcoffset() != before.astimezone(zone).utcoffset():
            shown = skipped(before.astimezone(zone), time)
        if any(matches(expression, each) for each in shown) and not (names_times and time.fold):
            yield now.timestamp()
        before = now


def skipped(before: datetime, time: datetime) -> list[datetime]:
    """Return the local times from one minute to the next, where the clocks change between them."""
    first, last = before.replace(tzinfo=None, fold=0) + timedelta(minutes=1), time.replace(tzinfo=None, fold=0)
    return [first + timedelta(minutes=number) for number in range((last - first) // timedelta(minutes=1) + 1)]


@given(expressions, around_changes, st.integers(0, 240))
@example("30 2 * * *", (BERLIN, CHANGES[BERLIN][0]), 120)
@example("*/7 1-2 * * *", (LORD_HOWE, CHANGES[LORD_HOWE][0]), 120)
def test_ticks_are_those_of_one_who_looks_every_minute(expression: str, around: tuple[str, str], before: int) -> None:
    zone, change = around
    since = moment(change, zone) + 1 - 60 * before
    expected = list(every_minute_looked_at(expression, ZoneInfo(zone), datetime.fromtimestamp(since, UTC), 300))
    found = list(ticks_until(expression, zone, since, since + 300 * 60))
    assert found == expected


def ticks_until(expression: str, zone: str, since: float, end: float) -> Iterator[float]:
    rhythm = Cron.parse(expression, zone)
    due = rhythm.after(since, since)
    while due is not None and due < end:
        yield due
        due = rhythm.after(due, due)


@given(expressions, st.sampled_from(sorted(CHANGES)), st.floats(0, 2**31))
def test_ticks_go_forward_only_and_each_matches(expression: str, zone: str, since: float) -> None:
    rhythm = Cron.parse("7 " + expression, zone)
    due = since
    for _ in range(3):
        following = rhythm.after(due, due)
        if following is None:
            break
        assert following > due
        due = following
        time = datetime.fromtimestamp(due, ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        before = datetime.fromtimestamp(due - 1, ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        assert matches("7 " + expression, time) or time - before > timedelta(seconds=1)
