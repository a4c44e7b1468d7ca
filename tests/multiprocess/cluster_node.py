"""A node of a cluster in a process of its own: `cluster_node.py STORE NAME URL LEASE_TTL`.

It obeys the lines on its standard input, each of them JSON: ``[number, command, arguments]``. It answers on standard
output with ``[number, null, result]``, or ``[number, error, text]``, and tells of events with ``[null, event, text]``.
It leaves on SIGTERM, and ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

import trio

from tests.multiprocess.cluster_kinds import Account, Add, Bookkeeper, Where
from tests.multiprocess.grain_kinds import KINDS, grain_of, open_extensions
from trioakt import ActorNotFoundError, ActorRef, ActorSystem, Cluster, Placement, Remote
from trioakt.cluster.events import MembershipLost, NodeJoined, NodeLeft

Command = Callable[..., Awaitable[Any]]


def system_of(
    store: str, node: str, url: str, lease_ttl: float, *, is_client: bool = False, extensions: Iterable[object] = ()
) -> ActorSystem:
    """Make a node of the cluster; a client owns nothing."""
    remote = Remote(url, node=node, cookie="tests", heartbeat=0.2, suspicion=2.0)
    kinds = () if is_client else (Account, Bookkeeper)
    cluster = Cluster(store, kinds=kinds, grains=() if is_client else KINDS, lease_ttl=lease_ttl)
    return ActorSystem("town", remote=remote, cluster=cluster, extensions=extensions)


class Obedience:
    """Carries out commands, each in a task."""

    def __init__(self, system: ActorSystem, nursery: trio.Nursery) -> None:
        self._system = system
        self._nursery = nursery

    async def run(self) -> None:
        """Obey until standard input ends, and with it the node."""
        say(None, "Ready", self._system.address)
        async with aclosing(lines()) as commands:
            async for line in commands:
                self._nursery.start_soon(self._carry_out, *json.loads(line))
        self._nursery.cancel_scope.cancel()

    async def _carry_out(self, number: int, command: str, arguments: list[Any]) -> None:
        method: Command = getattr(self, command)
        try:
            result = await method(*arguments)
        except Exception as error:
            say(number, type(error).__name__, f"{error} {error.__cause__ or ''}")
        else:
            say(number, None, result)

    async def spawn(self, name: str, owner: str) -> None:
        await self._system.spawn(Account, owner, name=name, cluster=True)

    async def place(self, name: str, owner: str) -> None:
        await self._system.spawn_on(Placement.round_robin(), Account, owner, name=name)

    async def keep_books(self, name: str, path: str) -> None:
        await self._system.spawn_singleton(Bookkeeper, path, name=name)

    async def locate(self, name: str) -> bool:
        return await self._system.locate(name) is not None

    async def stop(self, name: str) -> None:
        ref = await self._found(name)
        ref.stop()
        await ref.wait_stopped()

    async def where(self, name: str) -> str:
        return str(await (await self._found(name)).ask(Where()))

    async def add(self, name: str) -> list[int]:
        return list(await (await self._found(name)).ask(Add()))

    async def count(self, identity: str) -> list[int]:
        return list(await grain_of(self._system, identity).ask(Add()))

    async def grain_home(self, identity: str) -> str:
        return str(await grain_of(self._system, identity).ask(Where()))

    async def owned(self) -> list[str]:
        """Return the names that run in this process."""
        return sorted(ref.name for ref in self._system.actors())

    async def members(self) -> list[str]:
        return [member.node for member in self._system.cluster.members()]

    async def wait_members(self, number: int) -> None:
        await self._system.cluster.wait_members(number)

    async def _found(self, name: str) -> ActorRef[Any]:
        ref = await self._system.locate(name)
        if ref is None:
            raise ActorNotFoundError(f"the cluster has no {name!r}")
        return ref


def say(number: int | None, text: str | None, result: object) -> None:
    print(json.dumps([number, text, result]), flush=True)


async def lines() -> AsyncGenerator[str]:
    """Read standard input."""
    rest = b""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        async for chunk in stream:
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode()


def tell_about(event: MembershipLost | NodeJoined | NodeLeft) -> None:
    say(None, type(event).__name__, "" if isinstance(event, MembershipLost) else event.member.node)


async def main(store: str, name: str, url: str, lease_ttl: float) -> None:
    async with open_extensions() as extensions:
        await live(system_of(store, name, url, lease_ttl, extensions=extensions), Obedience)


async def live(node: ActorSystem, obedience: type[Obedience]) -> None:
    """Run a node that obeys."""
    async with node as system, trio.open_nursery() as nursery:
        with system.events.listen(tell_about, MembershipLost, NodeJoined, NodeLeft):
            nursery.start_soon(obedience(system, nursery).run)
            await system.run_until_signal()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    _, own_store, own_name, own_url, own_ttl = sys.argv
    trio.run(main, own_store, own_name, own_url, float(own_ttl))
