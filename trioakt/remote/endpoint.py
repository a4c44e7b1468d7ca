"""The endpoint of a system: what a user can do with other nodes, and the task that belongs to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import trio

from trioakt.errors import ActorNotFoundError, ConnectionLostError, NodeUnreachableError
from trioakt.lowlevel import Actor, ActorRef, Address, Ask, Recipient, TerminationCause, Watch, check_name
from trioakt.patterns.kinds import kind_name
from trioakt.remote import records
from trioakt.remote.chains import ChainedAsk, check_chain
from trioakt.remote.house import Value
from trioakt.remote.switchboard import Switchboard

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.records import AnyRecord
    from trioakt.remote.settings import Remote
    from trioakt.remote.topics import RemoteTopics
    from trioakt.remote.transport import Transport


class Endpoint:
    """What a system has to do with others.

    Args:
        system: This node's.
        remote: What was said about it.
        transport: What carries the frames.
        guest: Whether the system takes the name of that of the first node it reaches.

    Attributes:
        remote: What was said about it.
    """

    def __init__(self, system: CoreSystem, remote: Remote, transport: Transport, *, guest: bool = False) -> None:
        self.remote = remote
        self._system = system
        self._switchboard = Switchboard(system, remote, transport, guest=guest)
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
        wanted = self._switchboard.house.address(address)
        if wanted.node != self._system.node:
            return await self.find(wanted.node, wanted.path)
        found = self._system.actor(wanted.path)
        if found is None:
            raise ActorNotFoundError(f"nobody lives at {address}", wanted.path)
        return found

    async def spawn_on(self, address: str, kind: type[Actor], args: tuple[Any, ...], name: str | None) -> ActorRef[Any]:
        """Spawn an actor on another node; see ``ActorSystem.spawn_on``."""
        return await self.spawn(self._switchboard.house.address(address).node, kind, args, name)

    async def find(self, node: str, path: str) -> ActorRef[Any]:
        """Return the actor at a path of the node at ``host:port``; otherwise as ``resolve``."""
        text = await self._reach(node, lambda number: records.Find(number, path))
        if not text:
            raise ActorNotFoundError(f"nobody lives at {Address(self._system.name, node, path)}", path)
        return self._switchboard.house.names.read_ref(text)

    async def spawn(self, node: str, kind: type[Actor], args: tuple[Any, ...], name: str | None) -> ActorRef[Any]:
        """Spawn an actor on the node at ``host:port``; otherwise as ``spawn_on``."""
        body = self._switchboard.house.encode(Value(args))
        if name is not None:
            check_name(name)
        if node == self._system.node:
            return await self._switchboard.house.spawn(kind_name(kind), name or "", body)
        text = await self._reach(node, lambda number: records.Spawn(number, kind_name(kind), name or "", body))
        return self._switchboard.house.names.read_ref(text)

    @property
    def topics(self) -> RemoteTopics:
        """What is published on other nodes and heard here, and the other way round."""
        return self._switchboard.house.topics

    # ------------------------------------------------- for those who keep actors on several nodes

    @property
    def identities(self) -> dict[str, Callable[[str], ActorRef[Any]]]:
        """What makes refs out of texts that name no node, by what the texts begin with before a slash."""
        return self._switchboard.house.names.identities

    @property
    def home(self) -> str:
        """With what the texts begin of what the nodes of this cluster share, where there are other datacenters."""
        return self._switchboard.house.names.home

    def name_home(self, prefix: str) -> None:
        """Let the texts of what the nodes of this cluster share begin like this, as there are other datacenters."""
        self._switchboard.house.names.home = prefix

    @property
    def inquiries(self) -> dict[str, Callable[[str], Awaitable[str]]]:
        """What answers the questions of other nodes and of clients, by what they are about."""
        return self._switchboard.house.inquiries

    async def inquire(self, node: str, about: str, question: str) -> str:
        """Return what the node at ``host:port`` answers to a question, when it does.

        Raises:
            NodeUnreachableError: It has not answered.
            UnhandledMessageError: It answers no such questions.
            TrioaktError: As it says.
        """
        return await self._reach(node, lambda number: records.Inquiry(number, about, question))

    def name_of(self, ref: ActorRef[Any]) -> str:
        """Return the text of a ref, which every node can read."""
        return self._switchboard.house.names.write_ref(ref)

    def ref_of(self, text: str) -> ActorRef[Any]:
        """Return the ref with this text."""
        return self._switchboard.house.names.read_ref(text)

    def check_circle(self, request: Ask, recipient: Recipient) -> None:
        """Refuse a request of another node that would wait for somebody in its own chain.

        Raises:
            AskCycleError: It would.
        """
        if isinstance(request, ChainedAsk):
            check_chain(request.chain, recipient, self._switchboard.house.names)

    def write_args(self, args: tuple[Any, ...]) -> bytes:
        """Return the bytes of arguments; raise CodecError if they cannot travel."""
        return self._switchboard.house.encode(Value(args))

    def read_args(self, body: bytes) -> tuple[Any, ...]:
        """Return the arguments in these bytes; raise CodecError if they are none."""
        return tuple(self._switchboard.house.decode(body))

    async def greet(self, node: str) -> None:
        """Return when there is a session with the node at ``host:port``.

        Raises:
            NodeUnreachableError: None comes about.
        """
        await self._reach(node, lambda number: records.Find(number, ""))

    async def wait_lost(self, node: str) -> None:
        """Return when there is no session with the node at ``host:port``."""
        peer = self._switchboard.peer_at(node)
        if peer.session is not None:
            await peer.over.wait()

    def patience(self, node: str, suspicion: float) -> AbstractContextManager[None]:
        """Let the node at ``host:port`` be silent for so many seconds, in sessions that begin within the block."""
        return self._switchboard.patience(node, suspicion)

    def check(self, values: tuple[Any, ...]) -> None:
        """Find out whether values can travel.

        Raises:
            CodecError: One of them cannot.
        """
        self._switchboard.house.encode(Value(values))

    def is_linked(self, node: str) -> bool:
        """Return whether there is a session with the node at ``host:port``."""
        return self._switchboard.peer_at(node).session is not None

    def connect(self, node: str) -> None:
        """Let a session with the node at ``host:port`` begin, if it can be reached."""
        self._switchboard.connect(self._switchboard.peer_at(node))

    async def _reach(self, node: str, make: Callable[[int], AnyRecord]) -> str:
        try:
            return await self._switchboard.peer_at(node).call(make)
        except ConnectionLostError as error:
            raise NodeUnreachableError(str(error)) from error


class _Ended:
    """Watches the guardian, which goes last."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that the last actor has gone."""
        self.event.set()
