"""Asking: the one-shot reply slot, the handle for a later reply, and the graph of who waits for whom.

It knows tasks, envelopes and recipients, and nothing of what is behind a recipient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import trio
from trio.lowlevel import Abort, Task, current_task, wait_task_rescheduled

from trioakt._core.address import Address
from trioakt._core.message import Envelope, Request
from trioakt.errors import ActorFailedError, AskCycleError, NoReplyError

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


_PENDING, _SETTLED, _ABANDONED = range(3)


class Ask(Envelope):
    """A request on its way: its own envelope, reply slot and outcome.

    ``asker`` is the actor whose mailbox is held meanwhile, if one is. ``target`` is the recipient in whose hands the
    request is. ``holder`` is the actor that must answer before its handler ends; ``None`` once the answer was
    promised or the request passed on.
    """

    __slots__ = ("_error", "_parked", "_state", "_task", "_value", "asker", "deadline", "holder", "scope", "target")

    def __init__(
        self,
        message: Any,
        sender: ActorRef | None,
        asker: Recipient | None,
        task: Task,
        deadline: float,
        target: Recipient,
    ) -> None:
        self.message = message
        self.sender = sender
        self.asker = asker
        self.deadline = deadline
        self.holder: object = None
        self.target: Recipient | None = target
        self.scope: Cancellable | None = None
        self._task = task
        self._parked = False
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
        return self._state == _ABANDONED or self.deadline <= trio.current_time()

    def reply(self, value: Any) -> bool:
        """Answer the asker.

        Returns:
            Whether it still waited; the value is dropped when not.

        Raises:
            RuntimeError: It was answered before.
        """
        waits = self._settle()
        self._value = value
        return waits

    def fail(self, error: BaseException) -> bool:
        """End the asker's wait with an error; otherwise like ``reply``."""
        waits = self._settle()
        self._error = error
        return waits

    def _settle(self) -> bool:
        """Take the one chance to answer; the asker reads the answer when its task runs next."""
        state = self._state
        if state == _SETTLED:
            raise RuntimeError(f"this {type(self.message).__name__} was answered before")
        self._state = _SETTLED
        self.target = None
        if state == _ABANDONED:
            return False
        if self._parked:
            reschedule(self._task, self)
        return True

    def pass_on(self, target: Recipient) -> bool:
        """Note that another recipient has it now; fails it and returns False if that would close a circle."""
        self.holder = None
        cycle = None if self.asker is None else find_cycle(self.asker, target)
        if cycle is not None:
            if self.pending:
                self.fail(AskCycleError(cycle))
            return False
        self.target = target
        return True

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
        self._parked = True
        return await wait_task_rescheduled(self._abort)

    def abandon(self) -> None:
        """Note that nobody waits any more, and cancel what is done for this request, where that is allowed."""
        if self._state == _PENDING:
            self._state = _ABANDONED
            self.target = None
            if self.scope is not None:
                self.scope.cancel()

    def _abort(self, _: object) -> Abort:
        self.abandon()
        return Abort.SUCCEEDED


class ReplyTo:
    """A promise to answer a request later, from any task of this system; get it from ``ctx.reply_to``.

    A handle that is lost answers with ``NoReplyError``; when its actor stops or restarts, the asker is told so.
    """

    __slots__ = ("__weakref__", "_ask", "_late", "_path", "_token")

    def __init__(self, ask: Ask, path: str, late: Callable[[], None]) -> None:
        self._ask = ask
        self._path = path
        self._late = late
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
        if not self._ask.reply(value):
            self._late()

    def fail(self, error: BaseException) -> None:
        """Refuse the request: the asker gets ``ActorFailedError`` with this cause, and the actor goes on.

        Raises:
            RuntimeError: It was answered before.
        """
        if not self._ask.fail(actor_failed(self._path, "refused the request", error)):
            self._late()

    def end(self, error: BaseException) -> None:
        """End the wait with an error of the toolkit, if it still lasts."""
        if self._ask.pending:
            self._ask.fail(error)

    def __del__(self) -> None:
        if self._ask.pending:  # the collector may run in any thread
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(_lost, self._ask, self._path)


def _lost(ask: Ask, path: str) -> None:
    if ask.pending:
        ask.fail(NoReplyError(f"{path} lost its ctx.reply_to without answering", path))


