"""trioakt on two nodes or more, written as a user would; as a program it is one of the servers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from benchmarks.remote.messages import Depot
from benchmarks.remote.servers import NODE, begin_as_server, open_servers, serve_until_orphaned
from benchmarks.remote.workloads import between_processes
from trioakt import Actor, ActorRef, ActorSystem, Context, Remote, Tls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class Server(Actor):
    """Takes parcels and answers."""

    def __init__(self) -> None:
        self._depot = Depot()

    async def receive(self, ctx: Context, msg: Any) -> None:
        """Handle one message."""
        answer = self._depot.take(msg)
        if answer is not None:
            ctx.reply(answer)


def _remote(folder: Path | None) -> Remote:
    if folder is None:
        return Remote("tcp://127.0.0.1:0", cookie="benchmarks")
    tls = Tls(folder / "node.pem", folder / "node.key", folder / "ca.pem")
    return Remote("tls+tcp://127.0.0.1:0", cookie="benchmarks", tls=tls)


@asynccontextmanager
async def _open_refs(servers: int, *, tls: bool) -> AsyncGenerator[list[ActorRef]]:
    async with (
        open_servers(__name__, servers, tls=tls) as (addresses, folder),
        ActorSystem(NODE, remote=_remote(folder)) as system,
    ):
        yield [await system.resolve(address) for address in addresses]


async def serve(folder: Path | None) -> None:
    """Be a server."""
    async with ActorSystem(NODE, remote=_remote(folder)) as system:
        server = await system.spawn(Server, name="server")
        await serve_until_orphaned(server.address)


WORKLOADS = between_processes(_open_refs)

if __name__ == "__main__":
    trio.run(serve, begin_as_server())
