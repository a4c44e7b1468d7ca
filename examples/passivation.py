"""Idle actors go and come back: a parent spawns an actor for each customer, and only the busy ones stay in memory."""

from typing import Any

import trio
import trio.testing

from trioakt import Actor, ActorPassivated, ActorSystem, Context, Eviction, Idle, Never, Request, message


@message
class Visit(Request[str]):
    customer: str


class Customer(Actor):
    def __init__(self, visits: dict[str, int]) -> None:
        self.visits = visits  # what must outlive the actor is kept elsewhere, here in a dict of its parent

    def receive(self, ctx: Context, msg: Visit) -> None:
        self.visits[msg.customer] = self.visits.get(msg.customer, 0) + 1
        ctx.reply(f"visit {self.visits[msg.customer]} of {msg.customer}")


class Shop(Actor):
    def __init__(self) -> None:
        self.visits: dict[str, int] = {}

    async def receive(self, ctx: Context, msg: Visit) -> None:
        customer = await ctx.get_or_spawn(Customer, self.visits, name=msg.customer, passivation=Idle(60.0))
        ctx.forward(customer)


gone: list[str] = []


def note(event: ActorPassivated) -> None:
    gone.append(event.ref.name)


async def main() -> None:
    eviction = Eviction(limit=4, policy="lru", fraction=0.5, interval=5.0)
    async with ActorSystem("shop", eviction=eviction) as system:
        with system.events.listen(note, ActorPassivated):
            shop: Any = await system.spawn(Shop, name="shop", passivation=Never())
            print(await shop.ask(Visit("ada")))
            await trio.sleep(50)
            print(await shop.ask(Visit("ada")))
            await trio.sleep(61)
            print("gone:", *gone)
            print(await shop.ask(Visit("ada")), "in a new life")
            for name in ["bob", "cyd", "dan"]:  # with the shop they are five, and the limit is four
                await trio.sleep(0.1)
                await shop.ask(Visit(name))
            await trio.sleep(10)
            print("gone:", *sorted(gone))
            print(system.tree())


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
