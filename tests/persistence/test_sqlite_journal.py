"""The SQLite journal: groups, threads, other processes and full disks."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from trioakt import JournalError, JournalFullError, SequenceConflictError
from trioakt.errors import FencedError
from trioakt.persistence import JournalStatistics, SqliteJournal, open_sqlite_journal, tables


class OtherProcess:
    """Holds the lock for writing, as one that is in the middle of a write."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def other(path: Path) -> Generator[OtherProcess]:
    with closing(OtherProcess(path)) as process:
        yield process


async def write(
    journal: SqliteJournal, who: str, outcomes: list[object], size: int = 1, scope: trio.CancelScope | None = None
) -> None:
    """Write the first event of an identity and note how it went: the identity, or the type of the error."""
    with scope or trio.CancelScope() as scope:
        try:
            await journal.append(who, 0, [b"x" * size])
        except (JournalError, ValueError) as error:
            outcomes.append(type(error))
        else:
            outcomes.append(who)
    if scope.cancelled_caught:
        outcomes.append("cancelled")


async def stored(journal: SqliteJournal, *identities: str) -> list[str]:
    """Return those of the identities that have events."""
    return [who for who in identities if await journal.read(who, 0, 10)]


async def occupy_a_thread(gate: threading.Event) -> None:
    await trio.to_thread.run_sync(gate.wait)


def set_pages(journal: SqliteJournal, pages: int) -> None:
    """Let the disk have room for so many pages."""
    writer = journal._tables._writer  # pyright: ignore[reportPrivateUsage]
    writer.execute(f"PRAGMA max_page_count = {pages}")


# Groups and threads