def actor_failed(path: str, did: str, cause: BaseException) -> ActorFailedError:
    """Return the error that tells an asker what the actor did, with the exception that made it do so as its cause."""
    error = ActorFailedError(f"{path} {did}: {type(cause).__name__}", path)
    error.__cause__ = cause
    return error


class Holding:
    """That a task runs a handler of an actor; ``holds`` the actor's mailbox, unless it has given its turn away."""

    __slots__ = ("holds", "ref")

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.ref = ref
        self.holds = True


holdings: dict[Task, Holding] = {}
"""The tasks that run handlers now."""

waits: dict[Recipient, tuple[Ask, ...]] = {}
"""The wait-for graph: what the handlers that hold an actor's mailbox wait for."""


def holding_of(task: Task) -> Holding | None:
    """Return the handler that this task runs, or runs in a nursery inside it; ``None`` for any other task."""
    current: Task | None = task
    while current is not None:
        holding = holdings.get(current)
        if holding is not None:
            return holding
        nursery = current.parent_nursery
        current = None if nursery is None else nursery.parent_task
    return None


def find_cycle(start: Recipient, target: Recipient) -> tuple[str, ...] | None:
    """Return the circle of paths that would close if ``start`` waited for ``target``; ``None`` if none would.

    The graph is small (a handler waits for few others), and each edge is checked before it is added, so it has no
    circle yet: a depth-first walk ends.
    """
    trail: list[tuple[Recipient, tuple[Recipient, ...]]] = [(target, (start, target))]
    while trail:
        node, way = trail.pop()
        if node is start:
            return tuple(Address.parse(each.address).path for each in way)
        ahead = [ask.target for ask in waits.get(node, ()) if ask.target is not None]
        trail.extend((each, (*way, each)) for each in ahead)
    return None


async def ask(recipient: Recipient, request: object) -> Any:
    """Send a request and wait for its reply; see ``ActorRef.ask``."""
    task = current_task()
    holding = holding_of(task)
    if holding is not None and holding.holds:
        return (await _ask_holding(holding.ref, (recipient,), request, task))[0]
    sender = None if holding is None else holding.ref
    slot = Ask(request, sender, None, task, trio.current_effective_deadline(), recipient)
    recipient.deliver(slot)
    return await slot.wait()


async def ask_all(refs: Iterable[ActorRef[Any]], request: Request[R]) -> list[R]:
    """Ask several actors the same at once and wait for all replies, in the order of the refs.

    When one of them fails its error is raised and the other replies are dropped. When cancelled, all are given up.

    Raises:
        ActorFailedError, NoReplyError, ...: As ``ActorRef.ask``.
    """
    task = current_task()
    recipients = tuple(ref.recipient for ref in refs)
    holding = holding_of(task)
    if holding is not None and holding.holds:
        return await _ask_holding(holding.ref, recipients, request, task)
    sender = None if holding is None else holding.ref
    deadline = trio.current_effective_deadline()
    return await _gather([Ask(request, sender, None, task, deadline, each) for each in recipients])


async def _ask_holding(ref: ActorRef[Any], recipients: tuple[Recipient, ...], request: object, task: Task) -> list[Any]:
    """Ask from a handler that holds its actor's mailbox: refuse a circle, and enter the wait in the graph."""
    asker = ref.recipient
    for recipient in recipients:
        cycle = find_cycle(asker, recipient)
        if cycle is not None:
            raise AskCycleError(cycle)
    deadline = trio.current_effective_deadline()
    slots = [Ask(request, ref, asker, task, deadline, recipient) for recipient in recipients]
    waits[asker] = (*waits.get(asker, ()), *slots)
    try:
        return await _gather(slots)
    finally:
        left = tuple(slot for slot in waits[asker] if slot not in slots)
        if left:
            waits[asker] = left
        else:
            del waits[asker]


async def _gather(slots: list[Ask]) -> list[Any]:
    try:
        for slot in slots:
            if slot.target is not None:
                slot.target.deliver(slot)
        if not slots:
            await trio.lowlevel.checkpoint()
        return [await slot.wait() for slot in slots]
    finally:
        for slot in slots:
            slot.abandon()
