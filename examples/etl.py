"""A worker pool: the rows of a state are fetched (slow network), measured (slow sums) and stored (slow disk).

    orders -> Desk (bounded mailbox, eight in hand) -> Fetcher (a pool that grows) -> threads -> Store (in batches)

It finds the most remote airport of each state, in data of the package `vega_datasets`: pip install vega_datasets.
"""

import csv
import sqlite3
from collections import defaultdict
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


class Service:
    """Stands for a slow service somewhere."""

    def __init__(self) -> None:
        self.airports: dict[str, list[Airport]] = defaultdict(list)
        path = Path(str(distribution("vega_datasets").locate_file("vega_datasets/_data/airports.csv")))
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if row["state"] not in ("", "NA"):
                    self.airports[row["state"]].append((row["name"], float(row["latitude"]), float(row["longitude"])))

    async def get(self, state: str) -> list[Airport]:
        await trio.sleep(0.02)
        return self.airports[state]


class Fetcher(Actor):
    """Fetches one thing at a time; that others wait meanwhile is what the pool is for."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def receive(self, ctx: Context, msg: Fetch) -> None:
        ctx.reply(await self.service.get(msg.state))


class Desk(Actor):
    """Sees each order through. It has several in hand, since it goes on with the next one while it waits."""

    def __init__(self, service: Service, store: ActorRef) -> None:
        self.service = service
        self.store = store

    async def pre_start(self, ctx: Context) -> None:
        self.fetchers = await ctx.spawn_router(
            Fetcher,
            self.service,
            strategy=LeastFull(),
            resizer=Resizer(2, 8, target_depth=1),
            name="fetchers",
        )

    async def receive(self, ctx: Context, msg: Order) -> None:
        airports = await ctx.ask(self.fetchers, Fetch(msg.state))
        async with ctx.interleave():
            airport, kilometers = await trio.to_thread.run_sync(most_remote, airports)
        self.store.tell(Found(msg.state, airport, round(kilometers)))


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
    service = Service()
    async with ActorSystem("etl") as system:
        store = await system.spawn(Store, database, supervision=OneForOne(default=Directive.ESCALATE), name="store")
        desk = await system.spawn(
            Desk, service, store, mailbox=Bounded(8), reentrancy=Reentrancy(max_in_flight=8), name="desk"
        )
        for state in sorted(service.airports):
            await desk.send(Order(state))  # waits while the desk has its hands full
        await store.ask(Complete(len(service.airports)))
    for row in database.execute("SELECT * FROM remote ORDER BY kilometers DESC LIMIT 5"):
        print(*row)
    database.close()


if __name__ == "__main__":
    trio.run(main)
