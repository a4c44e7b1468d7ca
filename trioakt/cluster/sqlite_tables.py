"""The tables of the SQLite store, and its transactions: plain blocking code that knows nothing of Trio.

All processes of a machine read the same monotonic clock, so a lease is a row with the moment at which it lapses, and
whoever comes next after that removes it. The clock begins anew when the machine does; leases from before are void.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from trioakt.cluster.store import LONGEST_KEY, Changes, Created, Entry, Listing, Removed
from trioakt.errors import ClusterError, NoQuorumError

Verb: TypeAlias = Callable[["StoreTables"], object]
"""A part of a transaction."""

_APPLICATION_ID = 0x7410A6A3
"""What SQLite notes in the head of our files."""
_SCHEMA = 1
"""The version of the tables; a file with another one is refused."""
_PATIENCE = 2.0
"""Seconds to wait for another process that writes to the same file."""
_RETRY = 0.001
"""Seconds from one try to the next."""
_LOG = 10_000
"""How many revisions are remembered."""
_BATCH = 1_000
"""How many changes a watch reads at once, and the rest of their last revision."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What is different after each start of the machine, where the system tells."""

_TABLES = (
    "CREATE TABLE state (revision INTEGER NOT NULL, boot TEXT NOT NULL)",
    "INSERT INTO state VALUES (0, '')",
    "CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl REAL NOT NULL, lapses REAL NOT NULL)",
    """CREATE TABLE entries (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL,
        token INTEGER NOT NULL, lease INTEGER)""",
    "CREATE INDEX leased ON entries (lease) WHERE lease IS NOT NULL",
    """CREATE TABLE changes (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB,
        token INTEGER)""",
    "CREATE INDEX revisions ON changes (revision)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA}",
)


