"""The switchboard: which sessions this node has with which others, how they begin and what comes of their end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import attrs
import trio

from trioakt.errors import ProtocolError
from trioakt.remote.frames import ANY_SYSTEM, Hello, decode_frame
from trioakt.remote.house import House
from trioakt.remote.line import Line
from trioakt.remote.links import LinkLost, LinkRefused, LinkSuspected, LinkUp
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
"""Sessions of others that may be on their way to being open; beyond it nobody new is let in."""
_PATIENCE = (0.1, 5.0)
"""Seconds after which a node that could not be reached is tried again: at first, and at most."""
_ENDED = "this node has ended"
_FAREWELL = 1.0
"""Seconds that the goodbyes at the end may take."""


class Switchboard:
    """The sessions of a node.

    Args:
        system: This node's.
        remote: What was said about it.
        transport: What carries the frames.
        guest: Whether the system takes the name of that of the first node it reaches.
    """

    def __init__(self, system: CoreSystem, remote: Remote, transport: Transport, *, guest: bool = False) -> None:
        self._system = system
        self._remote = remote
        self._transport = transport
        self._guest = guest
        self._rules = Rules(
            remote.cookie or b"", remote.heartbeat, remote.suspicion, remote.max_frame, remote.compression
        )
        self._incarnation = remote.entropy(16)
        self.house = House(system, self._incarnation, self.peer_at, remote.max_frame)
        self._peers: WeakValueDictionary[str, Peer] = WeakValueDictionary()
        self._lines: dict[Session, Line] = {}
        self._strangers: set[Line] = set()
        self._pipes: dict[Pipe, Line] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._patience: dict[str, float] = {}
        self._ended = False
        self._us: Identity
        self._nursery: trio.Nursery
        self._listener: Listener

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Listen and keep the sessions, until cancelled; says that it has started when it can be reached."""
        async with self._transport.listen(self._remote.listen) as listener:
            system, remote = self._system, self._remote
            system.node = remote.advertise or listener.address.partition("://")[2]
            name = ANY_SYSTEM if self._guest else system.name
            self._us = Identity(name, remote.node or system.name, system.node, self._incarnation)
            self._listener = listener
            try:
                async with trio.open_nursery() as self._nursery:
                    try:
                        task_status.started()
                        await self._receive(listener)
                    finally:  # no session is begun while the last ones end
                        self._ended = True
            finally:  # actors may outlast it, in their last hooks
                for peer in tuple(self._peers.values()):
                    peer.closed(_ENDED)

    async def take_leave(self) -> None:
        """Say goodbye to all other nodes, and wait until they have heard it, or a second."""
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
                        if line.session.busy:
                            line.wake.set()
                    elif self._greeted(pipe, data) is None:
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
                    error = ProtocolError(f"the node there calls itself {hello.address}: use that address")
                    self._hear(line, line.session.lost(str(error)))
                    raise error
                self._hear(line, line.session.receive(data, trio.current_time()))
                line.wake.set()
                return line
        return None

    def _asked(self, hello: Hello) -> Line | None:
        """Begin the session that another node wants, unless this node is at it, and its address the lesser one."""
        if len(self._strangers) >= _STRANGERS:
            raise ProtocolError("too many sessions are on their way")
        ours = any(line.begun and line.serving is None for line in self._lines_to(hello.address))
        if ours and self._us.address < hello.address:
            return None
        line = self._begin(hello.address, hello)
        self._strangers.add(line)
        return line

    def _begin(self, address: str, answers: Hello | None = None) -> Line:
        session = Session(
            self._us,
            attrs.evolve(self._rules, suspicion=self._patience.get(address, self._rules.suspicion)),
            session=self._remote.entropy(16),
            challenge=self._remote.entropy(32),
            now=trio.current_time(),
            answers=answers,
        )
        line = self._lines[session] = Line(session, self.peer_at(address), begun=answers is None)
        url = f"{self._remote.listen.partition('://')[0]}://{address}"
        self._nursery.start_soon(self._run, line, url, name=f"session with {address}")
        return line

    async def _run(self, line: Line, url: str) -> None:
        try:
            await line.run(self._transport, url, rules=self._rules, hear=self._hear)
        finally:
            self._strangers.discard(line)
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
        if self._us.system == ANY_SYSTEM:
            self._us = attrs.evolve(self._us, system=identity.system)
            self._system.name = identity.system
        if identity.system not in (self._us.system, ANY_SYSTEM):
            self._hear(line, line.session.lost(f"it belongs to {identity.system!r}, not to {self._us.system!r}"))
            return
        for other in self._lines_to(line.address):
            if other is not line and (other.serving is not None or not other.begun):
                self._hear(other, other.session.lost("another session has begun"))
        peer = line.peer
        self._strangers.discard(line)
        line.serving = Serving(peer, self.house, self._nursery)
        self._failures.pop(line.address, None)
        self._publish(LinkUp, line.address, identity.node)
        line.session.put(encode_record(Shapes(shapes())))
        peer.opened(line.session, identity.incarnation)

    def _closed(self, line: Line, closed: Closed) -> None:
        del self._lines[line.session]
        if line.pipe is not None:
            self._pipes.pop(line.pipe, None)
            self._listener.close_pipe(line.pipe)
        line.gone.set()
        line.wake.set()
        peer = line.peer
        if line.serving is not None:
            peer.closed(closed.reason)  # first, so that nothing more is put into this session
            line.serving.close()
            self._publish(LinkLost, line.address, closed.reason)
            return
        if closed.error is not None:
            self._publish(LinkRefused, line.address, closed.reason)
        others = self._lines_to(line.address)
        if peer.session is not None or any(each.begun for each in others):
            return
        if line.begun and not others:
            self._put_off(line.address)
            peer.closed(closed.reason)
        elif not line.begun and peer.is_wanted:  # whoever it was, it was no proof that the node is out of reach
            self._reach(peer)

    # --------------------------------------------------------------- what peers need

    def peer_at(self, address: str) -> Peer:
        """Return the peer with this address, known or not."""
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = Peer(address, self.house, self)
        return peer

    @contextmanager
    def patience(self, address: str, suspicion: float) -> Generator[None]:
        """Give a node up only after so many seconds of silence, in sessions that begin within the block."""
        self._patience[address] = suspicion
        try:
            yield
        finally:
            del self._patience[address]

    def connect(self, peer: Peer) -> None:
        """Begin a session with a peer, unless one is on its way or it could not be reached a moment ago."""
        if self._ended:
            peer.closed(_ENDED)
        elif not self._lines_to(peer.address):
            self._reach(peer)

    def _reach(self, peer: Peer) -> None:
        _, until = self._failures.get(peer.address, (0, 0.0))
        if trio.current_time() < until:
            peer.closed("it could not be reached a moment ago")
        else:
            self._begin(peer.address)

    def _put_off(self, address: str) -> None:
        times, _ = self._failures.get(address, (0, 0.0))
        first, most = _PATIENCE
        now = trio.current_time()
        self._failures = {each: past for each, past in self._failures.items() if past[1] + most > now}
        self._failures[address] = (times + 1, now + min(first * 2.0**times, most))

    def _lines_to(self, address: str) -> list[Line]:
        return [line for line in self._lines.values() if line.address == address]

    def wake(self, session: Session) -> None:
        """See that the records of a session go out."""
        line = self._lines.get(session)
        if line is not None:  # in its last moments it is not
            line.wake.set()

    def _publish(self, kind: type[Any], *details: object) -> None:
        self._system.publish(kind, self._system.user.ref, *details)
