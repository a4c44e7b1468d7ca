"""A process that uses the store of a file, and tells on stdout what it has done; it is made to be killed."""

from __future__ import annotations

import random
import sqlite3
import sys
import time

import trio

from trioakt.cluster.sqlite import open_sqlite_store


async def race(path: str, name: str) -> None:
    """Be one of many that create the same keys, in any order."""
    async with open_sqlite_store(path) as store:
        while True:
            number = random.randrange(20_000)
            created = await store.create(f"race/{number:06}", name.encode())
            if created.won:
                print(number, created.token, flush=True)


async def hold(path: str, name: str) -> None:
    """Hold a key under a lease of one second; wait for it as long as another has it."""
    async with open_sqlite_store(path) as store, store.grant(1.0) as lease:
        while True:
            listing = await store.list("held")
            created = await store.create("held", name.encode(), lease)
            if created.won:
                break
            async with store.watch("held", listing.revision) as changes:
                await anext(changes)
        print("holds", created.token, flush=True)
        await lease.lost.wait()
        print("lost", flush=True)


def occupy(path: str) -> None:
    """Be in the middle of a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("begun", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["race", path, name]:
            trio.run(race, path, name)
        case ["hold", path, name]:
            trio.run(hold, path, name)
        case ["occupy", path]:
            occupy(path)
        case _:
            sys.exit("what?")
