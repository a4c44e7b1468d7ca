"""Requests that name the type of their reply: a type checker knows what each `ask` returns."""

import trio

from trioakt import Actor, ActorFailedError, ActorSystem, Context, Request, UnhandledMessageError, message


@message
class InStock(Request[int]):
    item: str


@message
class Take(Request[list[str]]):
    """Take some pieces out; the reply is their serial numbers."""

    item: str
    pieces: int


@message
class Price(Request[float]):
    item: str


class OutOfStockError(Exception):
    pass


class Warehouse(Actor):
    def __init__(self, stock: dict[str, int]) -> None:
        self.stock = stock

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case InStock(item):
                ctx.reply(self.stock.get(item, 0))
            case Take(item, pieces):
                left = self.stock.get(item, 0)
                if pieces > left:
                    # A refusal is an answer: the asker is told, the warehouse has not failed and goes on.
                    ctx.reply_to.fail(OutOfStockError(f"{left} of {item} left, {pieces} wanted"))
                    return
                self.stock[item] = left - pieces
                ctx.reply([f"{item}-{left - number}" for number in range(pieces)])
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("shop") as system:
        warehouse = await system.spawn(Warehouse, {"lamp": 3}, name="warehouse")

        lamps = await warehouse.ask(InStock("lamp"))  # int
        print("lamps in stock:", lamps)

        serials = await warehouse.ask(Take("lamp", 2))  # list[str]
        print("taken:", ", ".join(serials))

        try:
            await warehouse.ask(Take("lamp", 2))
        except ActorFailedError as error:
            print("refused:", error.__cause__)

        try:
            await warehouse.ask(Price("lamp"))  # float, if only the warehouse knew about prices
        except UnhandledMessageError as error:
            print("not understood:", error)

        print("lamps in stock:", await warehouse.ask(InStock("lamp")))
        print("failures:", system.statistics().failures)


if __name__ == "__main__":
    trio.run(main)
