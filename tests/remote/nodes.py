"""Nodes of one system over a network in memory, and the messages that the tests of remoting share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, Request, message
from trioakt.remote.memory import MemoryNetwork
from trioakt.remote.settings import Remote


@message(name="tests.ping")
class Ping(Request[str]):
    text: str = ""


@message(name="tests.slow")
class Slow(Request[str]):
    """Answer after so many seconds."""

    seconds: float


@message(name="tests.slow-cancellable", cancellable=True)
class SlowCancellable(Slow):
    """The same, and the handler may be cancelled."""


@message(name="tests.fail")
class Fail(Request[None]):
    text: str


@message(name="tests.meet")
class Meet(Request[Any]):
    """Ask this one."""

    ref: ActorRef[Any]


@message(name="tests.via")
class Via(Request[str]):
    """Ask the first of these to ask the others."""

    way: list[ActorRef[Any]]


@message(name="tests.unknown")
class Unknown(Request[None]):
    """Nobody handles this."""


class Server(Actor):
    """Obeys the messages above, and writes down what it gets."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log = [] if log is None else log

    async def receive(self, ctx: Context, msg: Any) -> None:
        self.log.append(msg)
        match msg:
            case Ping(text):
                ctx.reply(f"pong {text}")
            case Slow(seconds):
                try:
                    await trio.sleep(seconds)
                except trio.Cancelled:
                    self.log.append("cancelled")
                    raise
                self.log.append("awake")
                ctx.reply("slow")
            case Fail(text):
                raise ValueError(text)
            case Meet(ref):
                ctx.reply(await ctx.ask(ref, Ping("met")))
            case "sender":
                if ctx.sender is not None:
                    ctx.sender.tell("heard", sender=ctx.self)
            case "nothing" | int():
                pass
            case _:
                ctx.unhandled()


@attrs.define
class Net:
    """The network, and the systems on it by name of their host; each runs in a task of its own."""

    network: MemoryNetwork
    nursery: trio.Nursery
    settings: dict[str, Any]
    systems: dict[str, ActorSystem] = attrs.field(factory=dict[str, ActorSystem])
    scopes: dict[str, trio.CancelScope] = attrs.field(factory=dict[str, trio.CancelScope])

    async def start(self, host: str, **settings: Any) -> ActorSystem:
        """Start a node; one that was crashed before comes back as a new incarnation."""
        remote = Remote(
            f"mem://{host}:1", node=host, transport=self.network.transport(host), **{**self.settings, **settings}
        )
        await self.nursery.start(self._run, host, remote)
        return self.systems[host]

    async def _run(self, host: str, remote: Remote, *, task_status: trio.TaskStatus[None]) -> None:
        scope = self.scopes[host] = trio.CancelScope()
        try:
            with scope:
                async with ActorSystem("bank", remote=remote) as self.systems[host]:
                    task_status.started()
                    await trio.sleep_forever()
        except* trio.ClosedResourceError:  # its listener may be gone before it is
            if not scope.cancel_called:
                raise

    def crash(self, host: str) -> None:
        """End a node without any goodbye."""
        self.scopes[host].cancel()
        self.network.crash(host)

    def __iter__(self) -> Iterator[ActorSystem]:
        return iter(tuple(self.systems.values()))


@asynccontextmanager
async def nodes(*hosts: str, **settings: Any) -> AsyncGenerator[Net]:
    """Start a node on each of these hosts."""
    async with trio.open_nursery() as nursery:
        net = Net(MemoryNetwork(), nursery, settings)
        for host in hosts:
            await net.start(host)
        yield net
        for system in net:
            system.shutdown()
