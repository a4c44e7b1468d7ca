"""The durable queue: what producers have accepted and consumers not confirmed, in an SQLite file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from secrets import token_hex

import trio

from trioakt.delivery.queue_file import Backlog, Change, QueueFile
from trioakt.errors import QueueError


class DurableQueue:
    """Keeps the messages of producers; get it from ``open_queue`` and give it to ``spawn_producer``.

    One file may serve several producers, and is written by one thread at a time. What comes while a transaction is
    under way goes into the next one together.
    """

    def __init__(self, file: QueueFile, thread: trio.CapacityLimiter) -> None:
        self._file = file
        self._thread = thread
        self._lock = trio.Lock()
        self._waiting: list[_Write] = []
        self._attached: set[str] = set()
        self._closed = False

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @asynccontextmanager
    async def attach(self, producer_id: str) -> AsyncGenerator[Backlog]:
        """Be this producer for as long as the block lasts; gives what is there of it. For producers.

        Raises:
            QueueError: Another producer has this name, or the file fails.
        """
        if producer_id in self._attached:
            raise QueueError(f"{self.path}: there is a producer {producer_id!r} already")
        self._attached.add(producer_id)
        try:
            async with self._lock:
                self._check_open()
                load = self._file.load
                backlog = await trio.to_thread.run_sync(load, producer_id, token_hex(8), limiter=self._thread)
            yield backlog
        finally:
            self._attached.discard(producer_id)

    async def write(self, changes: Sequence[Change]) -> list[QueueError | None]:
        """Make changes durable and return the error of each; when cancelled, they may or may not be. For producers.

        Raises:
            QueueError: The queue is closed.
        """
        write = _Write(changes)
        self._waiting.append(write)
        try:
            async with self._lock:
                if write.outcomes is None:
                    await self._commit()
        finally:
            if write in self._waiting:
                self._waiting.remove(write)
        assert write.outcomes is not None
        return write.outcomes

    async def _commit(self) -> None:
        """Commit all that waits, for whoever waits."""
        self._check_open()
        writes, self._waiting = self._waiting, []
        changes = [change for write in writes for change in write.changes]
        with trio.CancelScope(shield=True):  # SQLite waits a second at most, and these are not one caller's alone
            outcomes = iter(await trio.to_thread.run_sync(self._file.commit, changes, limiter=self._thread))
            for write in writes:
                write.outcomes = [next(outcomes) for _ in write.changes]

    async def close(self) -> None:
        """Let the transaction under way end, and close the file."""
        self._closed = True
        with trio.CancelScope(shield=True):  # SQLite waits a second at most, to commit and to close
            async with self._lock:
                await trio.to_thread.run_sync(self._file.close, limiter=self._thread)

    def _check_open(self) -> None:
        if self._closed:
            raise QueueError(f"{self.path} is closed")


class _Write:
    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.outcomes: list[QueueError | None] | None = None


@asynccontextmanager
async def open_queue(path: str | PathLike[str]) -> AsyncGenerator[DurableQueue]:
    """Open a durable queue in an SQLite file, which is made if it is not there; enter it before the system.

    Args:
        path: Where the file is; beside it SQLite keeps one of the same name with ``-wal`` at its end.

    Raises:
        QueueError: Another process has it open, or it is no queue.
        QueueFullError: There is no room to make it.
    """
    thread = trio.CapacityLimiter(1)
    file = await trio.to_thread.run_sync(QueueFile, Path(path), limiter=thread)
    queue = DurableQueue(file, thread)
    try:
        yield queue
    finally:
        await queue.close()
