"""The promises of journals: ours keep them, and broken ones are told what they broke."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from trio.testing import MockClock

from trioakt.errors import SequenceConflictError
from trioakt.persistence import Journal, MemoryJournal, Record, open_sqlite_journal
from trioakt.testing import check_journal


@pytest.mark.parametrize("seed", range(3))
async def test_the_journal_in_memory_keeps_the_promises(seed: int, autojump_clock: MockClock) -> None:
    await check_journal(MemoryJournal(), seed=seed)


@pytest.mark.parametrize("seed", range(3))
async def test_the_sqlite_journal_keeps_the_promises(seed: int, tmp_path: Path) -> None:
    async with open_sqlite_journal(tmp_path / "journal.db") as journal:
        await check_journal(journal, seed=seed)


async def test_ours_are_journals(tmp_path: Path) -> None:
    async with open_sqlite_journal(tmp_path / "journal.db") as journal:
        assert isinstance(journal, Journal)
    assert isinstance(MemoryJournal(), Journal)


def test_the_test_kit_is_imported_without_a_codec_and_a_database() -> None:
    report = "import sys, trioakt.testing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True)
    assert {"cattrs", "msgspec", "sqlite3"}.isdisjoint(done.stdout.split())


class TakesEverySequence(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes]) -> None:
        try:
            await super().append(persistence_id, after, events)
        except SequenceConflictError as conflict:
            await super().append(persistence_id, conflict.last, events)


class StoresHalf(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes]) -> None:
        for number, event in enumerate(events, after):
            await super().append(persistence_id, number, [event])


class ReadsBackwards(MemoryJournal):
    async def read(self, persistence_id: str, after: int, limit: int) -> Sequence[Record]:
        return (await super().read(persistence_id, after, limit))[::-1]


class MixesIdentities(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes]) -> None:
        await super().append(persistence_id[:2], after, events)


class KeepsTheFirstSnapshot(MemoryJournal):
    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes) -> None:
        first = await self.load_snapshot(persistence_id)
        await super().save_snapshot(persistence_id, after, sequence, first.data if first else data)


class DeletesNothing(MemoryJournal):
    async def delete_events(self, persistence_id: str, up_to: int) -> None:
        pass


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (TakesEverySequence, "is taken"),
        (StoresHalf, "wholly or not at all"),
        (ReadsBackwards, "in order"),
        (MixesIdentities, "is refused|tells"),
        (KeepsTheFirstSnapshot, "saved last"),
        (DeletesNothing, "come back|are left"),
    ],
)
async def test_a_broken_journal_is_told_what_it_broke(
    broken: Callable[[], MemoryJournal], what: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(AssertionError, match=what):
        await check_journal(broken())
