"""The probe: an actor that keeps what it is sent, for a test that says what it expects."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import trio

from trioakt import Actor, ActorRef, Context, ReplyTo, Terminated

if TYPE_CHECKING:
    from trioakt import ActorSystem

T = TypeVar("T")


class Probe:
    """Give ``probe.ref`` to the actors under test, and say in order what must come.

    Attributes:
        ref: The ref of the probe's actor.
        last_sender: Who sent the message that was expected last.
    """

    def __init__(self, ref: ActorRef, actor: _ProbeActor) -> None:
        self.ref = ref
        self.last_sender: ActorRef | None = None
        self._actor = actor
        self._last_reply_to: ReplyTo | None = None

    @classmethod
    async def spawn(cls, system: ActorSystem, name: str | None = None) -> Self:
        """Start a probe in a system."""
        actor = _ProbeActor()

        def probe() -> Actor:
            return actor

        return cls(await system.spawn(probe, name=name), actor)

    @property
    def messages(self) -> tuple[Any, ...]:
        """All messages that have come so far, expected or not."""
        return tuple(self._actor.messages)

    def watch(self, ref: ActorRef) -> None:
        """Let a ``Terminated`` message come when that actor ends."""
        self._actor.ctx.watch(ref)

    def unwatch(self, ref: ActorRef) -> None:
        """Hear no more of that actor's end."""
        self._actor.ctx.unwatch(ref)

    @overload
    async def expect(self, expected: type[T], *, within: float = ...) -> T: ...
    @overload
    async def expect(self, expected: T, *, within: float = ...) -> T: ...
    async def expect(self, expected: Any, *, within: float = 3.0) -> Any:
        """Wait for the next message and return it.

        Args:
            expected: The message it must equal, or the class it must be an instance of.
            within: Seconds that it may take to come.

        Raises:
            AssertionError: It did not come in time, or another message did.
        """
        wanted = expected.__qualname__ if isinstance(expected, type) else repr(expected)
        got = await self._next(wanted, within)
        fits = isinstance(got, expected) if isinstance(expected, type) else got == expected
        if not fits:
            raise AssertionError(f"{self.ref.path} expected {wanted}, it got {got!r}")
        return got

    async def expect_terminated(self, ref: ActorRef, *, within: float = 3.0) -> Terminated:
        """Wait for the news that a watched actor has ended; it must be the next message."""
        got = await self._next(f"the end of {ref.path}", within)
        if not isinstance(got, Terminated) or got.ref != ref:
            raise AssertionError(f"{self.ref.path} expected the end of {ref.path}, it got {got!r}")
        return got

    async def expect_none(self, *, within: float = 1.0) -> None:
        """Wait for so many seconds and see that no message comes, nor has come unexpected before.

        Raises:
            AssertionError: One did.
        """
        with trio.move_on_after(within):
            await self._actor.wait_unread()
        if self._actor.unread:
            raise AssertionError(f"{self.ref.path} expected nothing, it got {self._actor.unread[0][0]!r}")

    def reply(self, value: Any) -> None:
        """Answer the request that was expected last.

        Raises:
            RuntimeError: It was told, not asked, or it was answered before.
        """
        if self._last_reply_to is None:
            raise RuntimeError(f"{self.ref.path}: the message expected last was not asked")
        self._last_reply_to.reply(value)

    async def _next(self, wanted: str, within: float) -> Any:
        with trio.move_on_after(within):
            await self._actor.wait_unread()
        if not self._actor.unread:
            raise AssertionError(f"{self.ref.path} expected {wanted}, nothing came within {within} s")
        got, self.last_sender, self._last_reply_to = self._actor.unread.popleft()
        return got


class _ProbeActor(Actor):
    """Keeps each message with its sender and, for a request, the handle to answer it."""

    ctx: Context

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.unread: deque[tuple[Any, ActorRef | None, ReplyTo | None]] = deque()
        self._arrived = trio.Event()

    def pre_start(self, ctx: Context) -> None:
        self.ctx = ctx

    def receive(self, ctx: Context, msg: Any) -> None:
        self.messages.append(msg)
        self.unread.append((msg, ctx.sender, ctx.reply_to if ctx.asked else None))
        self._arrived.set()

    async def wait_unread(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.unread:
            self._arrived = trio.Event()
            await self._arrived.wait()
