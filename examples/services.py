"""Services that hear of events and never call each other; and events of an old shape, which a new service reads.

    order.placed -> stock.reserved -> invoice.paid    -> parcel.sent
                                   -> invoice.refused -> (the stock is released)
                 -> stock.missing

`services.archive` was written years ago, when an order was a single item with its price in euros.
"""

import base64
import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, PoisonPill, Request, message, upcast
from trioakt.codec import Codec

CODEC = Codec()


@message(name="order.placed", version=2)
class OrderPlaced:
    number: int
    customer: str
    items: dict[str, int]
    """How many of which."""
    cents: int


@upcast("order.placed", 1)
def several_items(old: dict[str, Any]) -> dict[str, Any]:
    """Until 2021 an order had an ``item`` and a ``price``."""
    item, price = old.pop("item"), old.pop("price")
    return {**old, "items": {item: 1}, "cents": round(100 * price)}


@message(name="stock.reserved")
class StockReserved:
    order: OrderPlaced


@message(name="stock.missing")
class StockMissing:
    number: int
    items: tuple[str, ...]


@message(name="invoice.paid")
class InvoicePaid:
    number: int
    cents: int


@message(name="invoice.refused")
class InvoiceRefused:
    order: OrderPlaced


@message(name="parcel.sent")
class ParcelSent:
    number: int


@message
class Wanted(Request[int]):
    """How many of this item have been ordered?"""

    item: str


class Stock(Actor):
    def __init__(self, **stock: int) -> None:
        self.stock = Counter(stock)

    def pre_start(self, ctx: Context) -> None:
        for topic in "order.placed", "invoice.refused":
            ctx.system.topics.subscribe_ref(topic, ctx.self)

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case OrderPlaced(number=number, items=items):
                if missing := tuple(item for item in items if items[item] > self.stock[item]):
                    ctx.system.topics.publish("stock.missing", StockMissing(number, missing))
                else:
                    self.stock.subtract(items)
                    ctx.system.topics.publish("stock.reserved", StockReserved(msg))
            case InvoiceRefused(order):
                self.stock.update(order.items)
            case _:
                ctx.unhandled()


class Billing(Actor):
    def __init__(self, **limits: int) -> None:
        self.limits = limits

    def pre_start(self, ctx: Context) -> None:
        ctx.system.topics.subscribe_ref("stock.reserved", ctx.self)

    def receive(self, ctx: Context, msg: StockReserved) -> None:
        order = msg.order
        if order.cents > self.limits[order.customer]:
            ctx.system.topics.publish("invoice.refused", InvoiceRefused(order))
        else:
            self.limits[order.customer] -= order.cents
            ctx.system.topics.publish("invoice.paid", InvoicePaid(order.number, order.cents))


class Shipping(Actor):
    def pre_start(self, ctx: Context) -> None:
        ctx.system.topics.subscribe_ref("invoice.paid", ctx.self)

    def receive(self, ctx: Context, msg: InvoicePaid) -> None:
        ctx.system.topics.publish("parcel.sent", ParcelSent(msg.number))


class Archive(Actor):
    """Appends every event to a file, as a line of text."""

    def __init__(self, file: Path) -> None:
        self.path = file

    async def pre_start(self, ctx: Context) -> None:
        self.file = await ctx.enter(await trio.open_file(self.path, "ab"))
        ctx.system.topics.subscribe_ref("*.*", ctx.self)

    async def receive(self, ctx: Context, msg: object) -> None:
        await self.file.write(base64.b64encode(CODEC.encode(msg)) + b"\n")
        await self.file.flush()


class Forecast(Actor):
    """Counts what people want. It came last: what it has missed it finds in the archive."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.wanted: Counter[str] = Counter()

    async def pre_start(self, ctx: Context) -> None:
        for line in (await trio.Path(self.archive).read_bytes()).splitlines():
            event = CODEC.decode(base64.b64decode(line))  # in its newest shape, whatever it was written in
            if isinstance(event, OrderPlaced):
                self.wanted.update(event.items)
        ctx.system.topics.subscribe_ref("order.placed", ctx.self)

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case OrderPlaced(items=items):
                self.wanted.update(items)
            case Wanted(item):
                ctx.reply(self.wanted[item])
            case _:
                ctx.unhandled()


async def tell_what_happens(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe("*.*") as events:
        task_status.started()
        async for event in events:
            print(" ", event)


async def main(archive: Path) -> None:
    async with trio.open_nursery() as readers, ActorSystem("shop") as system:
        await readers.start(tell_what_happens, system)
        keeper = await system.spawn(Archive, archive, name="archive")
        stock = partial(Stock, lamp=1, chair=5)
        for service in stock, partial(Billing, ada=100_00, eve=50_00), Shipping:
            await system.spawn(service)

        for order in (
            OrderPlaced(4, "ada", {"lamp": 1, "chair": 1}, 90_00),
            OrderPlaced(5, "eve", {"chair": 4}, 240_00),
            OrderPlaced(6, "eve", {"lamp": 1}, 40_00),
            OrderPlaced(7, "eve", {"chair": 4}, 45_00),
        ):
            print("order", order.number)
            system.topics.publish("order.placed", order)
            await trio.testing.wait_all_tasks_blocked()

        keeper.tell(PoisonPill())  # behind the last event
        await keeper.wait_stopped()
        forecast = await system.spawn(Forecast, archive, name="forecast")
        print("wanted:", {item: await forecast.ask(Wanted(item)) for item in ("chair", "desk", "lamp")})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        copy = shutil.copy(Path(__file__).with_name("services.archive"), directory)
        trio.run(main, Path(copy))
