"""A warehouse hears of the orders of a shop, and of its failures; the shop is a node in a process of its own."""

import trio

from trioakt import Actor, ActorFailed, ActorSystem, Context, Remote, message


@message(name="shop.order-placed")
class OrderPlaced:
    number: int
    what: str


class Till(Actor):
    """Works in the shop, and publishes there what is sold; it knows no warehouse."""

    def receive(self, ctx: Context, msg: OrderPlaced) -> None:
        if msg.what == "nothing":
            raise ValueError("nobody buys nothing")
        ctx.system.topics.publish("orders.new", msg)


async def main() -> None:
    async with (
        ActorSystem("trade", remote=Remote(cookie="tea")) as warehouse,
        warehouse.open_process_node("shop", kinds=[Till]) as shop,
    ):
        till = await shop.spawn(Till, name="till")
        async with (
            warehouse.topics.subscribe("orders.*", node=shop.address) as orders,
            warehouse.remote_events(shop.address, ActorFailed) as failures,
        ):
            for number, what in enumerate(["tea", "nothing", "sugar"], 1):
                till.tell(OrderPlaced(number, what))
            for _ in range(2):
                print("pack", await anext(orders))
            failed = await anext(failures)
            print("trouble at", failed.ref.path, "with", failed.failure)


if __name__ == "__main__":
    trio.run(main)
