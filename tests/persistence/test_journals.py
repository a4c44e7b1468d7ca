"""The promises of journals: ours keep them, and broken ones are told what they broke."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio.lowlevel
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
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        try:
            await super().append(persistence_id, after, events, token)
        except SequenceConflictError as conflict:
            await super().append(persistence_id, conflict.last, events, token)


class StoresHalf(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        for number, event in enumerate(events, after):
            await super().append(persistence_id, number, [event], token)


class ReadsBackwards(MemoryJournal):
    async def read(self, persistence_id: str, after: int, limit: int) -> Sequence[Record]:
        return (await super().read(persistence_id, after, limit))[::-1]


class MixesIdentities(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        await super().append(persistence_id[:2], after, events, token)


class KeepsTheFirstSnapshot(MemoryJournal):
    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        first = await self.load_snapshot(persistence_id)
        await super().save_snapshot(persistence_id, after, sequence, first.data if first else data, token)


class DeletesNothing(MemoryJournal):
    async def delete_events(self, persistence_id: str, up_to: int, token: int = 0) -> None:
        self._fenced(persistence_id, token)


class FencesNobody(MemoryJournal):
    async def fence(self, persistence_id: str, token: int) -> None:
        pass


class LowersTheFence(MemoryJournal):
    async def fence(self, persistence_id: str, token: int) -> None:
        self._line(persistence_id).fence = token


class FencesNoSnapshots(MemoryJournal):
    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        await super().save_snapshot(persistence_id, after, sequence, data, max(token, self._line(persistence_id).fence))


class FencesNoDeletions(MemoryJournal):
    async def delete_events(self, persistence_id: str, up_to: int, token: int = 0) -> None:
        await super().delete_events(persistence_id, up_to, max(token, self._line(persistence_id).fence))


class LooksAtTheFenceTooEarly(MemoryJournal):
    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        self._fenced(persistence_id, token)
        await trio.lowlevel.checkpoint()
        await super().append(persistence_id, after, events, self._line(persistence_id).fence)


class FencesOffTheOwnerToo(MemoryJournal):
    async def fence(self, persistence_id: str, token: int) -> None:
        await super().fence(persistence_id, token)
        self._line(persistence_id).fence += 1


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (TakesEverySequence, "is taken"),
        (StoresHalf, "wholly or not at all"),
        (ReadsBackwards, "in order"),
        (MixesIdentities, "is refused|tells|are left"),
        (KeepsTheFirstSnapshot, "saved last"),
        (DeletesNothing, "come back|are left"),
        (FencesNobody, "is taken where the fence is"),
        (LowersTheFence, "is taken where the fence is"),
        (FencesNoSnapshots, "is taken where the fence is|there is a conflict"),
        (FencesNoDeletions, "is taken where the fence is"),
        (LooksAtTheFenceTooEarly, "is stored after the fence"),
        (FencesOffTheOwnerToo, "is refused"),
    ],
)
async def test_a_broken_journal_is_told_what_it_broke(
    broken: Callable[[], MemoryJournal], what: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(AssertionError, match=what):
        await check_journal(broken())
