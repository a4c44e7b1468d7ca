"""A line: one session with what carries it, its two links, and the tasks that move it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from trioakt.remote.session import Rules, Session, SessionEvent, SessionState

if TYPE_CHECKING:
    from trioakt.remote.peer import Peer
    from trioakt.remote.serving import Serving
    from trioakt.remote.transport import Link, Pipe, Transport

_LAST_WORDS = 0.5
"""Seconds that a session which is over has for its last frame."""

Hear = Callable[["Line", list[SessionEvent]], None]


class Line:
    """One session on its way, open or not.

    Attributes:
        session: The session.
        peer: The other node, as far as it is who it says it is.
        address: ``host:port`` of the other node, as it is dialed.
        begun: Whether this node has begun it.
        link: The link to the other node, once it is there.
        pipe: The link from it, once its hello has come.
        serving: What is done for the other node, once the session is open.
        wake: Set when there is something to send.
        gone: Set when the session is over.
    """

    def __init__(self, session: Session, peer: Peer, *, begun: bool) -> None:
        self.session = session
        self.peer = peer
        self.address = peer.address
        self.begun = begun
        self.link: Link | None = None
        self.pipe: Pipe | None = None
        self.serving: Serving | None = None
        self.wake = trio.Event()
        self.gone = trio.Event()

    async def run(self, transport: Transport, url: str, *, rules: Rules, hear: Hear) -> None:
        """Dial the other node and move frames until the session is over; what happens is told to ``hear``."""
        try:
            with trio.move_on_after(rules.suspicion):
                self.link = await transport.dial(url)
        except (OSError, ValueError, OverflowError) as error:  # the address is what the other node says
            hear(self, self.session.lost(f"it cannot be reached: {error}"))
            return
        link = self.link
        if link is None:
            hear(self, self.session.lost(f"it cannot be reached: no answer within {rules.suspicion:g} s"))
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_time, rules.heartbeat / 2, hear, nursery.cancel_scope)
                nursery.start_soon(self._watch, link, hear)
                await self._write(link, hear)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                await link.aclose()

    async def _write(self, link: Link, hear: Hear) -> None:
        while True:
            self.wake = trio.Event()
            frame = self.session.next_frame(trio.current_time())
            if frame is not None:
                try:
                    await link.send(frame)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    hear(self, self.session.lost(self._hung_up()))
                    return
                except ValueError as error:
                    hear(self, self.session.lost(str(error)))
                    return
            elif self.session.state is SessionState.CLOSED:
                return
            else:
                await self.wake.wait()

    async def _keep_time(self, often: float, hear: Hear, moving: trio.CancelScope) -> None:
        while not self.gone.is_set():
            with trio.move_on_after(often):
                await self.gone.wait()
            hear(self, self.session.tick(trio.current_time()))
            self.wake.set()
        await trio.sleep(_LAST_WORDS)
        moving.cancel()

    async def _watch(self, link: Link, hear: Hear) -> None:
        await link.wait_lost()
        hear(self, self.session.lost(self._hung_up()))
        self.wake.set()

    def _hung_up(self) -> str:
        """Say that the link to the other node is gone; one that turns this node away does not tell it why."""
        said = self.session.peer is not None or not self.begun
        return "the link to it was lost" if said else "it hung up before its hello: is the same cookie there?"
