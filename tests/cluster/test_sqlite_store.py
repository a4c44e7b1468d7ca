"""The store in an SQLite file: one process, several, and those that die or stop in the middle."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from trioakt import ClusterError, LeaseLostError, NoQuorumError
from trioakt.cluster import sqlite_tables
from trioakt.cluster.sqlite import SqliteStore, open_sqlite_store
from trioakt.cluster.store import Changes, Entry, Removed, Resync, Store
from trioakt.testing import check_store

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0
"""Seconds after which a test gives up; it passes much earlier."""
HELD = 4.0
"""Seconds to live of a lease that shall not lapse when the machine has no time for a while."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def raw(path: Path) -> Generator[sqlite3.Connection]:
    """The file as somebody else sees it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@asynccontextmanager
async def running(*args: str | Path) -> AsyncGenerator[trio.Process]:
    """Run a process, and kill it at the end."""
    command = [sys.executable, "-m", "tests.cluster.sqlite_process", *map(str, args)]
    process = await trio.lowlevel.open_process(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


async def said(process: trio.Process, end: bytes = b"\n") -> bytes:
    """Return what a process says until it has said something."""
    assert process.stdout is not None
    heard = b""
    with trio.fail_after(PATIENCE):
        while end not in heard:
            chunk = await process.stdout.receive_some()
            if not chunk:
                break
            heard += chunk
    return heard


async def kill(process: trio.Process) -> bytes:
    """Kill a process, and return what it has said that nobody has heard."""
    process.kill()
    return await said(process, b"there is no such word")


def whole_lines(text: bytes) -> list[str]:
    """Return what a process has said, without a line that it could not end."""
    return text.decode().rpartition("\n")[0].splitlines()


def set_pages(store: SqliteStore, pages: int) -> None:
    """Let the disk have room for so many pages."""
    tables = store._worker._tables  # pyright: ignore[reportPrivateUsage]
    tables._database.execute(f"PRAGMA max_page_count = {pages}")  # pyright: ignore[reportPrivateUsage]


# Promises


async def test_it_keeps_the_promises_of_a_store(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        assert isinstance(store, Store)
        await check_store(store, ttl=HELD)


async def test_two_on_one_file_are_one_store(path: Path) -> None:
    async with open_sqlite_store(path) as one, open_sqlite_store(path) as two, one.watch("", 0) as changes:
        created = await two.create("key", b"two")
        assert await one.create("key", b"one") == (False, created.token)
        assert await anext(changes) == Changes(1, (Entry("key", b"two", created.token),))


async def test_what_was_written_is_there_when_the_file_is_opened_again(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        created = await store.create("key", b"value")
    async with open_sqlite_store(path) as store:
        assert (await store.list("")).entries == (Entry("key", b"value", created.token),)
        assert (await store.create("other", b"")).token > created.token


async def test_a_lease_is_given_back_when_everything_is_cancelled(path: Path) -> None:
    with trio.CancelScope() as everything:
        async with open_sqlite_store(path) as store, store.grant(60.0) as lease:
            await store.create("key", b"", lease)
            everything.cancel()
            await trio.sleep_forever()
    async with open_sqlite_store(path) as store:
        assert (await store.list("")).entries == ()


async def test_what_a_block_raises_comes_out_as_it_is(path: Path) -> None:
    with pytest.raises(KeyError):
        async with open_sqlite_store(path):
            raise KeyError


async def test_a_closed_store_says_so(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        pass
    with pytest.raises(NoQuorumError, match="closed"):
        await store.list("")


async def test_the_history_is_bounded_and_a_watch_from_before_is_told_to_list_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_tables, "_LOG", 5)
    async with open_sqlite_store(path) as store:
        for number in range(10):
            await store.create(f"{number}", b"")
        async with store.watch("", 4) as changes:
            assert [each async for each in changes] == [Resync()]
        async with store.watch("", 5) as changes:
            assert await anext(changes) == Changes(6, (Entry("5", b"", 6),))


async def test_a_watch_reads_a_long_history_part_by_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_tables, "_BATCH", 3)
    async with open_sqlite_store(path) as store:
        async with store.grant(5) as lease:
            for number in range(10):
                await store.create(f"{number}", b"", lease)
        async with store.watch("", 0) as changes:
            told = [await anext(changes) for _ in range(11)]
    assert told[10] == Changes(11, tuple(Removed(f"{number}") for number in range(10)))


# Other processes


async def test_of_many_processes_one_wins_each_key_and_what_they_were_told_survives_their_death(path: Path) -> None:
    heard: dict[str, bytes] = {}
    async with running("race", path, "a") as a, running("race", path, "b") as b, running("race", path, "c") as c:
        racers = {"a": a, "b": b, "c": c}
        for name, process in racers.items():
            heard[name] = await said(process)
        for name, process in racers.items():
            heard[name] += await kill(process)
    told = [(int(line.split()[0]), int(line.split()[1]), name) for name in heard for line in whole_lines(heard[name])]
    async with open_sqlite_store(path) as store:
        entries = (await store.list("race/")).entries
    assert len({entry.token for entry in entries}) == len(entries)
    stored = {(int(entry.key.removeprefix("race/")), entry.token, entry.value.decode()) for entry in entries}
    assert set(told) <= stored
    assert len({number for number, _, _ in told}) == len(told) >= 3


async def test_a_killed_process_is_followed_by_another_when_its_lease_has_lapsed(path: Path) -> None:
    async with running("hold", path, "first") as first:
        word, token = (await said(first)).split()
        assert word == b"holds"
        async with running("hold", path, "second") as second:
            first.kill()
            word, next_token = (await said(second)).split()
            assert word == b"holds"
            assert int(next_token) > int(token)


async def test_a_process_that_was_stopped_notices_that_another_has_taken_over(path: Path) -> None:
    async with running("hold", path, "first") as first, running("hold", path, "second") as second:
        async with trio.open_nursery() as nursery:
            holder: list[trio.Process] = []

            async def listen(process: trio.Process) -> None:
                await said(process)
                holder.append(process)
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen, first)
            nursery.start_soon(listen, second)
        stopped, other = holder[0], second if holder[0] is first else first
        stopped.send_signal(signal.SIGSTOP)
        assert (await said(other)).startswith(b"holds")
        stopped.send_signal(signal.SIGCONT)
        assert await said(stopped) == b"lost\n"


async def test_who_is_stopped_in_the_middle_of_a_transaction_keeps_nobody_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_tables, "_PATIENCE", 0.1)
    async with open_sqlite_store(path) as store:
        token = (await store.create("key", b"")).token
        async with running("occupy", path) as other:
            await said(other)
            other.send_signal(signal.SIGSTOP)
            with pytest.raises(NoQuorumError, match="locked"):
                await store.put_guarded("key", b"new", token)
            assert (await store.list("key")).entries == (Entry("key", b"", token),)
        assert await store.put_guarded("key", b"new", token)


async def test_a_lease_is_lost_while_another_keeps_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_tables, "_PATIENCE", 0.1)
    async with open_sqlite_store(path) as store, store.grant(0.5) as lease:
        async with running("occupy", path) as other:
            await said(other)
            with trio.fail_after(PATIENCE):
                await lease.lost.wait()
        with pytest.raises(LeaseLostError):
            await store.create("key", b"", lease)


# Leases


async def test_leases_from_before_the_machine_was_started_are_void(path: Path, raw: sqlite3.Connection) -> None:
    async with open_sqlite_store(path) as one:
        lease = await one._leases.grant_lease(3600.0)  # pyright: ignore[reportPrivateUsage]
        await one._worker.write(lambda tables: tables.create("key", b"", lease))  # pyright: ignore[reportPrivateUsage]
        async with open_sqlite_store(path) as two:
            assert len((await two.list("")).entries) == 1
        raw.execute("UPDATE state SET boot = 'another'")
        async with open_sqlite_store(path) as two:
            assert (await two.list("")).entries == ()


async def test_a_lease_that_lapses_too_late_is_from_another_clock(path: Path, raw: sqlite3.Connection) -> None:
    async with open_sqlite_store(path) as store, store.grant(5.0) as lease:
        await store.create("key", b"", lease)
        raw.execute("UPDATE leases SET lapses = lapses + 10000")
        assert (await store.list("")).entries == ()
        await lease.lost.wait()


# Disks and files


async def test_a_full_disk_is_no_quorum_and_the_store_goes_on_when_there_is_room(path: Path) -> None:
    async with open_sqlite_store(path) as store:
        set_pages(store, 20)
        with pytest.raises(NoQuorumError, match="full"):
            await store.create("key", bytes(2**19))
        assert (await store.list("")).entries == ()
        set_pages(store, 10_000)
        assert (await store.create("key", bytes(2**19))).won


async def test_a_file_that_is_removed_or_replaced_ends_all_ownership(path: Path) -> None:
    async with open_sqlite_store(path) as store, store.watch("", 0) as changes:
        await trio.Path(path).rename(path.with_suffix(".old"))
        with pytest.raises(NoQuorumError, match="No such file"):
            await store.create("key", b"")
        with pytest.raises(NoQuorumError, match="No such file"):
            await anext(changes)
        await trio.Path(path).write_bytes(b"")
        with pytest.raises(NoQuorumError, match="another file"):
            await store.create("key", b"")


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
async def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    await trio.Path(path).write_bytes(content)
    with pytest.raises(ClusterError, match=r"store\.db"):
        async with open_sqlite_store(path):
            pass
    assert await trio.Path(path).read_bytes() == content


async def test_the_database_of_somebody_else_is_left_alone(path: Path, raw: sqlite3.Connection) -> None:
    raw.execute("CREATE TABLE invoices (id INTEGER)")
    with pytest.raises(ClusterError, match="no store"):
        async with open_sqlite_store(path):
            pass
    assert [name for (name,) in raw.execute("SELECT name FROM sqlite_master")] == ["invoices"]


async def test_a_file_of_another_release_is_refused(path: Path, raw: sqlite3.Connection) -> None:
    async with open_sqlite_store(path):
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(ClusterError, match="version 99"):
        async with open_sqlite_store(path):
            pass


async def test_many_may_make_the_same_file_at_once(path: Path) -> None:
    async def open_and_create(name: str) -> None:
        async with open_sqlite_store(path) as store:
            await store.create(name, b"")

    names = [f"{number}" for number in range(8)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(open_and_create, name)
    async with open_sqlite_store(path) as store:
        assert [entry.key for entry in (await store.list("")).entries] == names
