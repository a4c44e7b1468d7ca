"""The SQLite journal: one file, written in groups; it knows tasks and threads, and leaves the SQL to ``tables``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from os import PathLike
from typing import TypeVar, TypeVarTuple, Unpack

import attrs
import trio

from trioakt.errors import JournalError
from trioakt.persistence.journal import Record
from trioakt.persistence.tables import Change, Tables

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LARGEST_GROUP = 1_000


@attrs.frozen
class JournalStatistics:
    """Figures of a SQLite journal since it was opened.

    Attributes:
        writes: Writes that were stored; a write is one call, of however many events.
        commits: Transactions that it took to store them.
        waiting: Writes that wait for their transaction now.
    """

    writes: int
    commits: int
    waiting: int


class _Write:
    """A change that waits for its transaction."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.called = trio.Event()
        """It has its outcome, or is called to lead the next group."""
        self.done = False
        self.error: Exception | None = None


class SqliteJournal:
    """A ``Journal`` in one SQLite file; get it from ``open_sqlite_journal``.

    What is written while a transaction is under way goes into the next one together: the more writers, the larger the
    groups. There is no task behind it; the first writer of a group commits for all of them. Nothing is buffered beyond
    what the waiting tasks hold.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._waiting: list[_Write] = []
        self._is_led = False
        self._is_closed = False
        self._writes = 0
        self._one_writer = trio.CapacityLimiter(1)  # of threads: those that other code keeps busy delay no commit
        self._one_reader = trio.CapacityLimiter(1)

    def statistics(self) -> JournalStatistics:
        """Return frozen figures."""
        return JournalStatistics(self._writes, self._tables.commits, len(self._waiting))

    async def fence(self, persistence_id: str, token: int) -> None:
        """As ``Journal.fence``; where the token is there already, it waits for no other writer."""
        if await self._read(self._tables.load_fence, persistence_id) != token:
            await self._write(partial(self._tables.fence, persistence_id, token))

    async def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int = 0) -> None:
        """As ``Journal.append``; cancelled before its transaction began, nothing was stored."""
        await self._write(partial(self._tables.append, persistence_id, after, tuple(events), token))

    async def read(self, persistence_id: str, after: int, limit: int) -> Sequence[Record]:
        """As ``Journal.read``; a batch of large events ends before the limit, at about 4 MiB."""
        return await self._read(self._tables.read, persistence_id, after, limit)

    async def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int = 0) -> None:
        """As ``Journal.save_snapshot``; cancelled before its transaction began, nothing was stored."""
        await self._write(partial(self._tables.save_snapshot, persistence_id, after, sequence, data, token))

    async def load_snapshot(self, persistence_id: str) -> Record | None:
        """As ``Journal.load_snapshot``."""
        return await self._read(self._tables.load_snapshot, persistence_id)

    async def delete_events(self, persistence_id: str, up_to: int, token: int = 0) -> None:
        """As ``Journal.delete_events``."""
        await self._write(partial(self._tables.delete_events, persistence_id, up_to, token))

    async def close(self) -> None:
        """Let the transactions under way end, and close the file."""
        self._is_closed = True
        with trio.CancelScope(shield=True):  # SQLite waits a few seconds at most
            async with self._one_reader:
                await trio.to_thread.run_sync(self._tables.close, limiter=self._one_writer)

    async def _read(self, read: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        self._check_open()
        return await trio.to_thread.run_sync(read, *args, limiter=self._one_reader)

    async def _write(self, change: Change) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        write = _Write(change)
        self._waiting.append(write)
        if self._is_led:
            try:
                await write.called.wait()
            except BaseException:
                if write in self._waiting:
                    self._waiting.remove(write)
                    if write.called.is_set():
                        self._hand_over()
                raise
        if not write.done:
            with trio.CancelScope(shield=True):  # the group is not this writer's alone; SQLite ends in a few seconds
                await self._lead()
        if write.error is not None:
            raise write.error

    async def _lead(self) -> None:
        """Commit what waits, for all; those who come meanwhile are the next group."""
        self._is_led = True
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        outcomes = await self._commit([write.change for write in group])
        for write, error in zip(group, outcomes, strict=True):
            write.done, write.error = True, error
            write.called.set()
        self._writes += outcomes.count(None)
        self._hand_over()

    def _hand_over(self) -> None:
        """Call the first of those who wait to lead."""
        self._is_led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].called.set()

    async def _commit(self, changes: list[Change]) -> list[Exception | None]:
        try:
            return await trio.to_thread.run_sync(self._tables.commit, changes, limiter=self._one_writer)
        except Exception as error:  # no thread could be had
            return [JournalError(str(error)) for _ in changes]

    def _check_open(self) -> None:
        if self._is_closed:
            raise JournalError(f"{self._tables.path} is closed")


@asynccontextmanager
async def open_sqlite_journal(path: str | PathLike[str]) -> AsyncGenerator[SqliteJournal]:
    """Open a journal in an SQLite file, which is made if it is not there; enter it before the system.

    A write that has returned is on the disk (write-ahead log, ``synchronous=FULL``): neither the death of the process
    nor the loss of power takes it away. Several processes may write to the same file; each waits for the others, at
    most 5 seconds. The file must be on a local disk.

    A file of an earlier release is brought up to date, and then that release cannot open it any more. Opening checks
    the whole file, which takes a few seconds for each gigabyte. Files are read and written in threads.

    Args:
        path: The file; beside it SQLite keeps two more, ``-wal`` and ``-shm``, while it is open.

    Raises:
        JournalDamagedError: The file is damaged, or holds something else; it is left as it is.
        JournalError: It cannot be opened, or was written by a later release.
    """
    journal = SqliteJournal(await trio.to_thread.run_sync(Tables, path))
    try:
        yield journal
    finally:
        await journal.close()
