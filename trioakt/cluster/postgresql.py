"""A ``Store`` in PostgreSQL: what it owes as functions of the server, by the server's clock."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar
from uuid import uuid4

import trio

from trioakt.cluster.lease import Lease, keep
from trioakt.cluster.postgresql_connection import PATIENCE, Connection, Row, connect, parse_postgresql_url
from trioakt.cluster.postgresql_layout import CREATE, LAYOUT
from trioakt.cluster.store import Changes, Created, Entry, Listing, Removed, Resync, check_entry
from trioakt.errors import ClusterError, LeaseLostError, NoQuorumError

_CONNECTIONS = 2
"""For keys; leases have one of their own, so that nothing delays their renewal."""
_PAUSE = 0.5
"""Seconds after which a watch looks by itself; a notification is but a hint to look earlier."""

T = TypeVar("T")


class _Pool:
    """Up to so many connections, which are made when they are needed."""

    def __init__(self, address: dict[str, Any], size: int) -> None:
        self._address = address
        self._turns = trio.Semaphore(size)
        self._idle: list[Connection] = []
        self._failures = 0

    async def execute(self, sql: str, *parameters: str | bytes | None) -> list[Row]:
        """Run a statement; see ``Connection.execute``."""
        return await self._run(lambda connection: connection.execute(sql, *parameters))

    async def execute_script(self, sql: str) -> None:
        """Run several statements; see ``Connection.execute_script``."""
        await self._run(lambda connection: connection.execute_script(sql))

    async def _run(self, run: Callable[[Connection], Awaitable[T]]) -> T:
        failures = self._failures
        async with self._turns:
            if self._failures > failures:
                raise NoQuorumError("PostgreSQL has failed to answer what came before")  # not one after the other
            try:
                with trio.move_on_after(PATIENCE):
                    connection = await self._take()
                    outcome = await run(connection)
                    self._idle.append(connection)
                    return outcome
                raise NoQuorumError(f"PostgreSQL has not answered for {PATIENCE:g} s")
            except NoQuorumError:
                self._failures += 1
                self.close()  # the other connections were most likely lost too
                raise

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.close()
        return await connect(self._address)

    def close(self) -> None:
        """Close those that are not in use."""
        while self._idle:
            self._idle.pop().close()


class _Leases:
    """Leases as rows."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool

    async def grant_lease(self, ttl: float) -> str:
        """Begin a lease; see ``LeaseEngine``."""
        lease = str(uuid4())
        await self._pool.execute(
            "insert into trioakt.leases select $1::uuid, ttl, clock_timestamp() + ttl"
            " from make_interval(secs => $2::float8) as ttl",
            lease,
            repr(float(ttl)),
        )
        return lease

    async def renew_lease(self, key: str) -> bool:
        """Renew a lease; see ``LeaseEngine``."""
        renewed = await self._pool.execute(
            "update trioakt.leases set expires = clock_timestamp() + ttl"
            " where id = $1::uuid and expires > clock_timestamp() returning true",
            key,
        )
        return bool(renewed)

    async def revoke_lease(self, key: str) -> None:
        """End a lease; see ``LeaseEngine``."""
        await self._pool.execute("select trioakt.revoke($1::uuid)", key)


class PostgresqlStore:
    """A ``Store`` in a database of PostgreSQL; get it from ``open_postgresql_store``.

    Changes come one after the other, as they take turns at one row. There is no task behind it but those that keep
    leases; each watch has a connection of its own.
    """

    def __init__(self, address: dict[str, Any]) -> None:
        self._address = address
        self._keys = _Pool(address, _CONNECTIONS)
        self._leases = _Pool(address, 1)

    async def open(self) -> None:
        """Lay the tables and functions out, unless they are there.

        Raises:
            ClusterError: Another version has laid them out.
            NoQuorumError: The server cannot be reached, or does not let it.
        """
        [(is_there,)] = await self._keys.execute("select to_regclass('trioakt.state') is not null")
        if not is_there:
            await self._keys.execute_script(CREATE)
        [(layout,)] = await self._keys.execute("select layout::bigint from trioakt.state")
        if layout != LAYOUT:
            raise ClusterError(f"the database has layout {layout} of the store; this version knows layout {LAYOUT}")

    def close(self) -> None:
        """Close its connections."""
        self._keys.close()
        self._leases.close()

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """Hold a lease; see ``Store``."""
        return keep(_Leases(self._leases), ttl)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        """Create a key, unless it is there; see ``Store``."""
        check_entry(key, value)
        if lease is not None:
            lease.check()
        [(won, token)] = await self._keys.execute(
            "select won, held_by from trioakt.create_key($1::bytea, $2::bytea, $3::uuid)",
            key.encode(),
            value,
            None if lease is None else lease.id,
        )
        if won is None:
            raise LeaseLostError(f"the lease {lease and lease.id} is lost")
        return Created(won, token)

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        """Replace the value of a key if it has this token; see ``Store``."""
        check_entry(key, value)
        sql = "select trioakt.put_guarded($1::bytea, $2::bytea, $3::bigint)"
        [(had,)] = await self._keys.execute(sql, key.encode(), value, str(token))
        return bool(had)

    async def delete(self, key: str, token: int) -> bool:
        """Delete a key if it has this token; see ``Store``."""
        sql = "select trioakt.delete_key($1::bytea, $2::bigint)"
        [(had,)] = await self._keys.execute(sql, key.encode(), str(token))
        return bool(had)

    async def list(self, prefix: str) -> Listing:
        """Return the keys that begin with a prefix; see ``Store``."""
        rows = await self._keys.execute("select * from trioakt.list_keys($1::bytea, $2::bytea)", *_range(prefix))
        entries = (Entry(key.decode(), value, token) for _, key, value, token in rows if key is not None)
        return Listing(tuple(entries), rows[0][0])

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        """Hear of changes; see ``Store``."""
        watch = _Watch(self._address, prefix, revision)
        try:
            yield watch
        finally:
            watch.close()


