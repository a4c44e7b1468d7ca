"""The SQLite store: one file for several processes of one machine; the SQL is in ``sqlite_tables``."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from os import PathLike
from typing import Any, Generic, TypeVar

import trio

from trioakt.cluster.lease import Lease, keep
from trioakt.cluster.sqlite_tables import StoreTables
from trioakt.cluster.store import Changes, Created, Listing, Resync, check_entry
from trioakt.errors import ClusterError, LeaseLostError, NoQuorumError

_POLL = 0.05
"""Seconds after which watches look for what other processes have changed."""
_LARGEST_GROUP = 1_000

T = TypeVar("T")


class SqliteStore:
    """A ``Store`` in one SQLite file; get it from ``open_sqlite_store``.

    What is asked for while a transaction is under way goes into the next one together.
    """

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._leases = _Leases(worker)

    def grant(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """As ``Store.grant``."""
        return keep(self._leases, ttl)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Created:
        """As ``Store.create``."""
        check_entry(key, value)
        if lease is not None:
            lease.check()
        held = None if lease is None else int(lease.id)
        created = await self._worker.write(lambda tables: tables.create(key, value, held))
        if created is None:
            raise LeaseLostError(f"{lease!r} is not known any more")
        return created

    async def put_guarded(self, key: str, value: bytes, token: int) -> bool:
        """As ``Store.put_guarded``."""
        check_entry(key, value)
        return await self._worker.write(lambda tables: tables.put(key, value, token))

    async def delete(self, key: str, token: int) -> bool:
        """As ``Store.delete``."""
        return await self._worker.write(lambda tables: tables.delete(key, token))

    async def list(self, prefix: str) -> Listing:
        """As ``Store.list``."""
        return await self._worker.read(lambda tables: tables.find(prefix))

    @asynccontextmanager
    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[AsyncIterator[Changes | Resync]]:
        """As ``Store.watch``; what other processes change is heard about 50 ms later."""
        await trio.lowlevel.checkpoint()
        with self._worker.polling():
            yield _Watch(self._worker, prefix, revision)


class _Watch:
    """What is heard of the keys with a prefix."""

    def __init__(self, worker: _Worker, prefix: str, revision: int) -> None:
        self._worker = worker
        self._prefix = prefix
        self._revision = revision
        self._read: deque[Changes | Resync] = deque()
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[Changes | Resync]:
        return self

    async def __anext__(self) -> Changes | Resync:
        await trio.lowlevel.checkpoint()
        while not self._read:
            if self._is_over:
                raise StopAsyncIteration
            await self._read_on()
        return self._read.popleft()

    async def _read_on(self) -> None:
        after = self._revision
        news = await self._worker.read(lambda tables: tables.since(self._prefix, after))
        if news is None:
            self._is_over = True
            self._read.append(Resync())
        else:
            changes, self._revision = news
            self._read.extend(changes)
            if self._revision == after:
                await self._worker.news(after)


class _Leases:
    """What ``keep`` asks for."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    async def grant_lease(self, ttl: float) -> int:
        """Begin a lease."""
        return await self._worker.write(lambda tables: tables.grant(ttl))

    async def renew_lease(self, key: int) -> bool:
        """Renew a lease."""
        return await self._worker.write(lambda tables: tables.renew(key))

    async def revoke_lease(self, key: int) -> None:
        """End a lease."""
        await self._worker.write(lambda tables: tables.revoke(key))


class _Request(Generic[T]):
    """A verb that waits for its transaction."""

    def __init__(self, verb: Callable[[StoreTables], T], *, writes: bool) -> None:
        self.verb = verb
        self.writes = writes
        self.done = trio.Event()
        self.outcome: T
        self.error: NoQuorumError | None = None

    def succeed(self, outcome: T) -> None:
        """Let whoever waits have what the verb has returned."""
        self.outcome = outcome
        self.done.set()

    def fail(self, why: str) -> None:
        """Let whoever waits know that the outcome cannot be known."""
        self.error = NoQuorumError(why)
        self.done.set()


