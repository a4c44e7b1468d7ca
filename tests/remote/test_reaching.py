"""One program on two nodes: told, asked, watched and stopped as if local, over a network in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from tests.core.actors import Echo, Recorder
from trioakt import ActorSystem
from trioakt.remote.memory import MemoryNetwork
from trioakt.remote.settings import Remote
from trioakt import Request, message


@message(name="tests.question")
class Question(Request[str]):
    text: str


@asynccontextmanager
async def nodes(*names: str, **remote: Any) -> AsyncGenerator[list[ActorSystem]]:
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery:
        systems = []
        for name in names:
            settings = Remote(f"mem://{name}:1", node=name, transport=network.transport(name), **remote)
            system = ActorSystem("bank", remote=settings)
            await system.__aenter__()
            systems.append(system)
        yield systems
        for system in reversed(systems):
            await system.__aexit__(None, None, None)
        nursery.cancel_scope.cancel()


async def test_an_actor_of_another_node_is_told_and_asked(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie="secret") as (one, other):
        echo = await other.spawn(Echo, name="echo")
        ref = await one.resolve("trioakt://bank@b:1/user/echo")
        assert await ref.ask(Question("yes")) == Question("yes")
        assert await ref.ask("plain") == "plain"
        assert ref.address == echo.address
