"""A worker process as a resource: it parses one file at a time, and it is gone when its block is left."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path, PurePath

import trio

from trioakt.demo.counting import Figures, count_file
from trioakt.patterns import processes

PATIENCE = 30.0
"""Seconds after which a file that is not parsed counts as stuck."""


class Worker:
    """One worker process for the files in a directory; whoever has it sends one file at a time."""

    def __init__(self, process: processes.WorkerProcess, directory: Path) -> None:
        self._process = process
        self._directory = directory

    async def count(self, file: PurePath) -> Figures:
        """Count one file; when cancelled, the worker is of no use any more.

        Raises:
            SyntaxError, ValueError, OSError, RecursionError, MemoryError: As ``counting.count_file``.
            TimeoutError: There is no answer within ``PATIENCE`` seconds.
            trio.BrokenResourceError: The process has died.
        """
        try:
            with trio.move_on_after(PATIENCE):
                return await self._process.run(count_file, self._directory, file)
        except trio.BrokenResourceError as error:
            raise trio.BrokenResourceError(f"{file}: {error}") from None
        raise TimeoutError(f"{file}: not parsed within {PATIENCE:.0f} s")


@asynccontextmanager
async def open_worker(directory: Path) -> AsyncGenerator[Worker]:
    """Start a worker process, and kill it at the end of the block."""
    async with processes.open_worker() as process:
        yield Worker(process, directory)