class _Watch:
    """Reads the log from after a revision on, hundreds of revisions at a time, as fast as it is iterated."""

    def __init__(self, address: dict[str, Any], prefix: str, revision: int) -> None:
        self._address = address
        self._range = _range(prefix)
        self._revision = revision
        self._connection: Connection | None = None
        self._found: deque[Changes | Resync] = deque()
        self._is_level = False
        self._is_over = False

    def close(self) -> None:
        """Close its connection."""
        self._is_over = True
        if self._connection is not None:
            self._connection.close()

    def __aiter__(self) -> AsyncIterator[Changes | Resync]:
        return self

    async def __anext__(self) -> Changes | Resync:
        await trio.lowlevel.checkpoint()
        while not self._found:
            if self._is_over:
                raise StopAsyncIteration
            if self._is_level and self._connection is not None:
                with trio.move_on_after(_PAUSE):
                    await self._connection.wait_notified()
            await self._look()
        return self._found.popleft()

    async def _look(self) -> None:
        with trio.move_on_after(PATIENCE):
            connection = self._connection or await self._listen()
            self._connection = None  # if it is not put back, it is closed
            rows = await connection.execute(
                "select * from trioakt.list_changes($1::bytea, $2::bytea, $3::bigint)",
                *self._range,
                str(self._revision),
            )
            self._connection = connection
            self._take(rows)
            return
        raise NoQuorumError(f"PostgreSQL has not answered for {PATIENCE:g} s")

    async def _listen(self) -> Connection:
        connection = await connect(self._address)
        await connection.execute("listen trioakt")
        return connection

    def _take(self, rows: list[Row]) -> None:
        is_known, self._is_level, self._revision = rows[0][:3]
        if not is_known:
            self._found.append(Resync())
            self._is_over = True
            return
        changed = (row[3:] for row in rows if row[4] is not None)
        for revision, changes in groupby(changed, key=itemgetter(0)):
            self._found.append(Changes(revision, tuple(_change(*change) for _, *change in changes)))


@asynccontextmanager
async def open_postgresql_store(url: str) -> AsyncGenerator[PostgresqlStore]:
    """Keep who owns what in a database of PostgreSQL, until the end of the block.

    The user needs the right to create the schema ``trioakt`` there, the first time, or owns it already. With standby
    servers, name all of them, and let at least one confirm each commit (``synchronous_standby_names``), or a fail-over
    forgets owners. The clock of the server decides when leases lapse, so it must not be set while nodes run.

    Args:
        url: ``postgresql://user:password@host:port/database``, with all that libpq knows: several hosts, ``sslmode``.

    Raises:
        ClusterError: Another version has laid out what is in the database.
        NoQuorumError: The server cannot be reached, or does not let this user do it.
        ValueError: It is no such URL.
    """
    store = PostgresqlStore(parse_postgresql_url(url))
    await store.open()
    try:
        yield store
    finally:
        store.close()


def _range(prefix: str) -> tuple[bytes, bytes | None]:
    """Return the first key with a prefix, and the first after all of them."""
    first = prefix.encode()
    return first, first[:-1] + bytes([first[-1] + 1]) if first else None  # no byte of UTF-8 is 255


def _change(key: bytes, value: bytes | None, token: int) -> Entry | Removed:
    return Removed(key.decode()) if value is None else Entry(key.decode(), value, token)
