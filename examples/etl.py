"""A worker pool: the rows of a state are fetched (slow network), measured (slow sums) and stored (slow disk).

    orders -> Desk (a bounded mailbox, eight orders in hand) <-> Fetcher (a pool that grows)
                                                             <-> Bench (other processes)
                                                              -> Store (a thread, in batches)

It finds the most remote airport of each state, in data of the package `vega_datasets`: pip install vega_datasets.
"""

import csv
import sqlite3
from collections import defaultdict
from functools import partial
from importlib.metadata import distribution
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

import trio

from trioakt import (
    Actor,
    ActorRef,
    ActorSystem,
    Bounded,
    Context,
    Directive,
    LeastFull,
    OneForOne,
    PipeFailed,
    Reentrancy,
    ReplyTo,
    Request,
    Resizer,
    message,
)

Airport = tuple[str, float, float]
"""Name, latitude and longitude in degrees."""


@message
class Order:
    state: str


@message
class Fetch(Request[list[Airport]]):
    state: str


@message
class Measure(Request[tuple[str, float]]):
    airports: list[Airport]


@message
class Measured:
    asker: ReplyTo
    farthest: tuple[str, float]


@message
class Found:
    state: str
    airport: str
    kilometers: int


@message
class Written:
    rows: int


@message
class Tick:
    pass


@message
class Complete(Request[None]):
    """Answered when so many rows are stored."""

    rows: int


class Fetcher(Actor):
    """Stands for the client of a slow service. It does one thing at a time, that is what the pool is for."""

    def __init__(self, airports: dict[str, list[Airport]]) -> None:
        self.airports = airports

    async def receive(self, ctx: Context, msg: Fetch) -> None:
        await trio.sleep(0.02)
        ctx.reply(self.airports[msg.state])


def read_airports() -> dict[str, list[Airport]]:
    airports: dict[str, list[Airport]] = defaultdict(list)
    path = Path(str(distribution("vega_datasets").locate_file("vega_datasets/_data/airports.csv")))
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["state"] not in ("", "NA"):
                airports[row["state"]].append((row["name"], float(row["latitude"]), float(row["longitude"])))
    return airports


class Desk(Actor):
    """Sees each order through. It has several in hand, since it goes on with the next one while it waits."""

    def __init__(self, airports: dict[str, list[Airport]], store: ActorRef) -> None:
        self.airports = airports
        self.store = store

    async def pre_start(self, ctx: Context) -> None:
        resizer = Resizer(2, 8, target_depth=1)
        self.fetchers = await ctx.spawn_router(
            Fetcher, self.airports, strategy=LeastFull(), resizer=resizer, name="fetchers"
        )
        self.bench = await ctx.spawn(Bench, name="bench")

    async def receive(self, ctx: Context, msg: Order) -> None:
        airports = await ctx.ask(self.fetchers, Fetch(msg.state))
        airport, kilometers = await ctx.ask(self.bench, Measure(airports))
        self.store.tell(Found(msg.state, airport, round(kilometers)))


class Bench(Actor):
    """Has sums done in other processes, as many at a time as there are processors."""

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Measure(airports):
                ctx.pipe_process_to(ctx.self, most_remote, airports, wrap=partial(Measured, ctx.reply_to))
            case Measured(asker, farthest):
                asker.reply(farthest)
            case PipeFailed(failure):
                raise RuntimeError(f"cannot measure: {failure}")
            case _:
                ctx.unhandled()


def most_remote(airports: list[Airport]) -> tuple[str, float]:
    """Return the airport with the longest way to its nearest neighbor, and that way."""
    remote = {
        each[0]: min((distance(each, other) for other in airports if other != each), default=0.0) for each in airports
    }
    return max(remote.items(), key=lambda item: item[1])


def distance(one: Airport, other: Airport) -> float:
    """Return kilometers on a sphere, by the haversine formula."""
    latitude, longitude, there, far = map(radians, (*one[1:], *other[1:]))
    h = sin((there - latitude) / 2) ** 2 + cos(latitude) * cos(there) * sin((far - longitude) / 2) ** 2
    return 2 * 6371 * asin(sqrt(h))


class Store(Actor):
    """Writes what it is told in a thread, one batch at a time; what comes meanwhile is the next batch."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.batch: list[Found] = []
        self.writing = False
        self.stored = 0
        self.waiting: dict[int, ReplyTo] = {}

    def pre_start(self, ctx: Context) -> None:
        ctx.schedule_every(0.2, Tick())

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Found():
                self.batch.append(msg)
            case Written(rows):
                self.writing = False
                self.stored += rows
            case Complete(rows):
                self.waiting[rows] = ctx.reply_to
            case Tick():
                print(f"{self.stored} states so far")
            case PipeFailed(failure):
                raise RuntimeError(f"cannot write: {failure}")
            case _:
                ctx.unhandled()
        if self.batch and not self.writing:
            self.writing, batch, self.batch = True, self.batch, []
            ctx.pipe_thread_to(ctx.self, self.write, batch, wrap=Written)
        if self.stored in self.waiting:
            self.waiting.pop(self.stored).reply(None)

    def write(self, batch: list[Found]) -> int:
        with self.database:
            self.database.executemany(
                "INSERT INTO remote VALUES (?, ?, ?)", [(each.state, each.airport, each.kilometers) for each in batch]
            )
        return len(batch)


async def main() -> None:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE TABLE remote (state TEXT PRIMARY KEY, airport TEXT, kilometers INTEGER)")
    airports = read_airports()
    async with ActorSystem("etl") as system:
        store = await system.spawn(Store, database, supervision=OneForOne(default=Directive.ESCALATE), name="store")
        desk = await system.spawn(
            Desk, airports, store, mailbox=Bounded(8), reentrancy=Reentrancy(max_in_flight=8), name="desk"
        )
        for state in sorted(airports):
            await desk.send(Order(state))  # waits while the desk has its hands full
        await store.ask(Complete(len(airports)))
    for row in database.execute("SELECT * FROM remote ORDER BY kilometers DESC LIMIT 5"):
        print(*row)
    database.close()


if __name__ == "__main__":
    trio.run(main)
