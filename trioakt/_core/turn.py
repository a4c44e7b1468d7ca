"""The turn of an interleaving actor: while handlers wait, a fresh task runs the loop; one runs at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import Abort, Task, current_task, wait_task_rescheduled

from trioakt._core.ask import reschedule
from trioakt._core.wake import WAKE

if TYPE_CHECKING:
    from trioakt._core.life import Life


class Turn:
    """Whose turn it is to run in one actor.

    A handler that waits gives its turn to a fresh task, which goes on with the mailbox. When its wait is over it
    queues, and gets the turn back between two messages, before the next one is begun. The actor's own task comes
    last: it is handed the turn when no waiting handler wants it, and the fresh task ends.
    """

    __slots__ = ("_cell", "_drained", "_fresh", "_home", "_limit", "_owner", "_queue", "_waiting", "scopes")

    def __init__(self, cell: Life, limit: int) -> None:
        self._cell = cell
        self._limit = limit
        self._waiting = 0  # handlers that gave their turn and have not got it back
        self._fresh = 0  # live tasks beside the actor's own
        self._queue: deque[Task] = deque()
        self._home: Task | None = None
        self._owner: object = current_task()  # a task; _starting for one that does not run yet; None for nobody
        self._drained = trio.Event()
        self.scopes: set[trio.CancelScope] = set()

    def wanted(self, *, at_home: bool) -> bool:
        """Return whether the running task should hand over before another message; ``at_home``: the actor's own."""
        return bool(self._queue) or (self._home is not None and not at_home)

    @property
    def busy(self) -> bool:
        """Whether handlers wait."""
        return bool(self._waiting)

    def give(self) -> bool:
        """Give the running handler's turn away; False when too many handlers wait already, and it is kept."""
        if self._waiting >= self._limit:
            return False
        self._waiting += 1
        self._hand_over()
        if self._owner is None:
            self._owner = _starting
            self._fresh += 1
            self._cell.system.nursery.start_soon(self._run_fresh)
        return True

    async def take_back(self) -> None:
        """Wait for the turn; only the end of this life of the actor cuts it short.

        The wait is shielded, because user code must never run beside another handler. The shield belongs to the
        actor, which cancels it when it is killed or restarted, and gives it a deadline when it is shut down.
        """
        try:
            if self._owner is None:
                self._owner = current_task()
                return
            with self._cell.own_scope(self.scopes, shield=True):
                task = current_task()
                self._queue.append(task)
                self._cell.nudge()
                await wait_task_rescheduled(lambda _: self._forget(task))
        finally:
            self._waiting -= 1

    async def lend(self) -> None:
        """Hand the turn of the actor's own task to those who want it, until none does."""
        self._home = current_task()
        self._hand_over()
        self._cell.nudge()
        await wait_task_rescheduled(lambda _: self._forget(None))

    async def drain(self) -> None:
        """Wait, as the actor's own task, until every handler has come to its end."""
        if self._owner is current_task():
            self._hand_over()
        while self._fresh:
            self._drained = trio.Event()
            await self._drained.wait()

    async def _run_fresh(self) -> None:
        self._owner = current_task()
        try:
            with self._cell.own_scope(self.scopes, shield=False):
                await self._cell.run_beside()
        finally:
            self._fresh -= 1
            if self._owner is current_task():
                self._hand_over()
            if not self._fresh:
                self._drained.set()

    def _hand_over(self) -> None:
        task: Task | None
        if self._queue:
            task = self._queue.popleft()
        else:
            task, self._home = self._home, None
        self._owner = task
        if task is not None:
            reschedule(task, WAKE)

    def _forget(self, task: Task | None) -> Abort:
        if task is None:
            self._home = None
        else:
            self._queue.remove(task)
        return Abort.SUCCEEDED


_starting = object()
