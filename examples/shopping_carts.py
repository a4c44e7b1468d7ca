"""Shopping carts: a grain for each visitor, dropped when the visitor stays away, and one for each item in stock.

What is put into a cart is set aside for it. A cart that is dropped gives back what it holds, so nothing stays reserved
for somebody who has left, and nothing is sold twice.
"""

import random

import trio
import trio.testing

from trioakt import ActorSystem, Context, Grain, GrainRef, Idle, Never, Request, ask_all, message

HALF_AN_HOUR = 1800.0


@message
class Reserve(Request[bool]):
    """Set one aside; or are there none?"""


@message
class Release:
    count: int


@message
class Stock(Request[int]):
    """How many are left?"""


class Item(Grain):
    """Its identity is its name; of each there are ten at first."""

    passivation = Never()  # it has no memory but this one

    def __init__(self) -> None:
        self.left = 10

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Reserve():
                is_there = self.left > 0
                self.left -= is_there
                ctx.reply(is_there)
            case Release(count):
                self.left += count
            case Stock():
                ctx.reply(self.left)
            case _:
                ctx.unhandled()


@message
class Add(Request[bool]):
    item: str


@message
class Buy(Request[dict[str, int]]):
    """Pay for what is in the cart; what is it?"""


class Cart(Grain):
    """Its identity is that of the visitor."""

    passivation = Idle(HALF_AN_HOUR)

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Add(item):
                is_there = await ctx.system.grain(Item, item).ask(Reserve())
                if is_there:
                    self.items[item] = self.items.get(item, 0) + 1
                ctx.reply(is_there)
            case Buy():
                ctx.reply(self.items)
                self.items = {}
            case _:
                ctx.unhandled()

    def post_stop(self, ctx: Context) -> None:
        for item, count in self.items.items():
            ctx.system.grain(Item, item).tell(Release(count))


async def follow_ada(system: ActorSystem) -> None:
    cart, lamps = system.grain(Cart, "ada"), system.grain(Item, "lamp")
    for _ in range(3):
        await cart.ask(Add("lamp"))
    print("ada has three lamps in her cart, the shop has", await lamps.ask(Stock()))
    await trio.sleep(HALF_AN_HOUR + 1)
    print("she has left; the shop has", await lamps.ask(Stock()))
    await cart.ask(Add("lamp"))
    print("she is back, and buys", await cart.ask(Buy()))


async def visit(system: ActorSystem, name: str, rng: random.Random, sold: list[str]) -> None:
    """Come within two hours, put some things into a cart, and buy them or forget about it."""
    cart = system.grain(Cart, name)
    await trio.sleep(rng.uniform(0, 7200))
    for _ in range(rng.randint(1, 3)):
        await cart.ask(Add(rng.choice(["lamp", "chair", "table"])))
        await trio.sleep(rng.uniform(10, 600))
    if rng.random() < 0.2:
        for item, count in (await cart.ask(Buy())).items():
            sold += [item] * count


async def main() -> None:
    async with ActorSystem("shop") as system:
        await follow_ada(system)
        sold = ["lamp"]
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(visit, system, f"visitor-{number}", random.Random(number), sold)
        print("200 visitors have come and gone; carts:", sum(ref.kind.endswith("Cart") for ref in grains(system)))
        await trio.sleep(HALF_AN_HOUR + 1)
        print("half an hour later; carts:", sum(ref.kind.endswith("Cart") for ref in grains(system)))
        names = ["lamp", "chair", "table"]
        left = await ask_all([system.grain(Item, name) for name in names], Stock())
        for name, count in zip(names, left, strict=True):
            print(f"{name}: {sold.count(name)} sold, {count} left")


def grains(system: ActorSystem) -> list[GrainRef]:
    return [ref for ref in system.actors() if isinstance(ref, GrainRef)]


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: hours in a moment
