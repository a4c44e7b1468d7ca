"""Shopping carts: an actor for each session, dropped when it is idle, made again when somebody comes back.

What is in a cart is saved at each change, since it must outlive the actor. What was looked at lives in the actor alone:
it may be forgotten.
"""

import random

import attrs
import trio
import trio.testing

from trioakt import (
    Actor,
    ActorRef,
    ActorStarted,
    ActorStopped,
    ActorSystem,
    Context,
    Eviction,
    Idle,
    Never,
    Request,
    message,
)
from trioakt.persistence import MemoryJournal, Snapshotted

HALF_AN_HOUR = 1800.0


@message
class Look:
    session: str
    item: str


@message
class Seen(Request[list[str]]):
    session: str


@message
class Add(Request[int]):
    """Put one in the cart; how many are in it now?"""

    session: str
    item: str


@message
class CheckOut(Request[dict[str, int]]):
    session: str


@message(name="cart")
class Cart:
    items: dict[str, int] = attrs.field(factory=dict[str, int])


class Session(Snapshotted[Cart]):
    def __init__(self, name: str) -> None:
        super().__init__(f"session/{name}", Cart())
        self.seen: list[str] = []

    async def receive(self, ctx: Context, msg: object) -> None:
        items = self.state.items
        match msg:
            case Look(item=item):
                self.seen.append(item)
            case Seen():
                ctx.reply(self.seen)
            case Add(item=item):
                await self.save(Cart({**items, item: items.get(item, 0) + 1}))
                ctx.reply(sum(self.state.items.values()))
            case CheckOut():
                await self.save(Cart())
                ctx.reply(items)
            case _:
                ctx.unhandled()


class Sessions(Actor):
    """Knows no session by heart: it finds the one that is there, or makes it."""

    async def receive(self, ctx: Context, msg: Look | Seen | Add | CheckOut) -> None:
        name = msg.session
        ctx.forward(await ctx.get_or_spawn(Session, name, name=name, passivation=Idle(HALF_AN_HOUR)))


class Census:
    """Counts the sessions that are alive, by the events."""

    def __init__(self) -> None:
        self.alive = self.most = self.started = 0

    def __call__(self, event: ActorStarted | ActorStopped) -> None:
        self.alive += 1 if isinstance(event, ActorStarted) else -1
        self.started += isinstance(event, ActorStarted)
        self.most = max(self.most, self.alive)


async def follow_ada(system: ActorSystem, sessions: ActorRef) -> None:
    sessions.tell(Look("ada", "lamp"))
    await sessions.ask(Add("ada", "lamp"))
    await trio.sleep(HALF_AN_HOUR - 1)
    print("ada has seen", await sessions.ask(Seen("ada")))
    await trio.sleep(HALF_AN_HOUR + 1)
    print("an idle hour later her actor is", system.actor("sessions/ada"))
    print("she has seen", await sessions.ask(Seen("ada")), "and buys", await sessions.ask(CheckOut("ada")))


async def visit(sessions: ActorRef, name: str, rng: random.Random, right: list[bool]) -> None:
    """Come within a day, fill a cart, with a long break or two; at the end it must hold what was put into it."""
    await trio.sleep(rng.uniform(0, 86_400))
    expected = rng.randint(1, 8)
    for _ in range(expected):
        await sessions.ask(Add(name, "thing"))
        await trio.sleep(rng.choice([30, 120, 600, 7200]))
    right.append(await sessions.ask(CheckOut(name)) == {"thing": expected})


async def main() -> None:
    eviction = Eviction(limit=20, policy="lru", fraction=0.2, interval=60.0)
    async with ActorSystem("shop", extensions=[MemoryJournal()], eviction=eviction) as system:
        sessions = await system.spawn(Sessions, name="sessions", passivation=Never())
        await follow_ada(system, sessions)

        census, right = Census(), list[bool]()
        with system.events.listen(census, ActorStarted, ActorStopped):
            async with trio.open_nursery() as nursery:
                for number in range(400):
                    nursery.start_soon(visit, sessions, f"visitor-{number}", random.Random(number), right)
        print(f"{len(right)} visitors: {census.started} actors in all, at most {census.most} at a time")
        print("carts with the right things:", sum(right))


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: a day in a moment
