"""Server processes, and the certificates of a node."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio
import trustme

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NODE = "benchmarks"
"""What all certificates are made out to."""


@asynccontextmanager
async def open_servers(module: str, count: int, *, tls: bool) -> AsyncGenerator[tuple[list[str], Path | None]]:
    """Start servers, each a process that runs a module; they end with the block.

    Returns:
        The line that each has printed when it was ready, and the folder of the certificates, if there are any.
    """
    with TemporaryDirectory() as name:
        folder = _certificates(Path(name)) if tls else None
        command = [sys.executable, "-m", module, *([name] if tls else [])]
        servers = [
            await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(count)
        ]
        try:
            addresses = [await _line(server) for server in servers]
            async with trio.open_nursery() as nursery:
                for server in servers:
                    nursery.start_soon(_mind, server)
                yield addresses, folder
                nursery.cancel_scope.cancel()
        finally:
            for server in servers:
                server.kill()
            with trio.CancelScope(shield=True):
                for server in servers:
                    await _clear(server)


def begin_as_server() -> Path | None:
    """Let this process run on the cores that its parent does not use; return the folder of the certificates."""
    if hasattr(os, "sched_setaffinity"):
        others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
        os.sched_setaffinity(0, others or os.sched_getaffinity(0))
    return Path(sys.argv[1]) if len(sys.argv) > 1 else None


async def serve_until_orphaned(ready: str) -> None:
    """Say that this server is ready, and return when the process that has started it is gone."""
    print(ready, flush=True)
    await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)


async def _mind(server: trio.Process) -> None:
    raise ChildProcessError(f"a server has ended with {await server.wait()}")


async def _clear(server: trio.Process) -> None:
    await server.wait()
    for stream in (server.stdin, server.stdout):
        assert stream is not None
        await stream.aclose()


async def _line(server: trio.Process) -> str:
    assert server.stdout is not None
    read = bytearray()
    while not read.endswith(b"\n"):
        more = await server.stdout.receive_some()
        if not more:
            raise ChildProcessError("a server has not started")
        read += more
    return read.decode().strip()


def _certificates(folder: Path) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert(NODE, common_name=NODE)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "node.key")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "node.pem", append=True)
    return folder