class _Worker:
    """The one task that uses the file, in a thread of its own; it ends with ``stop``, not before."""

    def __init__(self, tables: StoreTables) -> None:
        self._tables = tables
        self._thread = trio.CapacityLimiter(1)  # of threads: those that other code keeps busy delay no renewal
        self._requests: list[_Request[Any]] = []
        self._wanted = trio.Event()
        self._watches = 0
        self._told = 0
        self._news = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    async def run(self) -> None:
        """Work until it is stopped; the transaction under way ends first, which SQLite bounds."""
        try:
            with self._scope:
                while True:
                    with trio.move_on_after(_POLL if self._watches else math.inf):
                        await self._wanted.wait()
                    await self._work()
        finally:
            with trio.CancelScope(shield=True):  # it takes no longer than the file to be closed
                await trio.to_thread.run_sync(self._tables.close, limiter=self._thread)

    def stop(self) -> None:
        """End the work; what is asked for now is not done."""
        self._scope.cancel()
        for request in self._requests:
            request.fail(f"{self._tables.path} is closed")

    async def write(self, verb: Callable[[StoreTables], T]) -> T:
        """Run a verb in a transaction that may write."""
        return await self._run(_Request(verb, writes=True))

    async def read(self, verb: Callable[[StoreTables], T]) -> T:
        """Run a verb in a transaction, which need not write."""
        return await self._run(_Request(verb, writes=False))

    async def news(self, revision: int) -> None:
        """Wait until there may be changes after a revision, or the file fails."""
        if self._tables.revision == revision:
            await self._news.wait()

    @contextmanager
    def polling(self) -> Generator[None]:
        """Look for what other processes change for as long as the block lasts."""
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1

    async def _run(self, request: _Request[T]) -> T:
        if self._scope.cancel_called:
            raise NoQuorumError(f"{self._tables.path} is closed")
        self._requests.append(request)
        self._wanted.set()
        try:
            await request.done.wait()
        finally:
            if request in self._requests:
                self._requests.remove(request)
        if request.error is not None:
            raise request.error
        return request.outcome

    async def _work(self) -> None:
        """Run what waits in one transaction; without anything, look for news."""
        group, self._requests = self._requests[:_LARGEST_GROUP], self._requests[_LARGEST_GROUP:]
        if not self._requests:
            self._wanted = trio.Event()
        run = partial(self._tables.run, [request.verb for request in group], writes=any(one.writes for one in group))
        try:
            outcomes = await trio.to_thread.run_sync(run, limiter=self._thread)
        except ClusterError as error:
            for request in group:
                request.fail(str(error))
            self._wake()
        else:
            for request, outcome in zip(group, outcomes, strict=True):
                request.succeed(outcome)
            if self._tables.revision != self._told:
                self._wake()

    def _wake(self) -> None:
        self._told = self._tables.revision
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def open_sqlite_store(path: str | PathLike[str]) -> AsyncGenerator[SqliteStore]:
    """Open a store in an SQLite file, which is made if it is not there, for all processes of one machine.

    A verb that has returned is on the disk (write-ahead log, ``synchronous=FULL``). Leases are measured by the clock
    that all processes of a machine share, and are void when the machine is started anew. The last 10,000 revisions are
    remembered for watches.

    A process that is stopped in the middle of a transaction keeps the others from writing until it goes on or is
    killed: they wait 2 seconds for it and raise ``NoQuorumError``. So does a full disk.

    Args:
        path: The file, on a local disk; beside it SQLite keeps two more, ``-wal`` and ``-shm``, while it is open.

    Raises:
        ClusterError: The file cannot be opened, is damaged, holds something else or was made by a release with other
            tables; it is left as it is.
    """
    tables = await trio.to_thread.run_sync(StoreTables, path)
    worker = _Worker(tables)
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run)
        try:
            yield SqliteStore(worker)
        except Exception as error:
            failed = error  # it leaves the block as it is, not inside the nursery's group
        finally:
            worker.stop()
    if failed is not None:
        raise failed
