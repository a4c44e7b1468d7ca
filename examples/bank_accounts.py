"""Bank accounts: a grain for each account and each transfer. They are killed at any moment, and no money is lost.

Accounts remember each booking with its key, so to book once more under the same key changes nothing. Whoever gets no
answer asks again.
"""

import random

import trio
import trio.testing

from trioakt import ActorError, ActorSystem, Context, Grain, GrainRef, Idle, Request, ask_all, message
from trioakt.grains.persistent import EventSourcedGrain
from trioakt.persistence import MemoryJournal

Bookings = dict[str, int]


@message
class Book(Request[bool]):
    """Book an amount under a key; or is there too little money?"""

    key: str
    amount: int


@message
class Balance(Request[int]):
    """How much is there?"""


@message(name="bank.booked")
class Booked:
    key: str
    amount: int


class Account(EventSourcedGrain[Bookings]):
    """Its identity is the name of its owner."""

    passivation = Idle(5.0)

    def __init__(self) -> None:
        super().__init__({}, kind="account")

    def apply(self, state: Bookings, event: Booked) -> Bookings:
        return {**state, event.key: event.amount}

    async def receive(self, ctx: Context, msg: object) -> None:
        balance = sum(self.state.values())
        match msg:
            case Balance():
                ctx.reply(balance)
            case Book(key) if key in self.state:
                ctx.reply(True)
            case Book(_, amount) if balance + amount < 0:
                ctx.reply(False)
            case Book(key, amount):
                await self.persist(Booked(key, amount))
                ctx.reply(True)
            case _:
                ctx.unhandled()


@message
class Pay(Request[bool]):
    source: str
    target: str
    amount: int


class Transfer(Grain):
    """Its identity is the key of its two bookings; asked twice, it goes through the same steps again."""

    passivation = Idle(1.0)

    async def receive(self, ctx: Context, msg: Pay) -> None:
        source, target = ctx.system.grain(Account, msg.source), ctx.system.grain(Account, msg.target)
        paid = await source.ask(Book(ctx.identity, -msg.amount))
        await trio.sleep(0.01)  # a bank is not in a hurry; here it is killed most often
        if paid:
            await target.ask(Book(ctx.identity, msg.amount))
        ctx.reply(paid)


repeated: list[str] = []


async def pay(system: ActorSystem, key: str, order: Pay) -> bool:
    """Ask until there is an answer."""
    while True:
        try:
            return await system.grain(Transfer, key).ask(order)
        except ActorError:  # it failed, or was killed: whether it was done, nobody knows
            repeated.append(key)
            await trio.sleep(0.1)


async def pay_around(system: ActorSystem, names: list[str], number: int, answers: list[bool]) -> None:
    rng = random.Random(number)
    source, target = rng.sample(names, 2)
    await trio.sleep(number * 0.01)
    answers.append(await pay(system, f"transfer-{number}", Pay(source, target, rng.randint(1, 100))))


async def kill_around(system: ActorSystem, names: list[str], rng: random.Random) -> None:
    """Kill each third transfer in the middle, and an account with it."""
    await trio.sleep(0.005)
    for number in range(0, 500, 3):
        system.grain(Transfer, f"transfer-{number}").kill()
        system.grain(Account, rng.choice(names)).kill()
        await trio.sleep(0.03)


async def main() -> None:
    async with ActorSystem("bank", extensions=[MemoryJournal()]) as system:
        ada, bob = system.grain(Account, "ada"), system.grain(Account, "bob")
        await ada.ask(Book("opening", 100))
        print("ada pays bob 30:", await pay(system, "first", Pay("ada", "bob", 30)))
        print("asked once more:", await pay(system, "first", Pay("ada", "bob", 30)))
        print("ada pays bob 500:", await pay(system, "second", Pay("ada", "bob", 500)))
        await trio.sleep(10)
        print("grains after ten idle seconds:", sum(isinstance(ref, GrainRef) for ref in system.actors()))
        print("ada has", await ada.ask(Balance()), "and bob has", await bob.ask(Balance()))

        names = [f"account-{number}" for number in range(20)]
        for name in names:
            await system.grain(Account, name).ask(Book("opening", 100))
        answers: list[bool] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_around, system, names, random.Random(0))
            for number in range(500):
                nursery.start_soon(pay_around, system, names, number, answers)
        balances = await ask_all([system.grain(Account, name) for name in names], Balance())
        print(len(answers), "transfers have an answer, some of them no:", set(answers) == {True, False})
        print("asked for again:", len(set(repeated)))
        print(
            "there were", sum(100 for _ in names), "and there are", sum(balances), "- nobody owes:", min(balances) >= 0
        )


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
