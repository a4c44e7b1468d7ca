"""What users write: an ``Actor`` with its hooks, each plain or async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from trioakt.supervision import OneForOne, Strategy

if TYPE_CHECKING:
    from trioakt.context import Context  # the hooks name the context that users see, which extends the kernel's

Handler = Callable[[Any, Any], Awaitable[None] | None]
"""A function of a context and a message, plain or async."""


class Actor:
    """Base of all actors. Every hook may be ``async def`` or plain ``def``; override the ones you need.

    ``supervision`` is how this actor treats the failures of its children.
    """

    supervision: Strategy = OneForOne()

    def pre_start(self, ctx: Context) -> Awaitable[None] | None:
        """Prepare; ``spawn`` returns when this is done, and raises ``StartError`` if it raises."""
        return None

    def receive(self, ctx: Context, msg: Any) -> Awaitable[None] | None:
        """Handle one message; by default none is understood."""
        ctx.unhandled()
        return None

    def pre_restart(self, ctx: Context, error: BaseException, msg: Any) -> Awaitable[None] | None:
        """Clean up on the failed instance before it is replaced; by default calls ``post_stop``.

        ``msg`` is the message in hand when it failed, or ``None``.
        """
        return self.post_stop(ctx)

    def post_stop(self, ctx: Context) -> Awaitable[None] | None:
        """Clean up at the end; runs shielded from cancellation for at most ``stop_grace`` seconds."""
