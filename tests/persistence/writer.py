"""A program that is made to be killed: accounts persist event after event, and tell on stdout what is durable."""

from __future__ import annotations

import sys

import trio

from tests.persistence.accounts import Account, Balance, Change, Forgetful, OftenSnapshotted
from trioakt import ActorRef, ActorSystem
from trioakt.persistence import open_sqlite_journal

KINDS: dict[str, type[Account]] = {
    "plain-1": Account,
    "plain-2": Account,
    "plain-3": Account,
    "snapshots-1": OftenSnapshotted,
    "snapshots-2": OftenSnapshotted,
    "forgetful": Forgetful,
}


async def write(name: str, account: ActorRef) -> None:
    """Persist 1, 2, 3 and so on, from where the life before was stopped."""
    number = len((await account.ask(Balance())).changes)
    while True:
        number += 1
        await account.ask(Change((number,)))
        print(name, number, flush=True)


async def main(path: str) -> None:
    async with (
        open_sqlite_journal(path) as journal,
        ActorSystem("writer", extensions=[journal]) as system,
        trio.open_nursery() as nursery,
    ):
        for name, kind in KINDS.items():
            nursery.start_soon(write, name, await system.spawn(kind, name))


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
