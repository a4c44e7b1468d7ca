"""The hand-made minimal actor: the least Trio code that is still an actor with senders and answers, written for speed.

It deliberately knows no supervision, cancel scopes, names, lifecycle or bounded mailboxes, and uses public Trio only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TURN: Final = 64
"""Messages handled between two checkpoints: past this the gain is small and timers grow late."""


class Envelope:
    """A message, its sender, and the task that waits for an answer, if one does."""

    __slots__ = ("asker", "message", "sender")

    def __init__(self, message: object, sender: FloorActor | None, asker: trio.lowlevel.Task | None) -> None:
        self.message = message
        self.sender = sender
        self.asker = asker

    def reply(self, value: object) -> None:
        """Wake the asker with the answer, unless there is none or it has given up."""
        if self.asker is not None:
            trio.lowlevel.reschedule(self.asker, outcome.Value(value))
            self.asker = None

    def abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Forget the asker, whose scope was cancelled."""
        self.asker = None
        return trio.lowlevel.Abort.SUCCEEDED


class FloorActor:
    """One task, one deque, one async handler that answers through the envelope it is given."""

    __slots__ = ("_handler", "_inbox", "_parked")

    def __init__(self, handler: Callable[[Envelope, Any], Awaitable[None]]) -> None:
        self._handler = handler
        self._inbox: deque[Envelope] = deque()
        self._parked: trio.lowlevel.Task | None = None

    def tell(self, message: object, sender: FloorActor | None = None) -> None:
        """Enqueue a message and wake the actor if it is idle."""
        self._inbox.append(Envelope(message, sender, None))
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None

    async def ask(self, message: object) -> Any:
        """Enqueue a question and wait for its answer."""
        envelope = Envelope(message, None, trio.lowlevel.current_task())
        self._inbox.append(envelope)
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None
        return await trio.lowlevel.wait_task_rescheduled(envelope.abort)

    async def run(self) -> None:
        """Handle messages in order until cancelled."""
        inbox, handler = self._inbox, self._handler
        left = TURN
        while True:
            while inbox:
                envelope = inbox.popleft()
                await handler(envelope, envelope.message)
                left -= 1
                if not left:
                    left = TURN
                    await trio.lowlevel.checkpoint()
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED
