"""The endpoint of a node: it drives the sessions with other nodes over a transport, and knows which node is where."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from trioakt.codec import Codec
from trioakt.errors import ActorNotFoundError, ConnectionLostError, NodeUnreachableError, ProtocolError, StartError
from trioakt.lowlevel import Actor, ActorRef, Address, TerminationCause, Watch, check_name, message, registration
from trioakt.remote.exports import Exports
from trioakt.remote.frames import Hello, decode_frame
from trioakt.remote.line import Line
from trioakt.remote.links import LinkLost, LinkRefused, LinkSuspected, LinkUp
from trioakt.remote.names import Names
from trioakt.remote.peer import Peer
from trioakt.remote.records import Shapes, encode_record
from trioakt.remote.serving import Serving
from trioakt.remote.session import STRANGER, Closed, Identity, Opened, Received, Rules, Session, SessionEvent, Suspected
from trioakt.remote.shapes import shapes
from trioakt.remote.transport import Frame, Listener, Pipe, PipeClosed, Transport

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem
    from trioakt.remote.settings import Remote

_STRANGERS = 64
"""Sessions that may be on their way to being open; beyond it nobody new is let in."""
_PATIENCE = (0.1, 5.0)
"""Seconds after which a node that could not be reached is tried again: at first, and at most."""
_FAREWELL = 1.0
"""Seconds that the goodbyes at the end may take."""
_OVERHEAD = 4096
"""Bytes of a frame beside the message."""


@message(name="trioakt.value")
class Value:
    """A value that is no message by itself: a reply, or plain data."""

    value: Any


class Endpoint:
    """What a system has to do with others.

    Args:
        system: This node's.
        remote: What was said about it.
        transport: What carries the frames.
    """

    def __init__(self, system: CoreSystem, remote: Remote, transport: Transport) -> None:
        self.system = system
        self.exports = Exports()
        self._remote = remote
        self._transport = transport
        self._rules = Rules(remote.cookie or b"", remote.heartbeat, remote.suspicion, remote.max_frame)
        self._incarnation = secrets.token_bytes(16)
        self.names = Names(system, self.exports, self._incarnation, self.peer_at)
        self._codec = Codec(refs=self.names, max_size=remote.max_frame - _OVERHEAD)
        self._messages: set[type] = set()
        self._kinds: dict[str, Callable[..., Actor]] = {}
        self._peers: dict[str, Peer] = {}
        self._lines: dict[Session, Line] = {}
        self._pipes: dict[Pipe, Line] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._us: Identity
        self._nursery: trio.Nursery
        for kind in remote.kinds:
            self.register(kind)

    # ------------------------------------------------------------------------ the run

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the task of the endpoint: listen, and when the last actor has gone, say goodbye to all."""
        async with self._transport.listen(self._remote.listen) as listener:
            self.system.node = self._remote.advertise or listener.address.partition("://")[2]
            self._us = Identity(
                self.system.name, self._remote.node or self.system.name, self.system.node, self._incarnation
            )
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._receive, listener)
                task_status.started()
                await self._end_of_actors()
                await self._take_leave()
                self._nursery.cancel_scope.cancel()

    async def _end_of_actors(self) -> None:
        ended = _Ended()
        self.system.user.ref.recipient.signal(Watch(ended))
        await ended.event.wait()

    async def _take_leave(self) -> None:
        for line in tuple(self._lines.values()):
            line.session.leave("its system has ended")
            line.wake.set()
        with trio.move_on_after(_FAREWELL):
            for line in tuple(self._lines.values()):
                if line.serving is not None:
                    await line.gone.wait()

    # ------------------------------------------------------------------------- frames

    async def _receive(self, listener: Listener) -> None:
        while True:
            match await listener.receive():
                case Frame(pipe=pipe, data=data):
                    line = self._pipes.get(pipe)
                    if line is not None:
                        self._hear(line, line.session.receive(data, trio.current_time()))
                        line.wake.set()
                    else:
                        line = self._greeted(pipe, data)
                    if line is None or line.gone.is_set():
                        self._pipes.pop(pipe, None)
                        listener.close_pipe(pipe)
                case PipeClosed(pipe=pipe):
                    line = self._pipes.pop(pipe, None)
                    if line is not None:
                        self._hear(line, line.session.lost("the link from it was lost"))

    def _greeted(self, pipe: Pipe, data: bytes) -> Line | None:
        """Find or begin the session that the first frame of a pipe belongs to; ``None`` turns the pipe out."""
        try:
            hello = decode_frame(data[:STRANGER])
            if not isinstance(hello, Hello):
                raise ProtocolError("it does not begin with a hello")
            if pipe.peer is not None and pipe.peer != hello.node:
                raise ProtocolError(f"it says that it is {hello.node!r}, its certificate says {pipe.peer!r}")
            line = self._answered(hello, data) if hello.answers else self._asked(hello)
        except ProtocolError as error:
            self._publish(LinkRefused, "", str(error))
            return None
        if line is not None:
            self._pipes[pipe] = line
            line.pipe = pipe
        return line

    def _answered(self, hello: Hello, data: bytes) -> Line | None:
        """Give a session of ours the hello that answers it."""
        for line in self._lines.values():
            if line.begun and line.pipe is None and line.session.id == hello.answers:
                if hello.address != line.address:
                    raise ProtocolError(f"the node at {line.address} calls itself {hello.address}: use that address")
                self._hear(line, line.session.receive(data, trio.current_time()))
                line.wake.set()
                return line
        return None

    def _asked(self, hello: Hello) -> Line | None:
        """Begin the session that another node wants, unless this node is at it, and its address the lesser one."""
        on_their_way = [line for line in self._lines.values() if line.serving is None]
        if len(on_their_way) >= _STRANGERS:
            raise ProtocolError("too many sessions are on their way")
        ours = any(line.begun and line.address == hello.address for line in on_their_way)
        if ours and self._us.address < hello.address:
            return None
        return self._begin(hello.address, hello)

    def _begin(self, address: str, answers: Hello | None = None) -> Line:
        session = Session(
            self._us,
            self._rules,
            session=secrets.token_bytes(16),
            challenge=secrets.token_bytes(32),
            now=trio.current_time(),
            answers=answers,
        )
        line = self._lines[session] = Line(session, address, begun=answers is None)
        url = f"{self._remote.listen.partition('://')[0]}://{address}"
        self._nursery.start_soon(self._run, line, url, name=f"session with {address}")
        return line

    async def _run(self, line: Line, url: str) -> None:
        try:
            await line.run(self._transport, url, rules=self._rules, hear=self._hear)
        finally:
            self._hear(line, line.session.lost("this node has let it go"))

    def _hear(self, line: Line, events: Sequence[SessionEvent]) -> None:
        """Act on what a session says."""
        for event in events:
            match event:
                case Opened(peer=identity):
                    self._opened(line, identity)
                case Received(records=records):
                    self._take(line, records)
                case Suspected(silence=silence):
                    self._publish(LinkSuspected, line.address, silence)
                case Closed():
                    self._closed(line, event)

    def _take(self, line: Line, records: Sequence[Any]) -> None:
        assert line.serving is not None
        try:
            for record in records:
                line.serving.handle(record)
        except ProtocolError as error:
            self._publish(LinkRefused, line.address, str(error))
            self._hear(line, line.session.lost(f"it broke the protocol: {error}"))

    def _opened(self, line: Line, identity: Identity) -> None:
        if line.link is not None and line.link.peer not in (None, identity.node):
            self._hear(line, line.session.lost(f"its certificate is that of {line.link.peer!r}"))
            return
        for other in [each for each in self._lines.values() if each.address == line.address and each is not line]:
            if other.serving is not None or not other.begun:
                self._hear(other, other.session.lost("another session has begun"))
        peer = self.peer_at(line.address)
        line.serving = Serving(peer, self, self._nursery)
        self._failures.pop(line.address, None)
        self._publish(LinkUp, line.address, identity.node)
        line.session.put(encode_record(Shapes(shapes())))
        peer.opened(line.session, identity.incarnation)

    def _closed(self, line: Line, closed: Closed) -> None:
        del self._lines[line.session]
        line.gone.set()
        line.wake.set()
        peer = self.peer_at(line.address)
        if line.serving is not None:
            line.serving.close()
            peer.closed(closed.reason)
            self._publish(LinkLost, line.address, closed.reason)
            return
        if closed.error is not None:
            self._publish(LinkRefused, line.address, closed.reason)
        if peer.session is None and not any(each.address == line.address for each in self._lines.values()):
            self._put_off(line.address)
            peer.closed(closed.reason)

    # --------------------------------------------------------------- what peers need

    def peer_at(self, address: str) -> Peer:
        """Return the peer with this address, known or not."""
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = Peer(address, self)
        return peer

    def connect(self, peer: Peer) -> None:
        """Begin a session with a peer, unless one is on its way or it could not be reached a moment ago."""
        if any(line.address == peer.address for line in self._lines.values()):
            return
        _, until = self._failures.get(peer.address, (0, 0.0))
        if trio.current_time() < until:
            peer.closed("it could not be reached a moment ago")
        else:
            self._begin(peer.address)

    def _put_off(self, address: str) -> None:
        times, _ = self._failures.get(address, (0, 0.0))
        first, most = _PATIENCE
        self._failures[address] = (times + 1, trio.current_time() + min(first * 2.0**times, most))

    def wake(self, session: Session) -> None:
        """See that the records of a session go out."""
        self._lines[session].wake.set()

    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message or a value.

        Raises:
            CodecError: It cannot travel.
        """
        kind = message.__class__
        if kind not in self._messages:
            if registration(kind) is None:
                return self._codec.encode(Value(message))
            self._messages.add(kind)
        return self._codec.encode(message)

    def decode(self, body: bytes) -> Any:
        """Return the message or the value.

        Raises:
            CodecError: The bytes are none.
        """
        decoded = self._codec.decode(body)
        return decoded.value if isinstance(decoded, Value) else decoded

    def write_ref(self, ref: ActorRef[Any]) -> str:
        """Return the name of a ref."""
        return self.names.write_ref(ref)

    def read_ref(self, text: str) -> ActorRef[Any]:
        """Return the ref with this name; raise ValueError for what is none."""
        return self.names.read_ref(text)

    # -------------------------------------------------------------- what users call

    def register(self, kind: type[Actor]) -> None:
        """Let other nodes spawn actors of this class here; see ``ActorSystem.register``."""
        if not issubclass(kind, Actor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a kind is an actor class, got {kind!r}")
        self._kinds[_kind_name(kind)] = kind

    async def spawn(self, kind: str, name: str, body: bytes) -> ActorRef[Any]:
        """Spawn an actor of a registered kind at the top of this node.

        Raises:
            StartError: The kind is not registered, or as ``spawn``.
        """
        factory = self._kinds.get(kind)
        if factory is None:
            raise StartError(f"{self.system.address} has registered no kind {kind[:200]!r}", "")
        try:
            return await self.system.spawn(factory, *self.decode(body), name=name or None)
        except (TypeError, ValueError) as error:
            raise StartError(f"{self.system.address} cannot spawn that: {error}", "") from error

    async def resolve(self, address: str) -> ActorRef[Any]:
        """Return the actor at an address; see ``ActorSystem.resolve``."""
        wanted = self._parse(address)
        if wanted.node == self.system.node:
            found = self.system.actor(wanted.path)
        else:
            text = await self._reach(wanted.node, lambda peer: peer.find(wanted.path))
            found = self.read_ref(text) if text else None
        if found is None:
            raise ActorNotFoundError(f"nobody lives at {address}", wanted.path)
        return found

    async def spawn_on(self, address: str, kind: type[Actor], args: tuple[Any, ...], name: str | None) -> ActorRef[Any]:
        """Spawn an actor on another node; see ``ActorSystem.spawn_on``."""
        wanted = self._parse(address)
        body = self.encode(Value(args))
        if name is not None:
            check_name(name)
        text = await self._reach(wanted.node, lambda peer: peer.spawn(_kind_name(kind), name or "", body))
        return self.read_ref(text)

    async def _reach(self, node: str, call: Callable[[Peer], Any]) -> str:
        try:
            text: str = await call(self.peer_at(node))
        except ConnectionLostError as error:
            raise NodeUnreachableError(str(error)) from error
        return text

    def _parse(self, text: str) -> Address:
        address = Address.parse(text)
        if address.system != self.system.name or not address.node:
            raise ValueError(f"{text!r} is no address of another node of the system {self.system.name!r}")
        return address

    def _publish(self, kind: type[Any], *details: object) -> None:
        self.system.publish(kind, self.system.user.ref, *details)


def _kind_name(kind: type[Actor]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Ended:
    """Watches the guardian, which goes last."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def terminated(self, ref: ActorRef[Any], cause: TerminationCause) -> None:
        """Hear that the last actor has gone."""
        self.event.set()
