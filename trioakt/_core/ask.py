"""The request on its way, which is its own reply slot, and the handle for a later reply.

It knows tasks, envelopes and recipients, and nothing of what is behind a recipient.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

import trio
from trio.lowlevel import Abort, Task, current_task, wait_task_rescheduled

from trioakt._core.message import Envelope
from trioakt.errors import ActorFailedError, NoReplyError

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef, Recipient

R = TypeVar("R")

# Trio hands the object given here to the task, which calls its unwrap(): any object with that method will do, so a
# reply slot is its own outcome and nothing is allocated to wake an asker.
reschedule = cast("Callable[[Task, object], None]", trio.lowlevel.reschedule)


class Cancellable(Protocol):
    """What can be cancelled when the asker gives up."""

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it now."""
        ...


class AskerGoneError(trio.TooSlowError):
    """The deadline of a request has passed: before its handler was begun, or while that waited in ``ctx.ask``."""


class AskOutcome(enum.Enum):
    """How an ask has ended."""

    REPLIED = "replied"
    FAILED = "failed"
    """The asker got an error instead of a reply."""
    GIVEN_UP = "given up"
    """The asker was cancelled, maybe by its deadline."""


Listener = Callable[[AskOutcome, BaseException | None], None]
"""Hears once how an ask has ended, and with which error."""

_PENDING, _SETTLED, _ABANDONED = range(3)
_NEVER = float("inf")


class Ask(Envelope):
    """A request on its way: its own envelope, reply slot and outcome.

    ``waiter`` is what cannot go on before the answer comes: an actor whose mailbox is held meanwhile, or the request
    that an interleaving handler has in hand; ``None`` for an asker outside of all handlers. ``target`` is the
    recipient in whose hands the request is. ``holder`` is the actor that must answer before its handler ends;
    ``None`` once the answer was promised or the request passed on. ``listener`` hears how it ends.
    """

    __slots__ = ("_error", "_state", "_task", "_value", "deadline", "holder", "listener", "scope", "target", "waiter")

    asked: ClassVar[bool] = True
    """Whether somebody asked; false for a message of the toolkit that only wants to know when it has been handled."""

    lapses: ClassVar[bool] = False
    """Whether it means nothing once the life of its actor is over: then it is no dead letter."""

    def __init__(
        self,
        message: Any,
        sender: ActorRef | None,
        waiter: Recipient | Ask | None,
        deadline: float,
        target: Recipient,
    ) -> None:
        self.message = message
        self.sender = sender
        self.waiter = waiter
        self.deadline = deadline
        self.holder: object = None
        self.target: Recipient | None = target
        self.scope: Cancellable | None = None
        self.listener: Listener | None = None
        self._task: Task | None = None  # the asker's, while it is parked here
        self._state = _PENDING
        self._value: Any = None
        self._error: BaseException | None = None

    @property
    def pending(self) -> bool:
        """Whether the asker still waits."""
        return self._state == _PENDING

    @property
    def given_up(self) -> bool:
        """Whether the asker was cancelled or its deadline has passed."""
        return self._state == _ABANDONED or (self.deadline != _NEVER and self.deadline <= trio.current_time())

    def reply(self, value: Any) -> bool:
        """Answer the asker.

        Returns:
            Whether it still waited; the value is dropped when not.

        Raises:
            RuntimeError: It was answered before.
        """
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """End the asker's wait with an error; otherwise like ``reply``."""
        return self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        state = self._state
        if state == _SETTLED:
            raise RuntimeError(f"this {type(self.message).__name__} was answered before")
        self._state = _SETTLED
        self._value = value
        self._error = error
        self.target = None
        if state == _ABANDONED:
            return False
        if self.listener is not None:
            self.listener(AskOutcome.REPLIED if error is None else AskOutcome.FAILED, error)
        if self._task is not None:
            reschedule(self._task, self)
        return True

    def pass_on(self, target: Recipient) -> None:
        """Note that another recipient has it now."""
        self.holder = None
        if self.pending:
            self.target = target

    def unwrap(self) -> Any:
        """Return the reply or raise the error; Trio calls this when it resumes the asker."""
        error = self._error
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del self, error  # no cycle through the traceback

    async def wait(self) -> Any:
        """Wait for the reply; when cancelled, the request counts as given up."""
        if self._state == _SETTLED:
            await trio.lowlevel.checkpoint()
            return self.unwrap()
        self._task = current_task()
        try:
            return await wait_task_rescheduled(self._abort)
        except AskerGoneError:
            await trio.lowlevel.checkpoint()  # where its deadline still stands, its own scope ends the wait
            raise

    def abandon(self) -> None:
        """Note that nobody waits any more, and cancel what is done for this request, where that is allowed."""
        if self._state == _PENDING:
            self._state = _ABANDONED
            self.target = None
            if self.listener is not None:
                self.listener(AskOutcome.GIVEN_UP, None)
            if self.scope is not None:
                self.scope.cancel()

    def _abort(self, _: object) -> Abort:
        self.abandon()
        return Abort.SUCCEEDED


class Answerer(Protocol):
    """The actor that has promised an answer."""

    @property
    def path(self) -> str:
        """Its path."""
        ...

    def check_thread(self) -> None:
        """Refuse a call from outside the system's own thread."""
        ...

    def late_reply(self) -> None:
        """Count a reply whose asker had gone."""
        ...


class ReplyTo:
    """A promise to answer a request later, from any task of this system; get it from ``ctx.reply_to``.

    A handle that is lost answers with ``NoReplyError``; when its actor stops or restarts, the asker is told so.
    """

    __slots__ = ("__weakref__", "_ask", "_by", "_token")

    def __init__(self, ask: Ask, by: Answerer) -> None:
        self._ask = ask
        self._by = by
        self._token = trio.lowlevel.current_trio_token()

    @property
    def asker_gone(self) -> bool:
        """Whether nobody waits for this answer any more."""
        return not self._ask.pending or self._ask.given_up

    def reply(self, value: Any) -> None:
        """Answer the request.

        Raises:
            RuntimeError: It was answered before.
        """
        self._by.check_thread()
        if not self._ask.reply(value):
            self._by.late_reply()

    def fail(self, error: BaseException) -> None:
        """Refuse the request: the asker gets ``ActorFailedError`` with this cause, and the actor goes on.

        Raises:
            RuntimeError: It was answered before.
        """
        self._by.check_thread()
        if not self._ask.fail(actor_failed(self._by.path, "refused the request", error)):
            self._by.late_reply()

    def end(self, error: BaseException) -> None:
        """End the wait with an error of the toolkit, if it still lasts."""
        if self._ask.pending:
            self._ask.fail(error)

    def __del__(self) -> None:
        if self._ask.pending:  # the collector may run in any thread
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(_lost, self._ask, self._by.path)


def _lost(ask: Ask, path: str) -> None:
    if ask.pending:
        ask.fail(NoReplyError(f"{path} lost its ctx.reply_to without answering", path))


def actor_failed(path: str, did: str, cause: BaseException) -> ActorFailedError:
    """Return the error that tells an asker what the actor did, with the exception that made it do so as its cause."""
    error = ActorFailedError(f"{path} {did}: {type(cause).__name__}", path)
    error.__cause__ = cause
    return error
