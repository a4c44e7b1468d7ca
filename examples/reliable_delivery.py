"""Reliable delivery: a till and a ledger. The ledger stumbles, the shop closes, and no sale is lost or booked twice."""

from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from trioakt import Actor, ActorSystem, Context, message
from trioakt.delivery import DurableQueue, open_queue, spawn_consumer, spawn_producer


@message(name="shop.sale")
class Sale:
    number: int
    article: str


class Ledger(Actor):
    """Books sales. It needs to know nothing of how they come to it."""

    def __init__(self, book: list[int]) -> None:
        self.book = book

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Sale(2, article) if not ctx.self.statistics().restarts:
                print("  the pen breaks over", article)
                raise OSError("no pen")
            case Sale(number, article):
                self.book.append(number)
                print("  booked:", article)
            case _:
                ctx.unhandled()


async def first_day(queue: DurableQueue, book: list[int]) -> None:
    async with ActorSystem("shop") as system:
        ledger = await system.spawn(Ledger, book, name="ledger")
        inbox = await spawn_consumer(system, to=ledger, name="inbox")
        till = await spawn_producer(system, "till-1", to=inbox, queue=queue)

        await till.send(Sale(1, "a lamp"))  # accepted: on the disk, and on its way
        await till.send(Sale(2, "a chair"))
        await till.deliver(Sale(3, "a table"))  # handled: it is in the book

        ledger.stop()  # the bookkeeper goes home early
        await inbox.wait_stopped()
        await till.send(Sale(4, "a rug"))
        await till.send(Sale(5, "a vase"))


async def second_day(queue: DurableQueue, book: list[int]) -> None:
    async with ActorSystem("shop") as system:
        ledger = await system.spawn(Ledger, book, name="ledger")
        inbox = await spawn_consumer(system, to=ledger, name="inbox")
        till = await spawn_producer(system, "till-1", to=inbox, queue=queue)
        await till.wait_confirmed()


async def main() -> None:
    book: list[int] = []
    with TemporaryDirectory() as folder:
        for day in first_day, second_day:
            print(day.__name__.replace("_", " "))
            async with open_queue(Path(folder) / "sales.db") as queue:
                await day(queue, book)
    print("the book:", book)


if __name__ == "__main__":
    trio.run(main)
