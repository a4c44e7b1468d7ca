"""Logs: what happens in a shop, as text for people and as JSON for machines, each line with its actor and its cause."""

import sys

import trio
import trio.testing
from loguru import logger

from trioakt import Actor, ActorRef, ActorSystem, Context, message
from trioakt.observability import Correlation, correlated, json_line, open_logging, text_line


@message
class Order:
    item: str
    pieces: int


class Warehouse(Actor):
    def receive(self, ctx: Context, msg: Order) -> None:
        if msg.pieces > 10:
            raise ValueError(f"{msg.pieces} pieces of {msg.item}?\nnobody has so many")
        ctx.log.info("packed %s", msg.item, extra={"pieces": msg.pieces})


class Till(Actor):
    def __init__(self, warehouse: ActorRef[Order]) -> None:
        self.warehouse = warehouse

    def receive(self, ctx: Context, msg: Order) -> None:
        ctx.log.info("sold %s", msg.item)
        self.warehouse.tell(msg)


async def sell(orders: dict[str, Order]) -> None:
    system = ActorSystem("shop", extensions=[Correlation()])
    async with open_logging(system), system:  # around the system: it also tells of the end
        warehouse = await system.spawn(Warehouse, name="warehouse")
        till = await system.spawn(Till, warehouse, name="till")
        for number, order in orders.items():
            with correlated(number):
                till.tell(order)
        await trio.testing.wait_all_tasks_blocked()


def main() -> None:
    logger.remove()  # the sink on stderr that loguru begins with: how it looks is the application's business
    logger.add(sys.stdout, format=text_line)
    trio.run(sell, {"order-1": Order("lamps", 2), "order-2": Order("chairs", 70)})

    logger.remove()
    logger.add(sys.stdout, format=json_line)
    trio.run(sell, {"order-3": Order("desks", 1)})


if __name__ == "__main__":
    main()
