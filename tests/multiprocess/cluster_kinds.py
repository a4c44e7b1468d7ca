"""What the nodes of the clusters under test own, and the file that checks their fencing tokens."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import trio

from trioakt import Actor, Context, Request, message


@message(name="tests.cluster.where")
class Where(Request[str]):
    """Which node are you at?"""


@message(name="tests.cluster.add")
class Add(Request[list[int]]):
    """Add one; the answer is the sum and the fencing token with which it was made."""


class Account(Actor):
    """Counts in memory, so from zero again after each relocation."""

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self.sum = 0

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Where():
                ctx.reply(f"{self.owner}@{ctx.system.endpoint.remote.node}")
            case Add():
                self.sum += 1
                ctx.reply([self.sum, ctx.fencing_token])
            case _:
                ctx.unhandled()


class Bookkeeper(Actor):
    """Counts in a ledger, which outlives it."""

    def __init__(self, path: str) -> None:
        self.ledger = Ledger(path)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Where():
                ctx.reply(str(ctx.system.endpoint.remote.node))
            case Add():
                token = ctx.fencing_token
                ctx.reply([await trio.to_thread.run_sync(self.ledger.add, token), token])
            case _:
                ctx.unhandled()


class StaleTokenError(Exception):
    """Whoever writes is an owner of the past."""


class Ledger:
    """A number in a file; it is increased by whoever has a token that is no smaller than all before.

    Each attempt is written down, refused ones too.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(self._open()) as file:
            file.execute("create table if not exists attempts (token integer, is_refused integer)")

    def add(self, token: int) -> int:
        """Increase the number and return it."""
        with closing(self._open()) as file:
            file.execute("begin immediate")
            seen, number = file.execute("select max(token), sum(not is_refused) from attempts").fetchone()
            is_refused = seen is not None and token < seen
            file.execute("insert into attempts values (?, ?)", (token, is_refused))
            file.execute("commit")
        if is_refused:
            raise StaleTokenError(f"{token} is older than {seen}")
        return int(number or 0) + 1

    def attempts(self) -> list[tuple[int, bool]]:
        """Return the token of each attempt and whether it was refused, in order."""
        with closing(self._open()) as file:
            return [(token, bool(refused)) for token, refused in file.execute("select * from attempts order by rowid")]

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60, isolation_level=None)
