"""Bank transaction, on Pykka."""

from __future__ import annotations

from typing import Any

import pykka
from attrs import frozen

from benchmarks.savina import check
from benchmarks.savina.bank_transaction import OPENING, Balance, Deposit, Paid, expected, transfers

Ref = pykka.ActorRef[Any]


@frozen
class Work:
    transfers: int
    done: pykka.ThreadingFuture[int]


@frozen
class Pay:
    amount: int
    account: Ref
    sender: Ref


class Account(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.balance = OPENING

    def on_receive(self, message: Pay | Deposit | Balance) -> int | None:
        match message:
            case Pay(amount, account, sender):
                self.balance -= amount
                account.ask(Deposit(amount))
                sender.tell(Paid())
            case Deposit(amount):
                self.balance += amount
            case Balance():
                return self.balance
        return None


class Teller(pykka.ThreadingActor):
    done: pykka.ThreadingFuture[int]

    def __init__(self, accounts: list[Ref]) -> None:
        super().__init__()
        self.accounts = accounts
        self.transfers = self.paid = 0

    def on_receive(self, message: Work | Paid) -> None:
        match message:
            case Work(count, done):
                self.transfers, self.done = count, done
                for source, destination, amount in transfers(len(self.accounts), count):
                    self.accounts[source].tell(Pay(amount, self.accounts[destination], self.actor_ref))
            case Paid():
                self.paid += 1
                if self.paid == self.transfers:
                    self.done.set(self.paid)


def bank_transaction(accounts: int, count: int) -> int:
    """Make so many transfers between accounts."""
    refs: list[Ref] = [Account.start() for _ in range(accounts)]
    done = pykka.ThreadingFuture[int]()
    Teller.start(refs).tell(Work(count, done))
    check("transfers", done.get(), count)
    check("balances", [ref.ask(Balance()) for ref in refs], expected(accounts, count))
    return 4 * count
