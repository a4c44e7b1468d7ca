"""A worker process as a resource: it parses one file at a time, and it is gone when its block is left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path, PurePath

import trio

from trioakt.demo import counting
from trioakt.demo.counting import FAULTS, Figures

PATIENCE = 30.0
"""Seconds after which a file that is not parsed counts as stuck."""

_COMMAND = [sys.executable, "-I", "-W", "ignore", counting.__file__]
_FAULTS = {kind.__name__: kind for kind in FAULTS}


class Worker:
    """One worker process; whoever has it sends one file at a time."""

    def __init__(self, paths: trio.abc.SendStream, answers: trio.abc.ReceiveStream) -> None:
        self._paths = paths
        self._answers = answers

    async def count(self, file: PurePath) -> Figures:
        """Count one file; when cancelled, the worker is of no use any more.

        Raises:
            SyntaxError, ValueError, OSError, RecursionError, MemoryError: As ``counting.count`` and reading a file.
            TimeoutError: There is no answer within ``PATIENCE`` seconds.
            trio.BrokenResourceError: The process has died.
        """
        with trio.move_on_after(PATIENCE):
            await self._paths.send_all(json.dumps(str(file)).encode() + b"\n")
            answer = json.loads(await self._line(file))
            if "figures" in answer:
                return Figures(*answer["figures"])
            raise _FAULTS[answer["error"]](f"{file}: {answer['text']}")
        raise TimeoutError(f"{file}: not parsed within {PATIENCE:.0f} s")

    async def _line(self, file: PurePath) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            chunk = await self._answers.receive_some()
            if not chunk:
                raise trio.BrokenResourceError(f"{file}: the worker process died")
            line += chunk
        return line


@asynccontextmanager
async def open_worker(directory: Path) -> AsyncGenerator[Worker]:
    """Start a worker process in a directory, and kill it at the end of the block.

    It has a session of its own, so that Ctrl-C in a terminal reaches us alone.
    """
    process = await trio.lowlevel.open_process(
        _COMMAND,
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        try:
            yield Worker(process.stdin, process.stdout)
        finally:
            process.kill()
            await process.wait()
