"""The tables of the SQLite journal, and its transactions: plain blocking code that knows nothing of Trio."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from trioakt.errors import FencedError, JournalDamagedError, JournalError, JournalFullError, SequenceConflictError
from trioakt.persistence.journal import Record

Change: TypeAlias = Callable[[], None]
"""A part of a transaction: raises before it changes anything, or changes all it has to."""

_APPLICATION_ID = 0x7410A6A1
"""What SQLite notes in the head of our files."""
_PATIENCE = 5.0
"""Seconds to wait for another process that writes to the same file."""
_BATCH_BYTES = 2**22
"""After so many bytes a batch of events is long enough."""
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_VERSIONS = (
    (
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, persistence_id TEXT NOT NULL UNIQUE, last INTEGER NOT NULL)",
        """CREATE TABLE events (line INTEGER NOT NULL, sequence INTEGER NOT NULL, data BLOB NOT NULL,
            PRIMARY KEY (line, sequence)) WITHOUT ROWID""",
        "CREATE TABLE snapshots (line INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, data BLOB NOT NULL)",
        f"PRAGMA application_id = {_APPLICATION_ID}",
    ),
    ("ALTER TABLE lines ADD COLUMN fence INTEGER NOT NULL DEFAULT 0",),
)
"""What leads from each version of the tables to the next, from an empty file on; a file with a later one is refused."""


class Tables:
    """One file, with a connection for writing and one for reading; each is used by one thread at a time.

    Raises:
        JournalDamagedError: The file is damaged, or holds something else.
        JournalError: It cannot be opened, or has a later version of the tables.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.commits = 0
        self._connections: list[sqlite3.Connection] = []
        try:
            with self._errors():
                self._writer = self._connect()
                self._prepare()
                self._reader = self._connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        while self._connections:
            self._connections.pop().close()

    # -------------------------------------------------------------------- writing

    def commit(self, changes: Sequence[Change]) -> list[Exception | None]:
        """Make changes in one transaction; return for each the exception that kept it out, or ``None``.

        When the transaction fails, each change gets one of its own, so that it fails by its own fault alone.
        """
        try:
            with self._errors():
                outcomes = self._transaction(changes)
        except Exception as error:
            if len(changes) == 1:
                return [error]
            if _is_busy(error):
                return [JournalError(*error.args) for _ in changes]
            return [outcome for change in changes for outcome in self.commit([change])]
        self.commits += 1
        return outcomes

    def fence(self, persistence_id: str, token: int) -> None:
        """Raise the fence; part of a transaction."""
        self._line(persistence_id, token)
        upsert = """INSERT INTO lines (persistence_id, last, fence) VALUES (?, 0, ?)
            ON CONFLICT (persistence_id) DO UPDATE SET fence = excluded.fence"""
        self._writer.execute(upsert, (persistence_id, token))

    def append(self, persistence_id: str, after: int, events: Sequence[bytes], token: int) -> None:
        """Add events; part of a transaction."""
        line = self._advance(persistence_id, after, after + len(events), token)
        rows = [(line, number, data) for number, data in enumerate(events, after + 1)]
        self._writer.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def save_snapshot(self, persistence_id: str, after: int, sequence: int, data: bytes, token: int) -> None:
        """Replace the snapshot; part of a transaction."""
        line = self._advance(persistence_id, after, sequence, token)
        self._writer.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (line, sequence, data))

    def delete_events(self, persistence_id: str, up_to: int, token: int) -> None:
        """Delete events; part of a transaction."""
        line, _ = self._line(persistence_id, token)
        self._writer.execute("DELETE FROM events WHERE line = ? AND sequence <= ?", (line, up_to))

    def _transaction(self, changes: Sequence[Change]) -> list[Exception | None]:
        outcomes: list[Exception | None] = []
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                try:
                    change()
                except (FencedError, SequenceConflictError) as refusal:
                    outcomes.append(refusal)
                else:
                    outcomes.append(None)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return outcomes

    def _advance(self, persistence_id: str, after: int, last: int, token: int) -> int:
        """Move the last number of a line from one to another, and return the key of the line."""
        line, present = self._line(persistence_id, token)
        if present != after:
            raise SequenceConflictError(persistence_id, after, present)
        if line is None:
            insert = "INSERT INTO lines (persistence_id, last) VALUES (?, ?)"
            return self._writer.execute(insert, (persistence_id, last)).lastrowid or 0
        self._writer.execute("UPDATE lines SET last = ? WHERE id = ?", (last, line))
        return line

    def _line(self, persistence_id: str, token: int) -> tuple[int | None, int]:
        """Return the key of a line and its last number, to who is not fenced off."""
        query = "SELECT id, last, fence FROM lines WHERE persistence_id = ?"
        found: tuple[int, int, int] | None = self._writer.execute(query, (persistence_id,)).fetchone()
        line, last, fence = found or (None, 0, 0)
        if fence > token:
            raise FencedError(persistence_id, token, fence)
        return line, last

    # -------------------------------------------------------------------- reading

    def read(self, persistence_id: str, after: int, limit: int) -> list[Record]:
        """Return events, fewer than the limit where they are large."""
        query = """SELECT sequence, data FROM events WHERE line = (SELECT id FROM lines WHERE persistence_id = ?)
            AND sequence > ? ORDER BY sequence LIMIT ?"""
        batch: list[Record] = []
        size = 0
        with self._errors():
            rows = self._reader.execute(query, (persistence_id, after, limit))
            for row in rows:
                batch.append(Record._make(row))
                size += len(batch[-1].data)
                if size >= _BATCH_BYTES:
                    break
            rows.close()
        return batch

    def load_fence(self, persistence_id: str) -> int:
        """Return the smallest token that is taken."""
        query = "SELECT fence FROM lines WHERE persistence_id = ?"
        with self._errors():
            found: tuple[int] | None = self._reader.execute(query, (persistence_id,)).fetchone()
        return found[0] if found else 0

    def load_snapshot(self, persistence_id: str) -> Record | None:
        """Return the snapshot."""
        query = """SELECT sequence, data FROM snapshots WHERE line = (SELECT id FROM lines WHERE persistence_id = ?)"""
        with self._errors():
            found = self._reader.execute(query, (persistence_id,)).fetchone()
        return Record._make(found) if found else None

    # -------------------------------------------------------------------- opening

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._connections.append(connection)
        return connection

    def _prepare(self) -> None:
        """Check what is there, or make the tables; a file of somebody else's is not touched."""
        self._writer.execute("BEGIN")  # one view of what is there, whatever other processes do
        is_old = self._version() < len(_VERSIONS)
        self._writer.execute("COMMIT")
        self._write_ahead()
        self._writer.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
        verdict = self._pragma("quick_check(1)")
        if verdict != "ok":
            raise JournalDamagedError(f"{self.path} is damaged: {verdict}")
        if is_old:
            self._transaction([self._bring_up_to_date])

    def _write_ahead(self) -> None:
        """Let SQLite keep a write-ahead log; here alone it does not wait for another process that does the same."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                mode = self._pragma("journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise JournalError(f"{self.path}: its file system does not allow a write-ahead log")

    def _version(self) -> int:
        """Return which version of the tables is there, 0 if there are none."""
        identity: int = self._pragma("application_id")
        version: int = self._pragma("user_version")
        if identity == _APPLICATION_ID:
            if version > len(_VERSIONS):
                raise JournalError(f"{self.path} has tables of version {version}, this release knows {len(_VERSIONS)}")
        elif identity or version or self._writer.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise JournalDamagedError(f"{self.path} is a database, but no journal of trioakt")
        return version

    def _bring_up_to_date(self) -> None:
        for statements in _VERSIONS[self._version() :]:  # another process may have been faster
            for statement in statements:
                self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {len(_VERSIONS)}")

    def _pragma(self, name: str) -> Any:
        row: tuple[Any] = self._writer.execute(f"PRAGMA {name}").fetchone()
        return row[0]

    @contextmanager
    def _errors(self) -> Generator[None]:
        """Raise what SQLite raises as errors of ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            text = f"{self.path}: {error}"
            if code in _FULL:
                raise JournalFullError(text) from error
            if code & 0xFF in _DAMAGED:  # the lower byte is the kind, the rest its details
                raise JournalDamagedError(text) from error
            raise JournalError(text) from error


def _is_busy(error: Exception) -> bool:
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
