"""Connections to PostgreSQL that Trio waits for: libpq, as psycopg wraps it, without threads and without asyncio."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import trio
from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus, Format, PGconn, PollingStatus
from psycopg.pq.abc import PGconn as Libpq
from psycopg.pq.abc import PGresult

from trioakt.errors import NoQuorumError

PATIENCE = 4.0
"""Seconds after which a server that does not answer is given up."""
_SET_UP = """
set default_transaction_isolation = 'read committed';
set lock_timeout = '2s';
set statement_timeout = '3s';
select set_config('synchronous_commit', 'on', false)
where current_setting('synchronous_commit') in ('off', 'local', 'remote_write');
"""
"""Nothing runs on for long after it was given up here, and what is acknowledged has been written."""

_READERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda value: value == b"\1",
    17: bytes,
    20: lambda value: int.from_bytes(value, "big", signed=True),
}
"""How values are read from PostgreSQL's binary format: boolean, bytea and bigint, by their object identifiers."""

Row = tuple[Any, ...]


class Connection:
    """One connection, for one task at a time; an error or a cancellation closes it. Get it from ``connect``."""

    def __init__(self, libpq: Libpq) -> None:
        self._libpq = libpq

    @property
    def is_open(self) -> bool:
        """Whether it can be used, as far as that is known without asking."""
        try:
            self._libpq.consume_input()  # the last words of a server that has closed it
            self._libpq.consume_input()  # the end
        except Error:
            return False
        return True

    def close(self) -> None:
        """Close it; the server ends what it has begun."""
        self._libpq.finish()

    async def execute(self, sql: str, *parameters: str | bytes | None) -> list[Row]:
        """Run a statement and return its rows.

        Raises:
            NoQuorumError: It has failed, or its outcome is not known.
        """
        values = [value.encode() if isinstance(value, str) else value for value in parameters]
        formats = [Format.BINARY if isinstance(value, bytes) else Format.TEXT for value in parameters]
        return await self._run(
            lambda: self._libpq.send_query_params(sql.encode(), values, None, formats, Format.BINARY)
        )

    async def execute_script(self, sql: str) -> None:
        """Run several statements in one transaction.

        Raises:
            NoQuorumError: It has failed, or its outcome is not known.
        """
        await self._run(lambda: self._libpq.send_query(sql.encode()))

    async def _run(self, send: Callable[[], None]) -> list[Row]:
        """Send something, and return the rows of its last statement."""
        try:
            send()
            while self._libpq.flush():
                await trio.lowlevel.wait_writable(self._libpq.socket)
            rows: list[Row] = []
            while True:
                while self._libpq.is_busy():
                    await trio.lowlevel.wait_readable(self._libpq.socket)
                    self._libpq.consume_input()
                result = self._libpq.get_result()
                if result is None:
                    return rows
                if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                    raise NoQuorumError(f"PostgreSQL: {result.get_error_message()}")
                rows = _read(result)
        except Error as error:
            self.close()
            raise NoQuorumError(f"the connection to PostgreSQL is lost: {error}") from None
        except BaseException:
            self.close()
            raise

    async def wait_notified(self) -> None:
        """Return when there was a notification of a channel that this connection listens to.

        Raises:
            NoQuorumError: The connection is lost.
        """
        try:
            while self._libpq.notifies() is None:
                await trio.lowlevel.wait_readable(self._libpq.socket)
                self._libpq.consume_input()
            while self._libpq.notifies() is not None:
                pass
        except Error as error:
            self.close()
            raise NoQuorumError(f"the connection to PostgreSQL is lost: {error}") from None


def _read(result: PGresult) -> list[Row]:
    readers = [_READERS.get(result.ftype(column), bytes) for column in range(result.nfields)]

    def value(row: int, column: int) -> Any:
        found = result.get_value(row, column)
        return None if found is None else readers[column](found)

    return [tuple(value(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]


def parse_postgresql_url(url: str) -> dict[str, Any]:
    """Read ``postgresql://[user:password@]host[:port][,host[:port]...]/database[?name=value...]``, as libpq does.

    Raises:
        ValueError: It is no such URL.
    """
    try:
        address = conninfo_to_dict(url)
    except Error:  # its text would tell the password
        raise ValueError("a URL of PostgreSQL is like postgresql://user:password@host:port/database") from None
    hosts, ports = _several(address, "host"), _several(address, "port")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise ValueError(f"there are {len(hosts)} hosts and {len(ports)} ports")
    return {"target_session_attrs": "read-write", "application_name": "trioakt", **address}


async def connect(address: dict[str, Any]) -> Connection:
    """Connect to the first server that can be reached and takes writes.

    Args:
        address: From ``parse_postgresql_url``.

    Raises:
        NoQuorumError: There is none.
    """
    failures: list[str] = []
    try:
        places = await _places(address)
    except OSError as error:
        raise NoQuorumError(f"PostgreSQL cannot be reached: {error}") from None
    for place in places:
        with trio.move_on_after(PATIENCE / (len(places) + 1)):  # so that one is left for what is to be done there
            try:
                return await _connect(place)
            except (Error, NoQuorumError) as error:
                failures.append(str(error).strip())
                continue
        failures.append(f"{place.get('host', 'the server')} does not answer")
    raise NoQuorumError(f"PostgreSQL cannot be reached: {'; '.join(failures)}")


async def _connect(place: dict[str, Any]) -> Connection:
    libpq = PGconn.connect_start(make_conninfo(**place).encode())
    try:
        while (status := PollingStatus(libpq.connect_poll())) != PollingStatus.OK:
            if status == PollingStatus.READING:
                await trio.lowlevel.wait_readable(libpq.socket)
            elif status == PollingStatus.WRITING:
                await trio.lowlevel.wait_writable(libpq.socket)
            else:
                raise NoQuorumError(libpq.get_error_message())
        libpq.nonblocking = 1
    except BaseException:
        libpq.finish()
        raise
    connection = Connection(libpq)
    await connection.execute_script(_SET_UP)
    return connection


async def _places(address: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one address for each server, with its name looked up, as libpq would block to do so."""
    hosts, ports = _several(address, "host"), _several(address, "port")
    if "hostaddr" in address or not hosts:
        return [address]
    places: list[dict[str, Any]] = []
    failure: OSError | None = None
    for number, host in enumerate(hosts):
        port = ports[number % len(ports)] if ports else "5432"
        place = {**address, "host": host, "port": port}
        if host.startswith(("/", "@")):
            places.append(place)
            continue
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            failure = error
        else:
            places += [{**place, "hostaddr": each[4][0]} for each in found]
    if failure is not None and not places:
        raise failure
    return places


def _several(address: dict[str, Any], name: str) -> list[str]:
    return str(address[name]).split(",") if address.get(name) else []
