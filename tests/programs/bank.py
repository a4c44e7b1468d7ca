"""Random transfers for ``examples/saga.py``, and what must be true of a journal afterwards; run, it is the service."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from unittest import mock

import trio

from examples.saga import Account, Booked, Reached, Transfer, Transfers, serve
from trioakt.persistence import Journal, open_sqlite_journal

ACCOUNTS = {"ada": (50, 120), "bob": (50, 70), "cyd": (0, 60), "dan": (20, 90)}
"""Cents at first, and at most: little enough that transfers are refused and undone."""


def transfers(count: int, *, seed: int) -> list[Transfer]:
    """Draw transfers between the accounts."""
    rng = random.Random(seed)
    ways = [(source, target) for source in ACCOUNTS for target in ACCOUNTS if source != target]
    return [Transfer(number, *rng.choice(ways), rng.randint(1, 40)) for number in range(count)]


async def _events(journal: Journal, persistence_id: str) -> list[object]:
    return [Account.codec.decode(record.data) for record in await journal.read(persistence_id, 0, 100_000)]


async def check(journal: Journal, expected: list[Transfer]) -> Counter[str]:
    """Assert that no money was lost or made, and that each transfer was made wholly or not at all; count the ends."""
    total, booked = 0, Counter[str]()
    for name in ACCOUNTS:
        events = [event for event in await _events(journal, f"account/{name}") if isinstance(event, Booked)]
        total += sum(event.cents for event in events)
        booked.update(event.key for event in events if event.key != "opening")
    assert total == sum(cents for cents, _ in ACCOUNTS.values())
    assert not [key for key, times in booked.items() if times > 1]

    steps = [event for event in await _events(journal, Transfers.__name__.lower()) if isinstance(event, Reached)]
    ends = {event.number: event.step for event in steps}
    parts = {"done": {"withdraw", "deposit"}, "undone": {"withdraw", "refund"}, "refused": set[str]()}
    for each in expected:
        made = {part for part in ("withdraw", "deposit", "refund") if f"{each.number}/{part}" in booked}
        assert made == parts[ends[each.number]], each
    return Counter(ends.values())


async def run(file: str, count: int, seed: int) -> None:
    async with open_sqlite_journal(file) as journal:
        append = journal.append

        async def append_slowly(persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
            await trio.sleep(0.005)  # so that the work takes a while on every machine
            await append(persistence_id, after, events, token)

        with mock.patch.object(journal, "append", append_slowly):
            print("READY", flush=True)
            await serve(journal, ACCOUNTS, transfers(count, seed=seed))


if __name__ == "__main__":
    trio.run(run, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
