"""The file of a durable queue: SQL and nothing else; every call blocks and belongs into a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from trioakt.errors import QueueError, QueueFullError

_VERSION = 1
_PATIENCE = 1.0
"""Seconds to wait for another process that is just closing the file."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
    producer TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    last INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    producer TEXT NOT NULL,
    number INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (producer, number)
);
"""


@attrs.frozen
class Stored:
    """An accepted message.

    Attributes:
        number: Of its first part.
        chunk: Bytes of each part but the last; 0: it travels whole.
        data: The encoded message.
    """

    number: int
    chunk: int
    data: bytes


@attrs.frozen
class Backlog:
    """What is there of a producer.

    Attributes:
        stream: What its numbers count.
        last: The highest number it has given.
        messages: What was accepted and not confirmed, in order.
    """

    stream: str
    last: int
    messages: tuple[Stored, ...]


@attrs.frozen
class Append:
    """Accept messages, whose last part has the number ``last``."""

    producer_id: str
    messages: Sequence[Stored]
    last: int

    def apply(self, connection: sqlite3.Connection) -> None:
        """Do it within a transaction."""
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?, ?, ?)",
            [(self.producer_id, each.number, each.chunk, each.data) for each in self.messages],
        )
        connection.execute("UPDATE streams SET last = ? WHERE producer = ?", (self.last, self.producer_id))


@attrs.frozen
class Forget:
    """Delete messages that were confirmed."""

    producer_id: str
    numbers: Sequence[int]

    def apply(self, connection: sqlite3.Connection) -> None:
        """Do it within a transaction."""
        connection.executemany(
            "DELETE FROM messages WHERE producer = ? AND number = ?",
            [(self.producer_id, number) for number in self.numbers],
        )


Change = Append | Forget


class QueueFile:
    """One SQLite file, which this process has for itself.

    What is committed survives the death of the process, and with a disk that keeps its word that of the machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._explained(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._explained(error) from error
        except BaseException:
            self._connection.close()
            raise

    def load(self, producer_id: str, new_stream: str) -> Backlog:
        """Return what is there of a producer; of a new one, nothing under a new stream."""
        try:
            with self._transaction() as connection:
                connection.execute("INSERT OR IGNORE INTO streams VALUES (?, ?, 0)", (producer_id, new_stream))
                query = "SELECT stream, last FROM streams WHERE producer = ?"
                stream, last = connection.execute(query, (producer_id,)).fetchone()
                query = "SELECT number, chunk, data FROM messages WHERE producer = ? ORDER BY number"
                rows = connection.execute(query, (producer_id,)).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return Backlog(stream, last, tuple(Stored(*row) for row in rows))

    def commit(self, changes: Sequence[Change]) -> list[QueueError | None]:
        """Make changes durable in one transaction, or each in its own if that fails; return the error of each."""
        if self._try(changes) is None:
            return [None] * len(changes)
        return [self._try([change]) for change in changes]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _try(self, changes: Iterable[Change]) -> QueueError | None:
        try:
            with self._transaction() as connection:
                for change in changes:
                    change.apply(connection)
        except sqlite3.Error as error:
            explained = self._explained(error)
            explained.__cause__ = error
            return explained
        return None

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with closing(connection.execute("PRAGMA user_version")) as cursor:
            version = cursor.fetchone()[0]
        if version not in (0, _VERSION):
            raise QueueError(f"{self.path} is no queue that this version of trioakt knows (its version is {version})")
        connection.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _explained(self, error: sqlite3.Error) -> QueueError:
        code = getattr(error, "sqlite_errorcode", None)
        kind = QueueFullError if code == sqlite3.SQLITE_FULL else QueueError
        return kind(f"{self.path}: {error}")


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk rolls back by itself
            self._connection.execute("ROLLBACK")
