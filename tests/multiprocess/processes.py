"""Starting nodes as processes, and reading what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).parent / "node.py"
PATIENCE = 60.0
"""Seconds after which a test gives up; it passes much earlier."""


class NodeProcess:
    """A node in a process; ``lines`` is what it has said so far and nobody has waited for."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._said = b""

    async def line(self) -> str:
        """Wait for the next line."""
        assert self._process.stdout is not None
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._said:
                chunk = await self._process.stdout.receive_some()
                if not chunk:
                    raise EOFError(f"the node has ended, its last words were {self._said!r}")
                self._said += chunk
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    async def expect(self, *lines: str) -> None:
        """Wait until these lines have come, in this order, whatever comes between them."""
        for line in lines:
            while await self.line() != line:
                pass

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def node(*args: str, prefix: Sequence[str] = ()) -> AsyncGenerator[NodeProcess]:
    """Run the node program, and kill it at the end."""
    process = await trio.lowlevel.open_process(
        [*prefix, sys.executable, str(PROGRAM), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    started = NodeProcess(process)
    try:
        yield started
    finally:
        with trio.CancelScope(shield=True):
            await started.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
