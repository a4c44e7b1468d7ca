"""The files of the SQLite journal: opened again, and those that are damaged or something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from trioakt import JournalDamagedError, JournalError
from trioakt.persistence import open_sqlite_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def test_a_file_is_there_again_when_it_is_opened_again(path: Path) -> None:
    for number in range(3):
        async with open_sqlite_journal(path) as journal:
            await journal.append("a", number, [b"%d" % number])
            await journal.save_snapshot("a", number + 1, number + 1, b"state")
    async with open_sqlite_journal(path) as journal:
        assert await journal.read("a", 0, 10) == [(1, b"0"), (2, b"1"), (3, b"2")]
        assert await journal.load_snapshot("a") == (3, b"state")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def make_text(path: Path) -> None:
    path.write_text("These are not the pages you are looking for.\n" * 100)


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE bookmarks (title TEXT)")


@pytest.mark.parametrize("make", [make_text, make_database])
async def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(make: Callable[[Path], None], path: Path) -> None:
    make(path)
    before = await trio.Path(path).read_bytes()
    with pytest.raises(JournalDamagedError, match=str(path)):
        async with open_sqlite_journal(path):
            raise AssertionError("unreachable")
    assert await trio.Path(path).read_bytes() == before


async def fill(path: Path) -> None:
    async with open_sqlite_journal(path) as journal:
        for number in range(100):
            await journal.append("a", number, [b"x" * 1_000])


def overwrite_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8_192)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def overwrite_the_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)


@pytest.mark.parametrize("damage", [overwrite_the_middle, cut_in_half, overwrite_the_head])
async def test_a_damaged_file_is_refused(damage: Callable[[Path], None], path: Path) -> None:
    await fill(path)
    damage(path)
    with pytest.raises(JournalDamagedError, match=str(path)):
        async with open_sqlite_journal(path):
            raise AssertionError("unreachable")


FIRST_TABLES = """
    CREATE TABLE lines (id INTEGER PRIMARY KEY, persistence_id TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
    CREATE TABLE events (line INTEGER NOT NULL, sequence INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (line, sequence)) WITHOUT ROWID;
    CREATE TABLE snapshots (line INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, data BLOB NOT NULL);
    PRAGMA application_id = 1947248289;
    PRAGMA user_version = 1;
    INSERT INTO lines VALUES (1, 'a', 2);
    INSERT INTO events VALUES (1, 1, x'6f6e65'), (1, 2, x'74776f');
    INSERT INTO snapshots VALUES (1, 1, x'7374617465');
"""


def make_journal_of_an_earlier_release(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST_TABLES)


async def test_a_file_of_an_earlier_release_is_brought_up_to_date_and_keeps_what_it_has(path: Path) -> None:
    make_journal_of_an_earlier_release(path)
    for token in range(1, 4):
        async with open_sqlite_journal(path) as journal:
            await journal.fence("a", token)
            await journal.append("a", token + 1, [b"next"], token)
    async with open_sqlite_journal(path) as journal:
        assert [data for _, data in await journal.read("a", 1, 10)] == [b"two", b"next", b"next", b"next"]
        assert await journal.load_snapshot("a") == (1, b"state")


async def test_many_may_open_a_file_of_an_earlier_release_at_once(path: Path) -> None:
    make_journal_of_an_earlier_release(path)

    async def open_and_write(who: str) -> None:
        async with open_sqlite_journal(path) as journal:
            await journal.append(who, 0, [b"x"])

    async with trio.open_nursery() as nursery:
        for who in "bcdefghi":
            nursery.start_soon(open_and_write, who)
    async with open_sqlite_journal(path) as journal:
        assert [await journal.read(who, 0, 10) for who in "bcdefghi"] == [[(1, b"x")]] * 8


async def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    await fill(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="version 99"):
        async with open_sqlite_journal(path):
            raise AssertionError("unreachable")


async def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    for place in tmp_path, tmp_path / "missing" / "journal.db":
        with pytest.raises(JournalError, match=str(place)):
            async with open_sqlite_journal(place):
                raise AssertionError("unreachable")


async def test_a_closed_journal_says_so(path: Path) -> None:
    async with open_sqlite_journal(path) as journal:
        pass
    for use in (lambda: journal.append("a", 0, [b"x"])), (lambda: journal.read("a", 0, 1)):
        with pytest.raises(JournalError, match="closed"):
            await use()


async def test_an_error_in_the_block_leaves_it_as_it_is(path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_sqlite_journal(path):
            raise KeyError("mine")


async def test_large_events_are_read_in_smaller_batches(path: Path) -> None:
    async with open_sqlite_journal(path) as journal:
        await journal.append("a", 0, [bytes(2**20)] * 10)
        assert len(await journal.read("a", 0, 100)) < 10
