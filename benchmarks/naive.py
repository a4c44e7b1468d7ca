"""The naive Trio actor: a memory channel, an Event for each answer and `fail_after` around the wait.

It is what one writes first with Trio's high-level parts, and knows nothing of speed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ASK_TIMEOUT: Final = 5.0


class Question:
    """A message that wants an answer, the answer, and the Event that tells of it."""

    def __init__(self, message: object) -> None:
        self.message = message
        self.answer: object = None
        self.answered = trio.Event()


class NaiveActor:
    """One task that iterates over a memory channel; the handler's result answers an ask."""

    def __init__(self, handler: Callable[[Any], Awaitable[object]]) -> None:
        self._handler = handler
        self._send, self._receive = trio.open_memory_channel[object](math.inf)

    async def tell(self, message: object) -> None:
        """Enqueue a message."""
        await self._send.send(message)

    async def ask(self, message: object) -> Any:
        """Enqueue a question and wait at most five seconds for its answer."""
        question = Question(message)
        await self._send.send(question)
        with trio.fail_after(ASK_TIMEOUT):
            await question.answered.wait()
        return question.answer

    async def run(self) -> None:
        """Handle messages in order until cancelled."""
        async for message in self._receive:
            if isinstance(message, Question):
                message.answer = await self._handler(message.message)
                message.answered.set()
            else:
                await self._handler(message)
