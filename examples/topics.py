"""Publish and subscribe: an actor and a plain task hear of orders, and the shop that takes them knows neither."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, Missed, message


@message
class OrderPlaced:
    number: int


class Warehouse(Actor):
    def pre_start(self, ctx: Context) -> None:
        ctx.system.topics.subscribe_ref("orders.*", ctx.self)

    def receive(self, ctx: Context, msg: OrderPlaced) -> None:
        print("warehouse packs order", msg.number)


async def watch_abroad(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe("orders.abroad", buffer=2) as orders:
        task_status.started()
        async for order in orders:
            if isinstance(order, Missed):
                print("customs missed", order.count)
            else:
                print("customs looks at order", order.number)


async def main() -> None:
    async with ActorSystem("shop") as system, trio.open_nursery() as nursery:
        warehouse = await system.spawn(Warehouse, name="warehouse")
        await nursery.start(watch_abroad, system)

        system.topics.publish("orders.inland", OrderPlaced(1))
        system.topics.publish("orders.express", OrderPlaced(2))
        await trio.testing.wait_all_tasks_blocked()

        warehouse.stop()
        await warehouse.wait_stopped()  # its subscription ended with it
        for number in 3, 4, 5:  # one more than the buffer holds
            system.topics.publish("orders.abroad", OrderPlaced(number))
        await trio.testing.wait_all_tasks_blocked()

        print(system.topics.statistics())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
