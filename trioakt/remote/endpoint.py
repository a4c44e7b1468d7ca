"""The endpoint of a system: what a user can do with other nodes, and the task that belongs to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from trioakt.errors import ActorNotFoundError, ConnectionLostError, NodeUnreachableError
from trioakt.lowlevel import Actor, ActorRef, Address, TerminationCause, Watch, check_name
from trioakt.remote.house import Value, kind_name
from trioakt.remote.switchboard import Switchboard

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.peer import Peer
    from trioakt.remote.settings import Remote
    from trioakt.remote.transport import Transport


class Endpoint:
    """What a system has to do with others.

    Args:
        system: This node's.
        remote: What was said about it.
        transport: What carries the frames.
    """

    def __init__(self, system: CoreSystem, remote: Remote, transport: Transport) -> None:
        self._system = system
        self._switchboard = Switchboard(system, remote, transport)
        for kind in remote.kinds:
            self.register(kind)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task of the endpoint: it ends after the last actor, with a goodbye to all."""
        ended = _Ended()
        self._system.user.ref.recipient.signal(Watch(ended))
        async with trio.open_nursery() as nursery:
            await nursery.start(self._switchboard.run)
            task_status.started()
            await ended.event.wait()
            await self._switchboard.take_leave()
            nursery.cancel_scope.cancel()

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here; see ``ActorSystem.register``."""
        self._switchboard.house.register(kind)

    async def resolve(self, address: str) -> ActorRef[Any]:
        """Return the actor at an address; see ``ActorSystem.resolve``."""
        wanted = self._parse(address)
        if wanted.node == self._system.node:
            found = self._system.actor(wanted.path)
        else:
            text = await self._reach(wanted.node, lambda peer: peer.find(wanted.path))
            found = self._switchboard.house.names.read_ref(text) if text else None
        if found is None:
            raise ActorNotFoundError(f"nobody lives at {address}", wanted.path)
        return found

    async def spawn_on(self, address: str, kind: type[Actor], args: tuple[Any, ...], name: str | None) -> ActorRef[Any]:
        """Spawn an actor on another node; see ``ActorSystem.spawn_on``."""
        wanted = self._parse(address)
        body = self._switchboard.house.encode(Value(args))
        if name is not None:
            check_name(name)
        text = await self._reach(wanted.node, lambda peer: peer.spawn(kind_name(kind), name or "", body))
        return self._switchboard.house.names.read_ref(text)

    async def _reach(self, node: str, call: Callable[[Peer], Awaitable[str]]) -> str:
        try:
            return await call(self._switchboard.peer_at(node))
        except ConnectionLostError as error:
            raise NodeUnreachableError(str(error)) from error

    def _parse(self, text: str) -> Address:
        address = Address.parse(text)
        if address.system != self._system.name or not address.node:
            raise ValueError(f"{text!r} is no address of another node of the system {self._system.name!r}")
        return address


class _Ended:
    """Watches the guardian, which goes last."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that the last actor has gone."""
        self.event.set()
