"""Event-sourced actors, each of which stores an event before it answers."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio

from benchmarks.workloads import on_trio
from trioakt import ActorRef, ActorSystem, Context, Request, message
from trioakt.persistence import EventSourced, SqliteJournal, open_sqlite_journal

if TYPE_CHECKING:
    from benchmarks.workloads import Measured


@message
class Deposit(Request[int]):
    """Pay in; answered with the new balance when it is on the disk."""

    amount: int


@message(name="benchmarks.deposited")
class Deposited:
    amount: int


class Account(EventSourced[int]):
    """Remembers what was paid in."""

    def __init__(self, number: int) -> None:
        super().__init__(f"account-{number}", 0)

    def apply(self, state: int, event: Deposited) -> int:
        return state + event.amount

    async def receive(self, ctx: Context, msg: Deposit) -> None:
        await self.persist(Deposited(msg.amount))
        ctx.reply(self.state)


async def _pay_in(account: ActorRef, times: int) -> None:
    for _ in range(times):
        await account.ask(Deposit(1))


async def _write(journal: SqliteJournal, writers: int, each: int) -> Measured:
    async with ActorSystem("benchmarks", extensions=[journal]) as system:
        accounts = [await system.spawn(Account, number) for number in range(writers)]
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(_pay_in, account, each)
        elapsed = time.perf_counter() - started
    return {"value": writers * each / elapsed, "commits": journal.statistics().commits}


async def _persist(writers: int, each: int) -> Measured:
    """Let so many actors write at once; events per second."""
    with TemporaryDirectory() as folder:
        async with open_sqlite_journal(Path(folder) / "events") as journal:
            return await _write(journal, writers, each)


WORKLOADS = on_trio({"persist": _persist})