async def test_what_comes_while_a_group_is_written_is_the_next_group(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        other.begin()
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(write, journal, f"a{number}", outcomes)
            await settle()
            assert journal.statistics().waiting == 49
            other.end()
        figures = journal.statistics()
    assert len(outcomes) == 50
    assert figures == JournalStatistics(writes=50, commits=2, waiting=0)


async def test_a_write_that_cannot_be_stored_fails_alone_in_its_group(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        other.begin()
        async with trio.open_nursery() as nursery:
            for who in "leader", "ada", "\ud800 is no text", "eve":
                nursery.start_soon(write, journal, who, outcomes)
            await settle()
            other.end()
        assert outcomes.count(UnicodeEncodeError) == 1
        assert await stored(journal, "leader", "ada", "eve") == ["leader", "ada", "eve"]


async def test_a_refused_write_fails_alone_in_its_group(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        await journal.append("taken", 0, [b"before"])
        other.begin()
        async with trio.open_nursery() as nursery:
            for who in "leader", "ada", "taken", "eve":
                nursery.start_soon(write, journal, who, outcomes)
            await settle()
            other.end()
        assert outcomes.count(SequenceConflictError) == 1
        assert await stored(journal, "leader", "ada", "eve") == ["leader", "ada", "eve"]
        assert await journal.read("taken", 0, 10) == [(1, b"before")]


async def test_a_write_of_an_owner_of_the_past_fails_alone_in_its_group(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        await journal.fence("ada", 1)
        other.begin()
        async with trio.open_nursery() as nursery:
            for who in "leader", "ada", "eve":
                nursery.start_soon(write, journal, who, outcomes)
            await settle()
            other.end()
        assert outcomes.count(FencedError) == 1
        assert await stored(journal, "leader", "ada", "eve") == ["leader", "eve"]


async def test_a_fence_that_is_there_already_costs_no_write_and_waits_for_nobody(
    path: Path, other: OtherProcess
) -> None:
    async with open_sqlite_journal(path) as journal:
        await journal.fence("a", 7)
        other.begin()
        await journal.fence("a", 7)
        await journal.fence("never heard of", 0)
        other.end()
        assert journal.statistics().commits == 1


async def test_the_loop_goes_on_while_a_write_waits_for_the_disk(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal, trio.open_nursery() as nursery:
        other.begin()
        nursery.start_soon(write, journal, "a", outcomes)
        for _ in range(20):
            await trio.sleep(0.001)
        assert outcomes == []
        other.end()


async def test_other_work_in_threads_delays_no_write(path: Path) -> None:
    gate = threading.Event()
    async with open_sqlite_journal(path) as journal, trio.open_nursery() as nursery:
        limiter = trio.to_thread.current_default_thread_limiter()
        for _ in range(int(limiter.total_tokens)):
            nursery.start_soon(occupy_a_thread, gate)
        await settle()
        await journal.append("a", 0, [b"x"])
        assert await stored(journal, "a") == ["a"]
        gate.set()


# Cancellation


async def test_a_write_that_is_cancelled_while_it_waits_is_not_stored(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    scope = trio.CancelScope()
    async with open_sqlite_journal(path) as journal:
        other.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, journal, "leader", outcomes)
            await settle()
            nursery.start_soon(write, journal, "cancelled", outcomes, 1, scope)
            nursery.start_soon(write, journal, "last", outcomes)
            await settle()
            scope.cancel()
            await settle()
            assert outcomes == ["cancelled"]
            other.end()
        assert await stored(journal, "leader", "cancelled", "last") == ["leader", "last"]


async def test_a_writer_that_is_cancelled_while_it_commits_commits_for_the_others(
    path: Path, other: OtherProcess
) -> None:
    outcomes: list[object] = []
    scope = trio.CancelScope()
    async with open_sqlite_journal(path) as journal:
        other.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, journal, "leader", outcomes, 1, scope)
            await settle()
            nursery.start_soon(write, journal, "next", outcomes)
            await settle()
            scope.cancel()
            await settle()
            other.end()
        assert await stored(journal, "leader", "next") == ["leader", "next"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_who_is_cancelled_as_it_is_called_to_lead_leaves_nobody_waiting(
    when: str, path: Path, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[object] = []
    scope = trio.CancelScope()
    async with open_sqlite_journal(path) as journal:
        hand_over = journal._hand_over  # pyright: ignore[reportPrivateUsage]

        def hand_over_and_cancel() -> None:
            if when == "before":
                scope.cancel()
            hand_over()
            scope.cancel()

        monkeypatch.setattr(journal, "_hand_over", hand_over_and_cancel)
        other.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, journal, "leader", outcomes)
            await settle()
            nursery.start_soon(write, journal, "cancelled", outcomes, 1, scope)
            await settle()
            nursery.start_soon(write, journal, "last", outcomes)
            await settle()
            other.end()
        expected = ["leader", "last"] if when == "before" else ["leader", "cancelled", "last"]
        assert await stored(journal, "leader", "cancelled", "last") == expected


# Other processes


async def test_a_write_waits_for_another_process(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal, trio.open_nursery() as nursery:
        other.begin()
        nursery.start_soon(write, journal, "a", outcomes)
        await settle()
        assert outcomes == []
        other.end()
    assert outcomes == ["a"]


async def test_another_process_that_holds_the_file_for_long_fails_every_write_and_then_all_is_well(
    path: Path, other: OtherProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_PATIENCE", 0.05)
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        other.begin()
        async with trio.open_nursery() as nursery:
            for who in "abc":
                nursery.start_soon(write, journal, who, outcomes)
        other.end()
        assert outcomes == [JournalError] * 3
        await write(journal, "a", outcomes)
    assert outcomes[3:] == ["a"]


async def test_the_sequence_decides_between_two_journals_on_one_file(path: Path) -> None:
    async with open_sqlite_journal(path) as one, open_sqlite_journal(path) as two:
        await one.append("a", 0, [b"one"])
        with pytest.raises(SequenceConflictError):
            await two.append("a", 0, [b"two"])
        await two.append("a", 1, [b"two"])
        assert await one.read("a", 0, 10) == [(1, b"one"), (2, b"two")]


async def test_a_fence_holds_for_other_processes_and_for_the_next_opening(path: Path) -> None:
    async with open_sqlite_journal(path) as one, open_sqlite_journal(path) as two:
        await one.fence("a", 2)
        with pytest.raises(FencedError):
            await two.append("a", 0, [b"late"], 1)
        await two.append("a", 0, [b"present"], 2)
    async with open_sqlite_journal(path) as later:
        with pytest.raises(FencedError):
            await later.append("a", 1, [b"late"], 1)


async def test_many_may_make_the_same_file_at_once(path: Path) -> None:
    async def open_and_write(who: str) -> None:
        async with open_sqlite_journal(path) as journal:
            await journal.append(who, 0, [b"x"])

    identities = [f"a{number}" for number in range(8)]
    async with trio.open_nursery() as nursery:
        for who in identities:
            nursery.start_soon(open_and_write, who)
    async with open_sqlite_journal(path) as journal:
        assert await stored(journal, *identities) == identities


# A full disk


async def test_each_writer_hears_of_a_full_disk_and_the_journal_goes_on_when_there_is_room(
    path: Path, other: OtherProcess
) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        set_pages(journal, 10)
        other.begin()
        async with trio.open_nursery() as nursery:
            for who in "abcd":
                nursery.start_soon(write, journal, who, outcomes, 100_000)
            await settle()
            other.end()
        assert outcomes == [JournalFullError] * 4
        assert await stored(journal, *"abcd") == []
        set_pages(journal, 10_000)
        await write(journal, "a", outcomes, 100_000)
        assert outcomes[4:] == ["a"]


async def test_who_needs_little_room_is_stored_beside_who_needs_too_much(path: Path, other: OtherProcess) -> None:
    outcomes: list[object] = []
    async with open_sqlite_journal(path) as journal:
        set_pages(journal, 20)
        other.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, journal, "leader", outcomes)
            await settle()
            nursery.start_soon(write, journal, "large", outcomes, 1_000_000)
            nursery.start_soon(write, journal, "small", outcomes)
            await settle()
            other.end()
        assert sorted(map(str, outcomes)) == sorted(["leader", "small", str(JournalFullError)])
        assert await stored(journal, "leader", "large", "small") == ["leader", "small"]


async def test_a_commit_waits_for_the_disk(path: Path) -> None:
    async with open_sqlite_journal(path) as journal:
        writer = journal._tables._writer  # pyright: ignore[reportPrivateUsage]
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: only a loss of power would show it
