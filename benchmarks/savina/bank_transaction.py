"""Bank transaction: a teller has money moved between accounts; one that pays asks the other before it says it is done.

As in the paper, money goes only to accounts of a higher number, so that two never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, ask_all, message

OPENING: Final = 1_000_000


@message
class Work(Request[int]):
    """Have so many transfers made; the answer is how many were."""

    transfers: int


@message
class Pay:
    """Move money to another account, and say so when it is there."""

    amount: int
    account: ActorRef


@message
class Paid:
    """The money has arrived."""


@message
class Deposit(Request[None]):
    """Take money; answered when it is there."""

    amount: int


@message
class Balance(Request[int]):
    """What there is."""


def transfers(accounts: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Yield from where, to where, and how much; always the same."""
    rng = Random(0)
    for _ in range(count):
        source = rng.randrange(accounts * 8 // 10)
        yield source, rng.randrange(source + 1, accounts), rng.randrange(1, 100)


def expected(accounts: int, count: int) -> list[int]:
    """Return the balances after so many transfers."""
    balances = [OPENING] * accounts
    for source, destination, amount in transfers(accounts, count):
        balances[source] -= amount
        balances[destination] += amount
    return balances


class Account(Actor):
    """Pays and is paid."""

    def __init__(self) -> None:
        self.balance = OPENING

    async def receive(self, ctx: Context, msg: Pay | Deposit | Balance) -> None:
        match msg:
            case Pay(amount, account):
                self.balance -= amount
                await account.ask(Deposit(amount))
                ctx.reply(Paid())
            case Deposit(amount):
                self.balance += amount
                ctx.reply(None)
            case Balance():
                ctx.reply(self.balance)


class Teller(Actor):
    """Orders the transfers and counts what was paid."""

    done: ReplyTo

    def __init__(self, accounts: list[ActorRef]) -> None:
        self.accounts = accounts
        self.transfers = self.paid = 0

    def receive(self, ctx: Context, msg: Work | Paid) -> None:
        match msg:
            case Work(count):
                self.transfers, self.done = count, ctx.reply_to
                for source, destination, amount in transfers(len(self.accounts), count):
                    self.accounts[source].tell(Pay(amount, self.accounts[destination]), sender=ctx.self)
            case Paid():
                self.paid += 1
                if self.paid == self.transfers:
                    self.done.reply(self.paid)


async def bank_transaction(system: ActorSystem, accounts: int, count: int) -> int:
    """Make so many transfers between accounts."""
    refs = [await system.spawn(Account) for _ in range(accounts)]
    teller = await system.spawn(Teller, refs)
    check("transfers", await teller.ask(Work(count)), count)
    check("balances", await ask_all(refs, Balance()), expected(accounts, count))
    return 4 * count
