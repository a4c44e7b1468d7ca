"""The processes of the nodes, as their parent has them: none outlives the block."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import trio

from trioakt.demo.cluster.node import Report, Setup

START = 60.0
"""Seconds that a node may take to start."""
GRACE = 2.0
"""Seconds that a node has to end by itself."""

_COMMAND = f"import sys; sys.path[:] = {sys.path!r}; from trioakt.demo.cluster.node import serve; serve()"


class NodeError(Exception):
    """A node has not started."""


class NodeProcess:
    """One process that runs a node.

    Attributes:
        name: The name of the node.
    """

    def __init__(self, name: str, process: trio.Process) -> None:
        self.name = name
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def tell(self, setup: Setup) -> None:
        """Tell it what to be."""
        with suppress(trio.BrokenResourceError):  # it has ended, as its report will show
            await self._stdin.send_all(setup.to_line())

    async def wait_started(self) -> None:
        """Wait for its report.

        Raises:
            NodeError: It has not started.
        """
        try:
            with trio.fail_after(START):
                line = await self._first_line()
        except trio.TooSlowError:
            raise NodeError(f"{self.name} has not started within {START:.0f} s") from None
        if not line:
            raise NodeError(f"{self.name} has ended before it had started")
        report = Report(**json.loads(line))
        if report.failure:
            raise NodeError(f"{self.name} cannot start: {report.failure}")

    async def _first_line(self) -> bytes:
        line = b""
        async for chunk in self._stdout:
            line += chunk
            if line.endswith(b"\n"):
                return line
        return b""

    async def wait_ended(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    def kill(self) -> None:
        """Let it die by SIGKILL."""
        self._process.kill()

    async def end(self) -> None:
        """Close its standard input, with which it ends, and kill it if it does not."""
        await self._stdin.aclose()
        await self._stdout.aclose()
        with trio.move_on_after(GRACE):
            await self._process.wait()
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def open_nodes(setups: Iterable[Setup]) -> AsyncGenerator[list[NodeProcess]]:
    """Start nodes, and hold them until the end of the block.

    Raises:
        NodeError: One has not started.
    """
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(_open_process(setup)) for setup in setups]
        for node in nodes:
            await node.wait_started()
        yield nodes


@asynccontextmanager
async def _open_process(setup: Setup) -> AsyncGenerator[NodeProcess]:
    # In a session of its own, so that Ctrl-C in a terminal reaches the parent alone.
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-c", _COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    node = NodeProcess(setup.node, process)
    try:
        await node.tell(setup)
        yield node
    finally:
        with trio.CancelScope(shield=True):  # bounded by GRACE: nothing survives SIGKILL after that
            await node.end()
