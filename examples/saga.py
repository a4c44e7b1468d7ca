"""A saga: money moves between accounts in steps, each stored before the next; what cannot be finished is undone.

    withdraw -> deposit -> done
             -> (the target takes nothing) -> refund -> undone
    (the source has not enough) -> refused

The program starts its own service, kills it in the middle, and starts it again: nothing is lost, nothing done twice.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, PipeFailed, ReplyTo, Request, message
from trioakt.persistence import EventSourced, open_sqlite_journal


@message
class Book(Request[bool]):
    """Put so many cents into an account, or take them out; whoever doubts that it was done, asks again with the key."""

    key: str
    cents: int
    must: bool = False
    """Whether it cannot be refused."""


@message(name="account.booked")
class Booked:
    key: str
    cents: int


@attrs.frozen
class Ledger:
    balance: int = 0
    keys: frozenset[str] = frozenset()


@message
class Balance(Request[int]):
    pass


class Account(EventSourced[Ledger]):
    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"account/{name}", Ledger())
        self.limit = limit

    def apply(self, state: Ledger, event: Booked) -> Ledger:
        return Ledger(state.balance + event.cents, state.keys | {event.key})

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Book(key) if key in self.state.keys:
                ctx.reply(True)
            case Book(key, cents, must) if must or 0 <= self.state.balance + cents <= self.limit:
                await self.persist(Booked(key, cents))
                ctx.reply(True)
            case Book():
                ctx.reply(False)
            case Balance():
                ctx.reply(self.state.balance)
            case _:
                ctx.unhandled()
