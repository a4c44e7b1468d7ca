"""Telemetry: a year of hourly readings from two weather stations, in windows of a day, joined by date, told by month.

    feed (a task per file) -> Station (an actor each) -> topic days.* -> Joiner (a pool, by date) -> topic differences
    -> report (a plain task)

The readings come with the package `vega_datasets`: pip install vega_datasets.
"""

import csv
from calendar import monthrange
from collections import defaultdict
from datetime import date, datetime
from importlib.metadata import distribution
from pathlib import Path
from statistics import fmean

import trio

from trioakt import Actor, ActorRef, ActorSystem, Bounded, Broadcast, ConsistentHash, Context, Missed, Request, message

FILES = {"seattle": "seattle-temps.csv", "san-francisco": "sf-temps.csv"}


@message
class Reading:
    at: datetime
    fahrenheit: float


@message
class Close(Request[int]):
    """Close the window that is open; how many readings were there in all?"""


@message
class Day:
    """The window of one station and one day, closed."""

    station: str
    date: date
    mean: float
    readings: int


@message
class Difference:
    """How much warmer San Francisco was, in degrees Fahrenheit."""

    date: date
    degrees: float


@message
class Unmatched(Request[int]):
    """How many days wait for the other station?"""


class Station(Actor):
    """Gathers the readings of a day, and publishes the day when one of the next day comes."""

    def __init__(self) -> None:
        self.window: list[Reading] = []
        self.total = 0

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Reading(at):
                if self.window and self.window[0].at.date() != at.date():
                    self.close(ctx)
                self.window.append(msg)
            case Close():
                self.close(ctx)
                ctx.reply(self.total)
            case _:
                ctx.unhandled()

    def close(self, ctx: Context) -> None:
        if not self.window:
            return
        name, day, readings = ctx.self.name, self.window[0].at.date(), len(self.window)
        mean = fmean(reading.fahrenheit for reading in self.window)
        ctx.system.topics.publish(f"days.{name}", Day(name, day, mean, readings))
        self.total += readings
        self.window = []


class Joiner(Actor):
    """Brings the two stations together; both days of one date come to the same joiner."""

    def __init__(self) -> None:
        self.waiting: dict[date, Day] = {}

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Day(date=day):
                other = self.waiting.pop(day, None)
                if other is None:
                    self.waiting[day] = msg
                else:
                    sign = 1 if msg.station == "san-francisco" else -1
                    ctx.system.topics.publish("differences", Difference(day, sign * (msg.mean - other.mean)))
            case Unmatched():
                ctx.reply(len(self.waiting))
            case _:
                ctx.unhandled()


async def feed(station: ActorRef, file: str) -> None:
    """Send a file of readings to a station, no faster than the station takes them."""
    for reading in await trio.to_thread.run_sync(read, file):
        await station.send(reading)


def read(file: str) -> list[Reading]:
    path = Path(str(distribution("vega_datasets").locate_file(f"vega_datasets/_data/{file}")))
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [(row["date"].replace("/", "-"), float(row["temp"])) for row in csv.DictReader(lines)]
    return [Reading(datetime.fromisoformat(at), degrees) for at, degrees in rows]


async def watch_for_gaps(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe("days.*") as days:
        task_status.started()
        short = [day async for day in days if isinstance(day, Day) and day.readings < 24]
    for day in sorted(short, key=lambda day: day.station):
        print(f"{day.date} has {day.readings} hours in {day.station}")


async def report(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
    months: dict[int, list[float]] = defaultdict(list)
    async with system.topics.subscribe("differences") as differences:
        task_status.started()
        async for each in differences:
            match each:
                case Difference(day, degrees):
                    month = months[day.month]
                    month.append(degrees)
                    if len(month) == monthrange(day.year, day.month)[1]:
                        print(f"{day:%B}: {fmean(month):+.1f} degrees, warmer on {sum(d > 0 for d in month)} days")
                case Missed(count):
                    print(f"too slow for {count} days")
                case _:
                    raise TypeError(f"unexpected on this topic: {each!r}")


async def main() -> None:
    async with trio.open_nursery() as readers, ActorSystem("weather") as system:
        joiners = await system.spawn_router(
            Joiner, size=4, strategy=ConsistentHash(lambda day: day.date.isoformat()), name="joiners"
        )
        system.topics.subscribe_ref("days.*", joiners)
        await readers.start(watch_for_gaps, system)
        await readers.start(report, system)

        stations = [await system.spawn(Station, name=name, mailbox=Bounded(100)) for name in FILES]
        async with trio.open_nursery() as feeds:
            for station, file in zip(stations, FILES.values(), strict=True):
                feeds.start_soon(feed, station, file)

        # An ask is answered when all that was sent before it has been handled.
        readings = {station.name: await station.ask(Close()) for station in stations}
        unmatched = sum(await joiners.ask(Broadcast(Unmatched())))
    # The subscriptions have ended with the system, and the readers with their subscriptions.
    print(f"{readings}, {unmatched} days without a counterpart")


if __name__ == "__main__":
    trio.run(main)
