"""The portal: how synchronous code in other threads reaches the actors; it blocks its own thread and no other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, overload

import trio

from trioakt._core.message import Request
from trioakt.errors import ActorStoppedError

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef

R = TypeVar("R")


class Portal:
    """``tell`` and ``ask`` for other threads; get it from ``system.portal``."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token

    def tell(self, ref: ActorRef, msg: Any, sender: ActorRef | None = None) -> None:
        """Enqueue a message; returns when it is in the mailbox.

        Raises:
            MailboxFullError: As ``ref.tell``.
            ActorStoppedError: The system has ended, and its event loop with it.
            RuntimeError: Called from the system's own thread.
        """
        try:
            trio.from_thread.run_sync(ref.tell, msg, sender, trio_token=self._token)
        except trio.RunFinishedError:
            raise _ended(ref) from None

    @overload
    def ask(self, ref: ActorRef, msg: Request[R], *, timeout: float = math.inf) -> R: ...
    @overload
    def ask(self, ref: ActorRef, msg: object, *, timeout: float = math.inf) -> Any: ...
    def ask(self, ref: ActorRef, msg: object, *, timeout: float = math.inf) -> Any:
        """Send a request and wait for its reply, at most ``timeout`` seconds.

        Raises:
            TimeoutError: No reply came in time; the request counts as given up.
            ActorFailedError, NoReplyError, ...: As ``ref.ask``.
            ActorStoppedError: Also when the system has ended, and its event loop with it.
            RuntimeError: Called from the system's own thread.
        """
        try:
            return trio.from_thread.run(_ask, ref, msg, timeout, trio_token=self._token)
        except trio.RunFinishedError:
            raise _ended(ref) from None


async def _ask(ref: ActorRef, msg: object, seconds: float) -> Any:
    with trio.move_on_after(seconds):
        return await ref.ask(msg)
    raise TimeoutError(f"{ref.path} did not answer {type(msg).__name__} within {seconds} s")


def _ended(ref: ActorRef) -> ActorStoppedError:
    return ActorStoppedError(f"{ref.path} has gone: its system has ended", ref.path)
