"""Asking: sending requests and waiting for the replies, and the graph of who waits for whom.

It knows recipients by their protocol alone; whether one is an actor of this process makes no difference here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio.lowlevel import Abort, Task, current_task, wait_task_rescheduled

from trioakt._core.address import Address
from trioakt._core.ask import Ask, AskerGoneError, reschedule
from trioakt._core.message import Request
from trioakt._core.wake import WAKE
from trioakt.errors import AskCycleError

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef, Recipient

R = TypeVar("R")


class Holding:
    """While it is entered, this task runs handlers of an actor.

    ``waiter`` is what waits when a handler does: the actor itself, whose mailbox the handler holds. When the handler
    has given its turn away, it is only the request in hand, or nothing where the message was told.
    """

    __slots__ = ("ref", "waiter")

    def __init__(self, ref: ActorRef[Any]) -> None:
        self.ref = ref
        self.waiter: Recipient | Ask | None = ref.recipient

    def __enter__(self) -> None:
        inside.set(True)
        holdings[current_task()] = self

    def __exit__(self, *_: object) -> None:
        del holdings[current_task()]

    @property
    def holds(self) -> bool:
        """Whether the handler holds its actor's mailbox."""
        return self.waiter is self.ref.recipient


holdings: dict[Task, Holding] = {}
"""The tasks that run handlers now."""

inside: ContextVar[bool] = ContextVar("trioakt_inside", default=False)
"""Set in the tasks that run handlers, and so in all that those start: in others ``holding_of`` need not look."""

waits: dict[Recipient | Ask, tuple[Ask, ...]] = {}
"""The wait-for graph: by actor, the asks of the handler that holds its mailbox; by request in hand, those of its
interleaving handler. A request in turn waits for the recipient that has it, and for what its handler waits for."""


def holding_of(task: Task) -> Holding | None:
    """Return the handler that this task runs, or runs in a nursery inside it; ``None`` for any other task."""
    if not inside.get():
        return None
    current: Task | None = task
    while current is not None:
        holding = holdings.get(current)
        if holding is not None:
            return holding
        nursery = current.parent_nursery
        current = None if nursery is None else nursery.parent_task
    return None


def refuse_cycle(asker: ActorRef[Any], waiter: Recipient | Ask, target: Recipient) -> None:
    """Raise if the waiter's wait for this recipient would close a circle.

    Raises:
        AskCycleError: It would.
    """
    way = way_to((waiter,), target)
    if way is not None:
        raise AskCycleError((asker.path, *(Address.parse(each.address).path for each in way)))


def way_to(waiters: Collection[Recipient | Ask], target: Recipient) -> tuple[Recipient, ...] | None:
    """Return through whom the target waits for one of these; ``None`` if it does not.

    The graph is small (a handler waits for few others), and each edge is checked before it is added, so it has no
    circle yet: a depth-first walk ends.
    """
    trail: list[tuple[Recipient | Ask, tuple[Recipient, ...]]] = [(target, ())]
    while trail:
        node, way = trail.pop()
        place = node.target if isinstance(node, Ask) else node
        if place is not None:
            if place is not node:
                trail.append((place, way))
            way = (*way, place)
        if node in waiters:
            return way
        trail.extend((ask, way) for ask in waits.get(node, ()))
    return None


class Waiting:
    """While it is entered, the wait-for graph holds these asks of a waiter, which needs the answers to all."""

    __slots__ = ("_asks", "_waiter")

    def __init__(self, waiter: Recipient | Ask, asks: tuple[Ask, ...]) -> None:
        self._waiter = waiter
        self._asks = asks

    def __enter__(self) -> None:
        waits[self._waiter] = (*waits.get(self._waiter, ()), *self._asks)

    def __exit__(self, *_: object) -> None:
        left = tuple(ask for ask in waits[self._waiter] if ask not in self._asks)
        if left:
            waits[self._waiter] = left
        else:
            del waits[self._waiter]


async def ask(recipient: Recipient, request: object) -> Any:
    """Send a request and wait for its reply; see ``ActorRef.ask``."""
    holding = holding_of(current_task())
    deadline = trio.current_effective_deadline()
    if holding is None or holding.waiter is None:
        slot = Ask(request, None if holding is None else holding.ref, None, deadline, recipient)
        recipient.deliver(slot)
        return await slot.wait()
    refuse_cycle(holding.ref, holding.waiter, recipient)
    slot = Ask(request, holding.ref, holding.waiter, deadline, recipient)
    with Waiting(holding.waiter, (slot,)):
        recipient.deliver(slot)
        return await slot.wait()


async def ask_all(refs: Iterable[ActorRef[Any]], request: Request[R]) -> list[R]:
    """Ask several actors the same at once and wait for all replies, in the order of the refs.

    When one of them fails its error is raised and the other replies are dropped. When cancelled, all are given up.

    Raises:
        ActorFailedError, NoReplyError, ...: As ``ActorRef.ask``.
    """
    recipients = tuple(ref.recipient for ref in refs)
    holding = holding_of(current_task())
    deadline = trio.current_effective_deadline()
    if holding is None or holding.waiter is None:
        return await Gathering(request, None if holding is None else holding.ref, None, deadline, recipients).replies()
    for recipient in recipients:
        refuse_cycle(holding.ref, holding.waiter, recipient)
    gathering = Gathering(request, holding.ref, holding.waiter, deadline, recipients)
    with Waiting(holding.waiter, gathering.asks):
        return await gathering.replies()


class Gathering:
    """Several asks at once: the asker wakes at the last reply or the first failure."""

    __slots__ = ("_left", "_task", "asks")

    def __init__(
        self,
        message: Any,
        sender: ActorRef | None,
        waiter: Recipient | Ask | None,
        deadline: float,
        targets: tuple[Recipient, ...],
    ) -> None:
        self.asks = tuple(_Gathered(message, sender, waiter, deadline, target, self) for target in targets)
        self._left = len(targets)
        self._task: Task | None = None

    async def replies(self) -> list[Any]:
        """Send the requests and wait for the replies, in the order of the targets; then nobody waits any more."""
        try:
            for ask in self.asks:
                if ask.target is not None:
                    ask.target.deliver(ask)
            if self._left and not any(ask.failed for ask in self.asks):
                self._task = current_task()
                await wait_task_rescheduled(self._abort)
            else:
                await trio.lowlevel.checkpoint()
            first = next((ask for ask in self.asks if ask.failed), None)
            return [ask.unwrap() for ask in (self.asks if first is None else [first])]
        except AskerGoneError:
            await trio.lowlevel.checkpoint()  # as in Ask.wait
            raise
        finally:
            for ask in self.asks:
                ask.abandon()

    def hear(self, *, failed: bool) -> None:
        """Note that one ask has ended."""
        self._left -= 1
        if self._task is not None and (failed or not self._left):
            task, self._task = self._task, None
            reschedule(task, WAKE)

    def _abort(self, _: object) -> Abort:
        self._task = None
        return Abort.SUCCEEDED


class _Gathered(Ask):
    """One ask of several."""

    __slots__ = ("_gathering",)

    def __init__(
        self,
        message: Any,
        sender: ActorRef | None,
        waiter: Recipient | Ask | None,
        deadline: float,
        target: Recipient,
        gathering: Gathering,
    ) -> None:
        super().__init__(message, sender, waiter, deadline, target)
        self._gathering = gathering

    @property
    def failed(self) -> bool:
        return self._error is not None

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        waits = super()._settle(value, error)
        if waits:
            self._gathering.hear(failed=error is not None)
        return waits