class StoreTables:
    """One file, with one connection, which is used by one thread at a time.

    Raises:
        ClusterError: The file cannot be opened, is damaged, or holds something else.
        NoQuorumError: Another process is in its way for long.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.revision = 0
        """The last one that was seen."""
        self._now = 0.0
        self._revision = 0
        """That of the transaction under way."""
        self._inode = 0
        self._connection: sqlite3.Connection | None = None
        try:
            with self._errors(ClusterError):
                self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ----------------------------------------------------------------- transactions

    def run(self, verbs: Sequence[Verb], *, writes: bool) -> list[object]:
        """Run verbs in one transaction and return what they return.

        Leases that have lapsed go first, in a transaction that writes, if need be.

        Raises:
            NoQuorumError: None of them is done, as far as can be known.
        """
        with self._errors(NoQuorumError):
            _check_file(self.path, self._inode)
            if not writes:
                with self._transaction("BEGIN"):
                    if not self._lapsed():
                        return [verb(self) for verb in verbs]
            with self._transaction("BEGIN IMMEDIATE"):
                for lease in self._lapsed():
                    self.revoke(lease)
                outcomes = [verb(self) for verb in verbs]
                self._execute("DELETE FROM changes WHERE revision <= ?", self._revision - _LOG)
            return outcomes

    @contextmanager
    def _transaction(self, begin: str) -> Generator[None]:
        self._begin(begin)
        try:
            self._now = time.monotonic()  # after the wait for others
            self._revision = before = self._number("SELECT revision FROM state")
            yield
            if self._revision != before:
                self._execute("UPDATE state SET revision = ?", self._revision)
            self._execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._execute("ROLLBACK")
            raise
        self.revision = self._revision

    def _begin(self, begin: str) -> None:
        """Begin a transaction; SQLite itself would look for its turn too seldom to get it from a busy process."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._execute(begin)
                self._number("SELECT revision FROM state")
                return
            except sqlite3.OperationalError as error:
                if self._database.in_transaction:
                    self._execute("ROLLBACK")
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY)

    # ------------------------------------------------------------------------ verbs

    def grant(self, ttl: float) -> int:
        """Begin a lease."""
        return self._execute("INSERT INTO leases (ttl, lapses) VALUES (?, ?)", ttl, self._now + ttl).lastrowid or 0

    def renew(self, lease: int) -> bool:
        """Renew a lease; return whether it was there."""
        return self._execute("UPDATE leases SET lapses = ? + ttl WHERE id = ?", self._now, lease).rowcount == 1

    def revoke(self, lease: int) -> None:
        """End a lease, and all keys with it, in one revision."""
        self._execute("DELETE FROM leases WHERE id = ?", lease)
        keys = [key for (key,) in self._execute("SELECT key FROM entries WHERE lease = ? ORDER BY key", lease)]
        self._execute("DELETE FROM entries WHERE lease = ?", lease)
        self._log(*map(Removed, keys))

    def create(self, key: str, value: bytes, lease: int | None) -> Created | None:
        """Create a key unless it is there; ``None`` where the lease is not."""
        if lease is not None and not self._number("SELECT count(*) FROM leases WHERE id = ?", lease):
            return None
        holder = self._number("SELECT max(token) FROM entries WHERE key = ?", key)
        if holder:
            return Created(False, holder)
        token = self._revision + 1
        self._execute("INSERT INTO entries (key, value, token, lease) VALUES (?, ?, ?, ?)", key, value, token, lease)
        self._log(Entry(key, value, token))
        return Created(True, token)

    def put(self, key: str, value: bytes, token: int) -> bool:
        """Replace the value of a key that has a token."""
        done = self._execute("UPDATE entries SET value = ? WHERE key = ? AND token = ?", value, key, token).rowcount
        if done:
            self._log(Entry(key, value, token))
        return done == 1

    def delete(self, key: str, token: int) -> bool:
        """Delete a key that has a token."""
        done = self._execute("DELETE FROM entries WHERE key = ? AND token = ?", key, token).rowcount
        if done:
            self._log(Removed(key))
        return done == 1

    def find(self, prefix: str) -> Listing:
        """Return the keys with a prefix."""
        rows = self._execute(f"SELECT key, value, token FROM entries WHERE {_BEGINS} ORDER BY key", *_begins(prefix))
        return Listing(tuple(Entry(*row) for row in rows), self._revision)

    def since(self, prefix: str, revision: int) -> tuple[list[Changes], int] | None:
        """Return what has changed after a revision, and up to which; ``None`` where that is forgotten."""
        oldest = self._number("SELECT min(revision) FROM changes") or self._revision + 1
        if not oldest - 1 <= revision <= self._revision:
            return None
        query = f"SELECT revision, key, value, token FROM changes WHERE revision > ? AND {_BEGINS} ORDER BY id"
        told: dict[int, list[Entry | Removed]] = {}
        rows = self._execute(query, revision, *_begins(prefix))
        for read, (number, key, value, token) in enumerate(rows):
            if read >= _BATCH and number not in told:
                rows.close()
                return _changes(told), max(told)
            told.setdefault(number, []).append(Removed(key) if token is None else Entry(key, value, token))
        return _changes(told), self._revision

    # ----------------------------------------------------------------------- inside

    def _lapsed(self) -> list[int]:
        """Return the leases that have lapsed; those that lapse too late are from before the machine was started."""
        query = "SELECT id FROM leases WHERE NOT lapses BETWEEN ? AND ? + ttl ORDER BY lapses, id"
        return [lease for (lease,) in self._execute(query, math.nextafter(self._now, math.inf), self._now)]

    def _log(self, *changes: Entry | Removed) -> None:
        """Note what one revision changes."""
        if not changes:
            return
        self._revision += 1
        rows = [(self._revision, one.key, getattr(one, "value", None), getattr(one, "token", None)) for one in changes]
        self._database.executemany("INSERT INTO changes (revision, key, value, token) VALUES (?, ?, ?, ?)", rows)

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def _number(self, query: str, *values: object) -> int:
        row: tuple[int | None] = self._execute(query, *values).fetchone()
        return row[0] or 0

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise NoQuorumError(f"{self.path} is closed")
        return self._connection

    # ---------------------------------------------------------------------- opening

    def _open(self) -> None:
        """Check what is there, or make the tables; a file of somebody else's is not touched."""
        self._connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        self._execute("BEGIN")  # one view of what is there, whatever other processes do
        is_new = self._is_new()
        self._execute("COMMIT")
        self._write_ahead()
        self._execute("PRAGMA synchronous = FULL")  # a token that was given out is never given out again
        self._execute("BEGIN IMMEDIATE")
        if is_new and self._is_new():  # another process may have been faster
            for statement in _TABLES:
                self._execute(statement)
        self._execute("COMMIT")
        self._inode = self.path.stat().st_ino
        verdict = self._execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise ClusterError(f"{self.path} is damaged: {verdict}")
        self._execute("PRAGMA busy_timeout = 0")  # from now on _begin waits
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        with self._transaction("BEGIN IMMEDIATE"):
            if self._execute("SELECT boot FROM state").fetchone() != (boot,):
                self._execute("UPDATE state SET boot = ?", boot)
                self._execute("UPDATE leases SET lapses = -1 WHERE ?", boot != "")  # whoever comes next removes them

    def _write_ahead(self) -> None:
        """Let SQLite keep a write-ahead log; here alone it does not wait for another process that does the same."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                (mode,) = self._execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise ClusterError(f"{self.path}: its file system does not allow a write-ahead log")

    def _is_new(self) -> bool:
        identity, version = self._number("PRAGMA application_id"), self._number("PRAGMA user_version")
        if identity == _APPLICATION_ID:
            if version != _SCHEMA:
                raise ClusterError(f"{self.path} has tables of version {version}, this release knows {_SCHEMA}")
            return False
        if identity or version or self._execute("SELECT 1 FROM sqlite_master").fetchone():
            raise ClusterError(f"{self.path} is a database, but no store of trioakt")
        return True

    @contextmanager
    def _errors(self, kind: type[ClusterError]) -> Generator[None]:
        """Raise what SQLite raises as errors of ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise (NoQuorumError if _is_busy(error) else kind)(f"{self.path}: {error}") from error


def _check_file(path: Path, inode: int) -> None:
    """Find out whether others who open a path get this file; if not, there would be two owners of everything."""
    try:
        is_there = path.stat().st_ino == inode
    except OSError as error:
        raise NoQuorumError(f"{path}: {error}") from error
    if not is_there:
        raise NoQuorumError(f"{path} is another file now")


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # the rest are its details


_BEGINS = "key BETWEEN ? AND ?"


def _begins(prefix: str) -> tuple[str, str]:
    """Return the first and the last key that can begin with a prefix; the largest character has four bytes."""
    return prefix, prefix + "\U0010ffff" * (LONGEST_KEY // 4)


def _changes(told: dict[int, list[Entry | Removed]]) -> list[Changes]:
    return [Changes(revision, tuple(changes)) for revision, changes in told.items()]
