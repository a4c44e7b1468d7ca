"""Owners that are overtaken: a node's way to the journal, which takes its time, and how a node is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from tests.cluster.nodes import TTL, Town
from tests.persistence.accounts import change
from trioakt import ActorFailedError, ActorRef, ActorStoppedError
from trioakt.persistence import MemoryJournal


class Way(MemoryJournal):
    """A node's way to a journal: events can be held up on it, and it notes the fences that it has brought.

    Attributes:
        gate: Events wait for it before they arrive.
        fences: The tokens.
    """

    def __init__(self, journal: MemoryJournal) -> None:
        self._lines = journal._lines
        self.gate = trio.Event()
        self.gate.set()
        self.fences: list[int] = []

    async def fence(self, persistence_id: str, token: int) -> None:
        await super().fence(persistence_id, token)
        self.fences.append(token)

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        await self.gate.wait()
        await super().append(persistence_id, after, events, token)


async def lose(town: Town) -> None:
    """Cut the first node off, until it has no lease any more and another one may own what it had."""
    town.store.partition("first")
    town.network.partition(["first"], ["second"])
    await trio.sleep(TTL + 1)


async def change_in_vain(account: ActorRef) -> None:
    """Ask for a change that is not made any more."""
    with pytest.raises((ActorFailedError, ActorStoppedError)):
        await change(account, 1_000)
