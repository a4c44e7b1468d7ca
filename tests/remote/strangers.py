"""Nodes that do not keep to the rules: they speak to an honest node frame by frame."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import msgspec
import trio

from trioakt.errors import ProtocolError
from trioakt.remote.frames import Data, Frame, Hello, decode_frame, encode_frame
from trioakt.remote.records import AnyRecord, Shapes, decode_record, encode_record
from trioakt.remote.session import Closed, Identity, Opened, Received, Rules, Session, SessionState
from trioakt.remote.transport import Frame as Arrived
from trioakt.remote.transport import Link, Listener, PipeClosed, Transport

COOKIE = b"secret"
RULES = Rules(cookie=COOKIE, heartbeat=0.5, suspicion=2.0, max_frame=16 * 2**20)


@attrs.define(eq=False)
class Stranger:
    """Somebody who dials a node and sees what it does.

    Attributes:
        link: To the node.
        listener: Where the node may dial back.
        frames: What the node has sent.
        turned_out: Set when the node has closed the link.
    """

    link: Link
    listener: Listener
    frames: list[Frame] = attrs.field(factory=list[Frame])
    turned_out: trio.Event = attrs.field(factory=trio.Event)
    _heard: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def address(self) -> str:
        return self.listener.address.partition("://")[2]

    def hello(self, cookie: bytes = b"", **changes: Any) -> Hello:
        """Return a hello of this stranger."""
        us = Identity("bank", "eve", changes.pop("address", self.address), b"eve" * 5 + b"!")
        us = attrs.evolve(us, **changes)
        rules = attrs.evolve(RULES, cookie=cookie)
        session = Session(us, rules, session=b"s" * 16, challenge=b"c" * 32, now=0.0)
        frame = session.next_frame(0.0)
        assert frame is not None
        hello = decode_frame(frame)
        assert isinstance(hello, Hello)
        return hello

    async def say(self, frame: Frame | bytes) -> None:
        """Send a frame, or any bytes; when nobody listens any more, that is all the same."""
        try:
            await self.link.send(frame if isinstance(frame, bytes) else encode_frame(frame))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.turned_out.set()

    async def hears(self, kind: type[Any], within: float = 1.0) -> bool:
        """Wait until the node has sent a frame of a kind."""
        with trio.move_on_after(within):
            while not any(isinstance(frame, kind) for frame in self.frames):
                await self._heard.wait()
            return True
        return False

    async def listen(self) -> None:
        """Take what the node sends."""
        while True:
            arrived = await self.listener.receive()
            if isinstance(arrived, Arrived):
                self.frames.append(decode_frame(arrived.data))
                self._heard.set()
                self._heard = trio.Event()

    async def watch(self) -> None:
        """See that the node has closed the link."""
        await self.link.wait_lost()
        self.turned_out.set()


@asynccontextmanager
async def stranger(transport: Transport, at: str, node: str) -> AsyncGenerator[Stranger]:
    """Connect to a node, and listen."""
    async with transport.listen(at) as listener:
        link = await transport.dial(node)
        who = Stranger(link, listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(who.listen)
            nursery.start_soon(who.watch)
            yield who
            nursery.cancel_scope.cancel()
        await link.aclose()


@attrs.define(eq=False)
class Member:
    """A node that has proven itself and then sends whatever it likes.

    Attributes:
        session: With the honest node.
        link: To it.
        listener: Where it dials back.
        reads: Whether it takes what it is sent.
        records: What it has been sent.
        closed: Why the session is over, when it is.
    """

    session: Session
    link: Link
    listener: Listener
    reads: bool = True
    records: list[AnyRecord] = attrs.field(factory=list[AnyRecord])
    closed: Closed | None = None
    opened: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)

    async def say(self, *records: AnyRecord | bytes) -> None:
        """Send records, or whatever stands in the place of records, in one frame."""
        for each in records:
            self.session.put(msgspec.Raw(each) if isinstance(each, bytes) else encode_record(each))
        await self.move()

    async def say_frame(self, frame: Frame | bytes) -> None:
        """Send a frame, or any bytes."""
        await self.link.send(frame if isinstance(frame, bytes) else encode_frame(frame))

    async def say_data(self, number: int, *records: Any) -> None:
        """Send a numbered frame."""
        await self.say_frame(Data(number, list(records)))

    async def hears(self, kind: type[Any], within: float = 5.0) -> Any:
        """Return the next record of a kind."""
        with trio.fail_after(within):
            while True:
                for record in self.records:
                    if isinstance(record, kind):
                        self.records.remove(record)
                        return record
                await trio.sleep(0.01)

    async def move(self) -> None:
        """Send what the session wants to send."""
        while (frame := self.session.next_frame(trio.current_time())) is not None:
            try:
                await self.link.send(frame)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.over.set()
                return

    async def keep_talking(self) -> None:
        """Send signs of life."""
        while not self.over.is_set():
            await self.move()
            await trio.sleep(0.1)

    async def listen(self) -> None:
        """Take what the node sends."""
        while True:
            arrived = await self.listener.receive()
            if not self.reads:
                await trio.sleep_forever()
            if isinstance(arrived, PipeClosed):
                self.over.set()
                continue
            for event in self.session.receive(arrived.data, trio.current_time()):
                if isinstance(event, Opened):
                    self.opened.set()
                elif isinstance(event, Received):
                    self.records.extend(map(decode_record, event.records))
                elif isinstance(event, Closed):
                    self.closed = event
            await self.move()

    async def watch(self) -> None:
        """See that the node has closed the link."""
        await self.link.wait_lost()
        self.over.set()


@asynccontextmanager
async def member(
    transport: Transport, at: str, node: str, *, cookie: bytes = COOKIE, name: str = "eve", rules: Rules = RULES
) -> AsyncGenerator[Member]:
    """Begin a session with a node, and prove it the cookie."""
    async with transport.listen(at) as listener:
        address = listener.address.partition("://")[2]
        us = Identity("bank", name, address, name.encode().ljust(16, b"!"))
        rules = attrs.evolve(rules, cookie=cookie)
        session = Session(us, rules, session=name.encode() * 3, challenge=b"c" * 32, now=trio.current_time())
        who = Member(session, await transport.dial(node), listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(who.listen)
            nursery.start_soon(who.keep_talking)
            nursery.start_soon(who.watch)
            with trio.move_on_after(2):
                await who.opened.wait()
            if session.state is not SessionState.OPEN:
                nursery.cancel_scope.cancel()
                raise ProtocolError("it was not let in")
            await who.say(Shapes({}))
            yield who
            nursery.cancel_scope.cancel()
        await who.link.aclose()
