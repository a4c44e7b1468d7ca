"""A process of a test: it holds keys in a store, as its arguments say, and tells its parent what it has won."""

from __future__ import annotations

import sys

import trio

from trioakt.cluster.postgresql import open_postgresql_store


async def hold(url: str, prefix: str, keys: int, ttl: float) -> None:
    async with open_postgresql_store(url) as store, store.grant(ttl) as lease:
        for number in range(keys):
            won, token = await store.create(f"{prefix}{number}", b"", lease)
            print(f"{number} {token} {'won' if won else 'lost'}")
        print("READY", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(hold, sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
