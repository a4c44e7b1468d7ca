"""Nodes of a cluster in one process: a network and a store in memory, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from trioakt import Actor, ActorSystem, Cluster, Context, Datacenter, Remote, Request, message
from trioakt.cluster.memory import MemoryStore
from trioakt.remote.memory import MemoryNetwork

TTL = 5.0
"""Seconds to live of the leases of these nodes."""


@message
class Who(Request[str]):
    """Answered by the node that has the actor."""


@message
class Token(Request[int]):
    """Answered by the fencing token."""


@message
class Add(Request[int]):
    """Add, and answer the sum."""

    amount: int


class Counter(Actor):
    """Counts from where it is told to start."""

    def __init__(self, start: int = 0) -> None:
        self.sum = start

    def receive(self, ctx: Context, msg: object) -> None:
        """Answer."""
        match msg:
            case Who():
                ctx.reply(ctx.system.address)
            case Token():
                ctx.reply(ctx.fencing_token)
            case Add(amount):
                self.sum += amount
                ctx.reply(self.sum)
            case _:
                ctx.unhandled()


class Town:
    """A network and a store, and the nodes that share them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.network = MemoryNetwork(Random(0))
        self.store = MemoryStore()
        self.datacenter: Callable[[str], Datacenter] | None = None
        """Makes what a node says about its datacenter, if there are several."""
        self._nursery = nursery
        self._scopes: dict[ActorSystem, trio.CancelScope] = {}
        self._ended: dict[ActorSystem, trio.Event] = {}

    async def start(
        self, node: str, *, roles: Any = (), kinds: Any = (Counter,), grains: Any = (), **options: Any
    ) -> ActorSystem:
        """Start a node, which is a member when this returns."""
        remote = Remote(f"mem://{node}:1", node=node, transport=self.network.transport(node))
        cluster = Cluster(
            self.store.view(node),
            roles=roles,
            kinds=kinds,
            grains=grains,
            lease_ttl=TTL,
            datacenter=None if self.datacenter is None else self.datacenter(node),
        )
        system = ActorSystem("town", remote=remote, cluster=cluster, **options)
        await self._nursery.start(self._run, system)
        return system

    async def crash(self, system: ActorSystem) -> None:
        """End a node without any goodbye: neither the others nor the store hear of it."""
        node = system.endpoint.remote.node or ""
        self.store.partition(node)
        self.network.crash(node)
        self._scopes[system].cancel()
        await self._ended[system].wait()

    async def leave(self, system: ActorSystem) -> None:
        """Shut a node down in order."""
        system.shutdown()
        await self._ended[system].wait()

    async def _run(self, system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
        self._ended[system] = trio.Event()
        try:
            with trio.CancelScope() as self._scopes[system]:
                async with system:
                    task_status.started()
                    await trio.sleep_forever()
        except* trio.ClosedResourceError:  # its listener may be gone before it is
            if not self._scopes[system].cancel_called:
                raise
        finally:
            self._ended[system].set()


@asynccontextmanager
async def open_town() -> AsyncGenerator[Town]:
    """Have a town; its nodes end with the block."""
    async with trio.open_nursery() as nursery:
        yield Town(nursery)
        nursery.cancel_scope.cancel()
