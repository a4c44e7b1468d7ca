"""A persistent account and counter, and a journal that can be told to fail, for the tests of persistence."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.core.actors import Do, run_hook
from trioakt import (
    ActorFailedError,
    ActorRef,
    ActorSystem,
    Context,
    Directive,
    JournalFullError,
    OneForOne,
    Request,
    message,
)
from trioakt.persistence import EventSourced, MemoryJournal, Snapshotted

RESUME = OneForOne(default=Directive.RESUME)


@message(name="test.changed")
class Changed:
    amount: int


@message(name="test.account")
class Money:
    balance: int = 0
    changes: tuple[int, ...] = ()


@message
class Change(Request[int]):
    """Change the balance, by several events at once; answered with the new balance."""

    amounts: tuple[int, ...]


@message
class Balance(Request[Money]):
    """How much is there, and by which changes?"""


class OverdrawnError(Exception):
    """There is not so much money."""


class Account(EventSourced[Money]):
    """Changes its balance, which cannot be below zero, and obeys ``Do``."""

    def __init__(self, name: str = "ada", replayed: list[int] | None = None) -> None:
        super().__init__(name, Money())
        self.replayed = replayed if replayed is not None else []

    def apply(self, state: Money, event: Any) -> Money:
        self.replayed.append(event.amount)
        if state.balance + event.amount < 0:
            raise OverdrawnError(f"{state.balance} are too little for {event.amount}")
        return Money(state.balance + event.amount, (*state.changes, event.amount))

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Change(amounts):
                await self.persist(*map(Changed, amounts))
                ctx.reply(self.state.balance)
            case Balance():
                ctx.reply(self.state)
            case Do(function):
                await run_hook(function, ctx)
            case _:
                ctx.unhandled()


class OftenSnapshotted(Account):
    snapshot_every = 3


class Forgetful(OftenSnapshotted):
    keep_events = False


@message(name="test.count")
class Count:
    number: int = 0


@message
class Next(Request[int]):
    """Count one further; answered with the number."""


class Counter(Snapshotted[Count]):
    def __init__(self, name: str = "counter") -> None:
        super().__init__(name, Count())

    async def receive(self, ctx: Context, msg: Any) -> None:
        match msg:
            case Next():
                await self.save(Count(self.state.number + 1))
                ctx.reply(self.state.number)
            case Do(function):
                await run_hook(function, ctx)
            case _:
                ctx.unhandled()


class Moody(MemoryJournal):
    """A journal that is full or slow when it is told so.

    Attributes:
        full: Nothing can be written.
        gate: Writes wait for it once they are stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.gate = trio.Event()
        self.gate.set()

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        self._check_room()
        await super().append(persistence_id, after, events, token)
        await self.gate.wait()

    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        self._check_room()
        await super().save_snapshot(persistence_id, after, sequence, data, token)

    def _check_room(self) -> None:
        if self.full:
            raise JournalFullError("no room")


async def change(account: ActorRef, *amounts: int) -> int:
    """Ask an account to change."""
    return await account.ask(Change(amounts))


async def balance_in_a_new_system(journal: MemoryJournal, kind: type[Account] = Account) -> Money:
    """Return what a new life in another system finds."""
    async with ActorSystem("later", extensions=[journal]) as system:
        account = await system.spawn(kind)
        return await account.ask(Balance())


@asynccontextmanager
async def account(
    journal: MemoryJournal, kind: type[Account] = Account, *args: Any, **options: Any
) -> AsyncGenerator[ActorRef]:
    """Open a system with one account."""
    async with ActorSystem("test", extensions=[journal]) as system:
        yield await system.spawn(kind, *args, **options)


async def why_failed(account: ActorRef, *amounts: int) -> BaseException | None:
    """Ask for a change that must fail, and return the exception of the handler."""
    try:
        balance = await change(account, *amounts)
    except ActorFailedError as error:
        return error.__cause__
    raise AssertionError(f"it did not fail, the balance is {balance}")
